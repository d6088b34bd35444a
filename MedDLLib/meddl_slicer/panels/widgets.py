"""The parts that the panels share: Apply that turns into Cancel, progress with the stage in words, status."""

import logging

import qt
import slicer
from slicer.i18n import tr as _

from meddl.core.errors import Cancelled
from meddl_slicer.runs import estimates, tasks, verbs


class RunPanel:
    """Drives a panel's applyButton, progressBar, stageLabel and statusLabel for one run at a time.

    Args:
        ui: the panel's widgets, as `slicer.util.childWidgetVariables` gives them.
        onFinished: called with the result node after a complete run.
        onEnded: called without arguments when a run has ended, in whatever way; before `onFinished`.
        text: of the button that starts a run; default "Apply".
    """

    def __init__(self, ui, onFinished, onEnded=lambda: None, text: str | None = None):
        self._ui = ui
        self._text = text or _("Apply")
        self._onFinished = onFinished
        self._onEnded = onEnded
        self._task = None
        self._estimate, self._guess = ("", 0), lambda: None
        self._reason = None
        self._message = ""
        self._show_idle()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._task is not None

    def setReason(self, reason: str | None, readyTip: str) -> None:
        """Why Apply cannot be pressed, shown under it and in its tooltip; None: its tooltip says what it does."""
        self._reason, self._tip = reason, readyTip
        if not self.running:
            self._show_reason()

    def setStatus(self, text: str) -> None:
        """The line under the button, while nothing runs."""
        if not self.running:
            self._ui.statusLabel.text = text

    def start(self, verb: str, voxels: int, startTask, guess=lambda: None) -> None:
        """Begin a run.

        Args:
            verb: which estimate to renew after it, as `estimates.expected` names them.
            voxels: its size, for that estimate.
            guess: called after the run; seconds and MB, where the estimate was made otherwise, else None.
            startTask: called with (onProgress, onDone); returns the Task.
        """
        self._estimate, self._guess = (verb, voxels), guess
        self._show_running()
        try:
            self._task = startTask(self._onProgress, self._onDone)
        except Exception:
            self._message = ""
            self._show_idle()
            raise
        if self._task.done:  # it ended before it was known here
            self._task = None
            self._show_idle()

    def cancel(self) -> None:
        """Stop the run, if there is one."""
        if self._task is not None:
            self._task.cancel()

    def stopEarly(self) -> None:
        """Ask the run to end with the best that it has so far, if there is one."""
        if self._task is not None:
            self._task.stop_early()

    def close(self) -> None:
        """Stop the run and touch the widgets no more: they are about to be deleted."""
        task, self._task, self._ui = self._task, None, None
        self._onFinished = self._onEnded = self._guess = None
        if task is not None:
            task.cancel()

    def _onProgress(self, fraction: float, stage: str) -> None:
        if self._ui is not None:
            self._ui.progressBar.value = max(self._ui.progressBar.value, round(100 * fraction))  # never back
            self._ui.stageLabel.text = stage

    def _onDone(self, task) -> None:
        if self._ui is None:
            return
        (verb, voxels), guess = self._estimate, self._guess
        self._task, self._guess = None, lambda: None
        self._message = self._message_of(task)
        self._show_idle()
        self._onEnded()
        if task.state == "done":
            node = task.result()
            estimates.learn(verb, voxels, verbs.report_of(node), guess())
            tasks.remember_run()
            self._onFinished(node)
        elif not isinstance(task.error, Cancelled):
            logging.error("MedDL: %s", task.error, exc_info=task.error)
            slicer.util.errorDisplay(str(task.error), windowTitle=_("MedDL"),
                                     detailedText=getattr(task.error, "details", "") or repr(task.error))

    def _message_of(self, task) -> str:
        if task.state == "done":
            return finished_text(verbs.report_of(task.result()))
        if isinstance(task.error, Cancelled):
            return str(task.error)
        return _("The run failed: {error}").format(error=task.error)

    def _show_running(self) -> None:
        ui = self._ui
        ui.applyButton.text = _("Cancel")
        ui.applyButton.toolTip = _("Stop the run and leave the scene as it is")
        ui.applyButton.enabled = True
        ui.progressBar.value = 0
        ui.progressBar.visible = True
        ui.stageLabel.text = _("Starting")
        ui.stageLabel.visible = True

    def _show_idle(self) -> None:
        ui = self._ui
        ui.applyButton.text = self._text
        ui.progressBar.visible = False
        if self._reason is not None or hasattr(self, "_tip"):
            self._show_reason()

    def _show_reason(self) -> None:
        """Whether Apply can be pressed, and under it how the last run ended and why there can be no other now."""
        self._ui.applyButton.enabled = self._reason is None
        self._ui.applyButton.toolTip = self._reason or self._tip
        self._ui.stageLabel.text = "\n".join(text for text in (self._message, self._reason) if text)


def finished_text(report: dict) -> str:
    """One sentence about a complete run: how long and where. What to mind stands in the panel's banner."""
    seconds = report.get("seconds", {})
    total = seconds.get("total", sum(v for v in seconds.values() if isinstance(v, (int, float))))
    return _("Done in {seconds:.1f} s on {device}.").format(seconds=total, device=report.get("device", "?"))


def status_text(verb: str, voxels: int | None, license_text: str | None = None,
                guess: tuple[float, float] | None = None) -> str:
    """The line before a run: device, license of the model, expected time and memory (see `estimates.expected`)."""
    parts = [_("Device: {device}").format(device=estimates.device())]
    if license_text:
        parts.append(_("License: {license}").format(license=license_text))
    expected = None if not voxels else estimates.estimate(verb, voxels, guess)
    if expected is not None:
        parts.append(_("About {seconds:.0f} s and {gigabytes:.1f} GB").format(
            seconds=max(expected[0], 1), gigabytes=expected[1] / 1024))
    return " · ".join(parts)


def voxels_of(volumeNode) -> int:
    """Number of voxels of a volume node; 0 where it has no image."""
    image = None if volumeNode is None else volumeNode.GetImageData()
    return 0 if image is None else image.GetNumberOfPoints()


def show_volume(volumeNode) -> None:
    """Show the volume in the slice views."""
    slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)


def show_overlay(fixedNode, warpedNode) -> None:
    """Show the warped volume half transparent over the fixed one."""
    slicer.util.setSliceViewerLayers(background=fixedNode, foreground=warpedNode, foregroundOpacity=0.5)


def show_segmentation(node, table) -> None:
    """Show the segmentation over its volume, and its structures in a `ResultsTable`."""
    source = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    if source is not None:
        slicer.util.setSliceViewerLayers(background=source)
    table.show(node.GetNodeReference(verbs.TABLE_ROLE), verbs.report_of(node))


def make_placeholders_readable(widget) -> None:
    """Give the placeholder texts of all line edits under a widget a contrast of 4.5 or more, in any theme."""
    for edit in widget.findChildren("QLineEdit"):
        palette = qt.QPalette()  # all other colors stay the theme's
        text, base = palette.color(qt.QPalette.Text), palette.color(qt.QPalette.Base)
        parts = [round(0.72 * getattr(text, name)() + 0.28 * getattr(base, name)())
                 for name in ("red", "green", "blue")]
        palette.setColor(qt.QPalette.PlaceholderText, qt.QColor(*parts))
        edit.setPalette(palette)
