"""The section *Uncertainty* of the panels of registration and super-resolution: how far the result would move."""

import qt
from slicer.i18n import tr as _

from meddl.core.config import field_help
from meddl.uncertainty.config import UncertaintyConfig
from meddl_slicer.runs import verbs
from meddl_slicer.sections.explanation.verb import RESULT_ROLE, show_map
from meddl_slicer.sections.section import Section


class UncertaintySection(Section):
    """Repeats the panel's run on perturbed copies of its inputs, and shows the map of the spread.

    Args:
        panel, after: as of `Section`.
        whyNotReady: called without arguments: why the panel's inputs cannot be used, None where they can.
        start: called with UncertaintyConfig, onProgress and onDone; starts the run with what is chosen in the panel.
        volume: called without arguments: the node over which the map lies, where there is no sharper result.
    """

    def __init__(self, panel, after, whyNotReady, start, volume):
        super().__init__(panel, after, "MedDL.Uncertainty", _("Uncertainty"))
        self._whyNotReady, self._start, self._volume = whyNotReady, start, volume
        self._volumeNode = None
        self.runsSpinBox = qt.QSpinBox()
        self.runsSpinBox.objectName = "uncertaintyRunsSpinBox"
        self.runsSpinBox.minimum, self.runsSpinBox.maximum = 2, 100
        self.runsSpinBox.value, self.runsSpinBox.toolTip = UncertaintyConfig.runs, field_help(UncertaintyConfig)["runs"]
        self.form.addRow(_("Runs:"), self.runsSpinBox)
        self.addRun(_("Estimate"), _("Repeat the run on perturbed copies of the inputs, and show how much the results "
                                     "differ: as many times as long as one run"))
        self.addReading()

    def whyNotReady(self) -> str | None:
        return self._whyNotReady()

    def onPanelChanged(self) -> None:
        """Something else is chosen in the panel."""
        self.update()

    def startRun(self, onProgress, onDone):
        self._volumeNode = self._volume()
        self.read()
        return self._start(UncertaintyConfig(runs=self.runsSpinBox.value), onProgress, onDone)

    def showResult(self, node) -> None:
        self.read(node, *_figures(verbs.report_of(node)))
        show_map(node.GetNodeReference(RESULT_ROLE) or self._volumeNode, node)
        self._volumeNode = None

    def clear(self) -> None:
        self._volumeNode = None
        self.read()

    def close(self) -> None:
        """Stop the run, and hold neither widgets nor the panel any more."""
        Section.close(self)
        self._whyNotReady = self._start = self._volume = None


def _figures(found: dict) -> list[str]:
    """The spread of the whole map in a sentence."""
    spread = found.get("spread_mm") or found.get("spread")
    if not spread:
        return []
    unit = " mm" if "spread_mm" in found else ""
    return [_("Mean {mean:.3g}{unit}, 95 % of the voxels below {p95:.3g}{unit}.").format(
        mean=spread["mean"], p95=spread["p95"], unit=unit)]
