"""The parts that the panels share: Apply that turns into Cancel, progress with the stage in words, status."""

import logging
import statistics
import time

import qt
import slicer
from slicer.i18n import tr as _

from meddl.core.errors import Cancelled
from meddl.core.progress import format_duration
from meddl.results import asymmetry_percent
from meddl_slicer.panels.banner import FAILURE, note_style
from meddl_slicer.panels.options import in_words
from meddl_slicer.runs import estimates, tasks, verbs

_BAR_STEPS = 1000
_LEAST_PASSED_S, _LEAST_FRACTION = 3.0, 0.05  # of a run, before its progress tells how long it will take


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
        self._kind, self._guess = "", lambda: None
        self._begin, self._expected_seconds = time.monotonic(), None
        self._reason = None
        self._message, self._failed = "", False
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

    def start(self, startTask, kind: str = "", guess=lambda: None) -> None:
        """Begin a run.

        Args:
            startTask: called with (onProgress, onDone); returns the Task.
            kind: which estimate to correct after it, see `estimates.estimate`.
            guess: called after the run; seconds and MB as they were counted, None where they are not known.
        """
        self._kind, self._guess, self._begin = kind, guess, time.monotonic()
        self._expected_seconds = (estimates.estimate(kind, guess()) or (None,))[0]
        self._show_running()
        try:
            self._task = startTask(self._onProgress, self._onDone)
        except Exception:
            self.end("")
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

    def end(self, message: str, failed: bool = False) -> None:
        """Show that nothing runs any more, and how the last run ended, a failure in color."""
        self._message, self._failed = message, failed
        self._show_idle()

    def close(self) -> None:
        """Stop the run and touch the widgets no more: they are about to be deleted."""
        task, self._task, self._ui = self._task, None, None
        self._onFinished = self._onEnded = self._guess = None
        if task is not None:
            task.cancel()

    def _onProgress(self, fraction: float, stage: str) -> None:
        if self._ui is not None:
            self._ui.progressBar.value = max(self._ui.progressBar.value, round(_BAR_STEPS * fraction))  # never back
            left = None if "left" in stage else remaining_seconds(fraction, time.monotonic() - self._begin,
                                                                  self._expected_seconds)
            self._say(stage if left is None else _("{stage} · about {time} left").format(
                stage=stage, time=format_duration(left)))

    def _onDone(self, task) -> None:
        if self._ui is None:
            return
        expected = self._guess()
        self._task, self._guess = None, lambda: None
        self.end(self._message_of(task), task.state != "done" and not isinstance(task.error, Cancelled))
        self._onEnded()
        if task.state == "done":
            node = task.result()
            estimates.learn(self._kind, expected, getattr(task, "spent", None), verbs.report_of(node))
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
        ui.applyButton.toolTip = _(
            "Stop the run within a second. Nothing of it is put into the scene; what earlier runs have put there, also "
            "those of other volumes of a folder, stays")
        ui.applyButton.enabled = True
        ui.progressBar.maximum, ui.progressBar.value = _BAR_STEPS, 0
        ui.progressBar.visible = True
        self._say(_("Starting"))

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
        self._say("\n".join(text for text in (self._message, self._reason) if text), self._failed)

    def _say(self, text: str, failed: bool = False) -> None:
        """Show a text under the button, in color where it is about a failure; there is no empty line where there is
        none."""
        style = note_style(FAILURE) if failed else ""
        if self._ui.stageLabel.styleSheet != style:  # to set one takes long
            self._ui.stageLabel.setStyleSheet(style)
        self._ui.stageLabel.text, self._ui.stageLabel.visible = text, bool(text)


def remaining_seconds(fraction: float, passed: float, expected: float | None) -> float | None:
    """How long a run still takes, about; None as long as that is not known.

    Args:
        fraction: of the work that is done; passed: seconds since the start.
        expected: seconds of the whole run, as they were estimated; None: only the progress tells.
    """
    if not 0 < fraction < 1:
        return None
    if expected is not None:  # what was expected counts at first, what has passed towards the end
        return (1 - fraction) * ((1 - fraction) * expected + passed)
    return passed * (1 - fraction) / fraction if passed >= _LEAST_PASSED_S and fraction >= _LEAST_FRACTION else None


def finished_text(report: dict) -> str:
    """A complete run in short: how long and where, and the whole brain. What to mind stands in the panel's banner."""
    seconds = report.get("seconds", {})
    total = seconds.get("total", sum(v for v in seconds.values() if isinstance(v, (int, float))))
    text = _("Done in {seconds:.1f} s on {device}.").format(seconds=total, device=report.get("device", "?"))
    brain, both = report.get("brain_volume_ml"), asymmetry_percent(report.get("volumes_ml", {}))
    if brain is not None:
        text += " " + _("Total brain volume without ventricles: {volume:.0f} ml.").format(volume=brain)
    if both:
        most = max(both, key=lambda name: abs(both[name]))
        text += " " + _("Left-right asymmetry: median {median:.1f} %, largest {largest:.1f} % ({name}).").format(
            median=statistics.median(map(abs, both.values())), largest=abs(both[most]), name=most.partition(" ")[2])
    return text


def status_text(expected: tuple[float, float] | None, license_text: str | None = None) -> str:
    """The line before a run: device, license of the model, and seconds and MB (see `estimates.estimate`), if known."""
    parts = [_("Device: {device}").format(device=in_words(estimates.device()))]
    if license_text:
        parts.append(_("License: {license}").format(license=license_text))
    if expected is not None:
        parts.append(_("About {time} and {gigabytes:.1f} GB").format(
            time=format_duration(max(expected[0], 1)), gigabytes=expected[1] / 1024))
    return " · ".join(parts)


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


def show_name_in_tooltip(selector):
    """Let the tooltip of a qMRMLNodeComboBox begin with the whole name of the chosen node, which a narrow panel
    shortens. Returns a function to call where that may have been renamed elsewhere."""
    tip = selector.toolTip

    def update(*_) -> None:
        node = selector.currentNode()
        selector.toolTip = tip if node is None else f"{node.GetName()}\n{tip}".strip()

    selector.connect("currentNodeChanged(vtkMRMLNode*)", update)
    selector.connect("currentNodeRenamed(QString)", update)
    update()
    return update


def make_placeholders_readable(widget) -> None:
    """Give the placeholder texts of all line edits under a widget a contrast of 4.5 or more, in any theme."""
    for edit in widget.findChildren("QLineEdit"):
        palette = qt.QPalette()  # all other colors stay the theme's
        text, base = palette.color(qt.QPalette.Text), palette.color(qt.QPalette.Base)
        parts = [round(0.72 * getattr(text, name)() + 0.28 * getattr(base, name)())
                 for name in ("red", "green", "blue")]
        palette.setColor(qt.QPalette.PlaceholderText, qt.QColor(*parts))
        edit.setPalette(palette)
