"""The section *Synthesize a contrast* of the super-resolution panel: a head as T1, T2 or FLAIR would show it."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl.contrast_synthesis.contrasts import TARGETS
from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.sections.contrast_synthesis.verb import synthesize_node
from meddl_slicer.sections.section import VOLUMES, Section

_INVENTED = _("The result looks like anatomy but was not measured: it is for models that miss a channel. Measure and "
              "diagnose nothing in it.")


class ContrastSynthesisSection(Section):
    """Synthesizes another contrast of a head, and shows it.

    Args:
        panel, after: as of `Section`.
    """

    def __init__(self, panel, after):
        super().__init__(panel, after, "MedDL.SynthesizeContrast", _("Synthesize a contrast"))
        self.addSelector("volume", _("Volume:"), VOLUMES, _("The head of MR to start from; it stays as it is"),
                         _("Select a volume"))
        self.contrastComboBox = qt.QComboBox()
        self.contrastComboBox.objectName = "synthesizeContrastComboBox"
        self.contrastComboBox.toolTip = _("Contrast to synthesize")
        for word, name in TARGETS.items():
            self.contrastComboBox.addItem(name, word)
        self.form.addRow(_("Contrast:"), self.contrastComboBox)
        self.addSelector("output", _("Output:"), VOLUMES, _("The volume to fill; none: a new one"),
                         _("Create new volume"))
        self.inventedLabel = qt.QLabel(_INVENTED)
        self.inventedLabel.objectName = "synthesizeContrastInventedLabel"
        self.inventedLabel.wordWrap = True
        self.box.addWidget(self.inventedLabel)
        self.contrastComboBox.connect("currentIndexChanged(int)", self.onContrastChanged)
        self.addRun(_("Synthesize"), _("Synthesize the contrast"))
        self.addReading()

    def onContrastChanged(self, index: int) -> None:
        """The user has chosen a contrast."""
        if not self._updating:
            self.keep("contrast", self.contrastComboBox.itemData(index))
            self.update()

    def contrast(self) -> str:
        """The word of the chosen contrast; T2 where none was chosen."""
        kept = self.readText("contrast")
        return kept if kept in TARGETS else "t2"

    def showChoices(self) -> None:
        index = list(TARGETS).index(self.contrast())
        if index != self.contrastComboBox.currentIndex:
            self.contrastComboBox.setCurrentIndex(index)

    def whyNotReady(self) -> str | None:
        volume = self.node("volume")
        if volume is None:
            return _("Choose a head of MR.")
        if volume is self.node("output"):
            return _("The output would overwrite the volume. Choose another, or create a new one.")
        return why_not_usable(volume)

    def startRun(self, onProgress, onDone):
        self.read()
        return synthesize_node(self.node("volume"), self.contrast(), outputNode=self.node("output"), wait=False,
                               onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        self.read(node)
        slicer.util.setSliceViewerLayers(background=node)

    def clear(self) -> None:
        self.read()
