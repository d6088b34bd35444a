"""The section *Denoise a series* of the super-resolution panel: the frames of a sequence with less noise."""

import slicer
from slicer.i18n import tr as _

from meddl.series.config import DenoiseSeriesConfig
from meddl_slicer.mrml.sequences import node_in_browser
from meddl_slicer.panels.config_form import ConfigForm
from meddl_slicer.panels.inputs.expected_runs import ExpectedRuns, grid_of
from meddl_slicer.panels.widgets import status_text
from meddl_slicer.runs import estimates
from meddl_slicer.sections.preparation.series_verb import denoise_sequence, why_not_denoised
from meddl_slicer.sections.section import Section

SEQUENCES = ("vtkMRMLSequenceNode",)
VERB = "denoiseSequence"


class DenoiseSeriesSection(Section):
    """Denoises a sequence by a filter over its frames, and shows the result in step with it.

    Args:
        panel, after: as of `Section`.
    """

    def __init__(self, panel, after):
        super().__init__(panel, after, "MedDL.DenoiseSeries", _("Denoise a series"))
        self.addSelector("sequence", _("Sequence:"), SEQUENCES,
                         _("The sequence of volumes to denoise; it stays as it is"), _("Select a sequence"))
        self.addSelector("output", _("Output:"), SEQUENCES, _("The sequence to fill; none: a new one"),
                         _("Create new sequence"))
        self._config = ConfigForm(DenoiseSeriesConfig, self.onOptionsChanged, {
            "spatial": _("Spatial denoising"), "seconds": _("Fine-tuning"), "model": _("Own model")})
        self._config.addRows(self.form)
        self._expected = ExpectedRuns(self.update)
        self.addRun(_("Denoise series"), _("Denoise all frames of the sequence"))
        self.addReading()

    def onOptionsChanged(self) -> None:
        """The user has changed an option."""
        self.keepConfig(self._config.config)
        self.update()

    def showChoices(self) -> None:
        config = self.readConfig(DenoiseSeriesConfig)
        if config != self._config.config:
            self._config.setConfig(config)

    def estimateName(self) -> str:
        return f"{VERB}:{self._config.config.method}"

    def guess(self):
        sequence = self.node("sequence")
        if why_not_denoised(sequence) is not None:
            return lambda: None
        frames = (grid_of(sequence.GetNthDataNode(0)),) * sequence.GetNumberOfDataNodes()
        return self._expected.ofGrids(VERB, frames, self._config.config, "auto")

    def statusLine(self) -> str:
        count = self.node("sequence").GetNumberOfDataNodes()
        return " · ".join([_("1 frame") if count == 1 else _("{count} frames").format(count=count), status_text(
            estimates.estimate(self.estimateName(), self.guess()()))])

    def whyNotReady(self) -> str | None:
        sequence = self.node("sequence")
        if sequence is not None and sequence is self.node("output"):
            return _("The output would overwrite the sequence. Choose another, or create a new one.")
        return why_not_denoised(sequence)

    def startRun(self, onProgress, onDone):
        self.read()
        return denoise_sequence(self.node("sequence"), self._config.config, outputSequence=self.node("output"),
                                wait=False, onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        self.read(node)
        shown = node_in_browser(node)
        if shown is not None:
            slicer.util.setSliceViewerLayers(background=shown)

    def clear(self) -> None:
        self.read()

    def close(self) -> None:
        """Stop the run and touch the widgets no more."""
        self._expected.close()
        Section.close(self)
