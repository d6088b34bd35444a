"""The Segment Editor effect *MedDL Paint and Predict*.

Slicer loads this file by its path and asks for the class of its name.
"""

import qt
import slicer
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _

from meddl.core.config import field_help
from meddl.painting.config import PaintConfig
from meddl_slicer.sections.painting.preview import PaintPreview
from meddl_slicer.sections.painting.registration import NAME

UNPAINTED = (("auto", _("Background, unless a segment is called so")), ("background", _("Background")),
             ("unknown", _("Unknown")))


class SegmentEditorMedDLPaintEffect(AbstractScriptedSegmentEditorEffect):
    """Finds the rest of the visible segments from a few painted slices; the preview follows further strokes."""

    def __init__(self, scriptedEffect):
        scriptedEffect.name = NAME
        scriptedEffect.title = _("MedDL Predict")
        scriptedEffect.perSegment = False
        scriptedEffect.requireSegments = True
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.preview = None

    def clone(self):
        """A copy of this effect for another editor."""
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        cloned = effects.qSlicerSegmentEditorScriptedEffect(None)
        cloned.setPythonSource(__file__.replace("\\", "/"))
        return cloned

    def icon(self):
        """The icon of the segmentation module."""
        module = getattr(slicer.modules, "meddlseg", None)
        return module.icon if module is not None else qt.QIcon()

    def helpText(self) -> str:
        """What the effect does."""
        return _("Finds the rest of all visible segments in the volume. Paint the structures in two or three slices, "
                 "then press Predict. The preview follows each further stroke with Paint, Draw or Erase; Apply takes "
                 "it over within the editable area. For strokes that do not fill a slice, add a segment called "
                 "background.")

    def setupOptionsFrame(self) -> None:
        """Called once by the editor."""
        texts = field_help(PaintConfig)
        self.unpaintedComboBox = qt.QComboBox()
        for key, text in UNPAINTED:
            self.unpaintedComboBox.addItem(text, key)
        self.unpaintedComboBox.setToolTip(texts["unpainted"])
        self.toleranceSpinBox = qt.QSpinBox()
        self.toleranceSpinBox.maximum = 5
        self.toleranceSpinBox.setToolTip(texts["contour_tolerance"])
        self.followCheckBox = qt.QCheckBox(_("Auto-update"))
        self.followCheckBox.setToolTip(_("Predict again after each stroke"))
        self.predictButton = qt.QPushButton(_("Predict"))
        self.predictButton.setToolTip(_("Show a preview of the structures in the whole volume"))
        self.statusLabel = qt.QLabel()
        self.statusLabel.wordWrap = True
        self.cancelButton = qt.QPushButton(_("Cancel"))
        self.cancelButton.setToolTip(_("Take the preview away"))
        self.applyButton = qt.QPushButton(_("Apply"))
        self.applyButton.setToolTip(_("Take the preview over into the segments, within the editable area"))
        for button, name in ((self.predictButton, "Predict"), (self.cancelButton, "Cancel"),
                             (self.applyButton, "Apply")):
            button.objectName = self.__class__.__name__ + name
        self.scriptedEffect.addLabeledOptionsWidget(_("Unpainted voxels:"), self.unpaintedComboBox)
        self.scriptedEffect.addLabeledOptionsWidget(_("Contours are off by:"), self.toleranceSpinBox)
        first, last = qt.QHBoxLayout(), qt.QHBoxLayout()
        for layout, widgets in ((first, (self.followCheckBox, self.predictButton)),
                                (last, (self.cancelButton, self.applyButton))):
            for widget in widgets:
                layout.addWidget(widget)
        self.scriptedEffect.addLabeledOptionsWidget(_("Preview:"), first)
        self.scriptedEffect.addOptionsWidget(self.statusLabel)
        self.scriptedEffect.addOptionsWidget(last)
        self.unpaintedComboBox.connect("currentIndexChanged(int)", self.onChoice)
        self.toleranceSpinBox.connect("valueChanged(int)", self.onChoice)
        self.followCheckBox.connect("toggled(bool)", self.onChoice)
        self.predictButton.connect("clicked()", self.onPredict)
        self.cancelButton.connect("clicked()", self.onCancel)
        self.applyButton.connect("clicked()", self.onApply)

    def setMRMLDefaults(self) -> None:
        """Called by the editor for a new parameter node."""
        self.scriptedEffect.setParameterDefault("Unpainted", PaintConfig().unpainted)
        self.scriptedEffect.setParameterDefault("ContourTolerance", PaintConfig().contour_tolerance)
        self.scriptedEffect.setParameterDefault("AutoUpdate", 1)

    def activate(self) -> None:
        """The user has chosen the effect: a scene that was closed since has taken its parameters with it."""
        self.setMRMLDefaults()

    def updateGUIFromMRML(self) -> None:
        """Show the parameters, and where the preview stands."""
        if not self.scriptedEffect.parameterDefined("Unpainted"):
            return
        number = self.unpaintedComboBox.findData(self.scriptedEffect.parameter("Unpainted"))
        follow = self.scriptedEffect.integerParameter("AutoUpdate") != 0
        for widget, show in (
                (self.unpaintedComboBox, lambda: self.unpaintedComboBox.setCurrentIndex(max(number, 0))),
                (self.toleranceSpinBox, lambda: self.toleranceSpinBox.setValue(
                    self.scriptedEffect.integerParameter("ContourTolerance"))),
                (self.followCheckBox, lambda: self.followCheckBox.setChecked(follow))):
            blocked = widget.blockSignals(True)
            show()
            widget.blockSignals(blocked)
        preview = self.preview
        shown = preview is not None and preview.node is not None
        self.applyButton.enabled = shown and not preview.running
        self.cancelButton.enabled = preview is not None
        if preview is None:
            self.statusLabel.text = ""
        elif preview.running:
            self.statusLabel.text = _("Predicting...")
        elif preview.error is not None:
            self.statusLabel.text = str(preview.error)
        elif shown:
            report = preview.result.report
            moved = _("Contours were moved onto edges.") if report["contours"] else ""
            self.statusLabel.text = " ".join([_("Predicted in {seconds:.1f} s.").format(
                seconds=report["seconds"]["total"]), moved]).strip()

    def updateMRMLFromGUI(self) -> None:
        """Keep the choices in the parameter node."""
        self.scriptedEffect.setParameter("Unpainted", self.unpaintedComboBox.itemData(
            self.unpaintedComboBox.currentIndex))
        self.scriptedEffect.setParameter("ContourTolerance", self.toleranceSpinBox.value)
        self.scriptedEffect.setParameter("AutoUpdate", int(self.followCheckBox.checked))

    def sourceVolumeNodeChanged(self) -> None:
        """Another volume: the preview was of the last one."""
        if self.preview is not None and self.preview.volumeNode is not self._nodes()[1]:
            self.onCancel()

    def onChoice(self, *_choice) -> None:
        """The user has changed an option."""
        self.updateMRMLFromGUI()
        if self.preview is not None:
            self.preview.follow = self.followCheckBox.checked
            if self.preview.config != self._config() and self.preview.node is not None:
                self.onPredict()

    def onPredict(self) -> None:
        """Predict, in the worker."""
        segmentationNode, volumeNode = self._nodes()
        if self.preview is not None and self.preview.segmentationNode is not segmentationNode:
            self.onCancel()
        with slicer.util.tryWithErrorDisplay(_("The structures could not be predicted.")):
            if self.preview is None:
                self.preview = PaintPreview(segmentationNode, volumeNode, self._config(), self._onPreview)
            self.preview.config, self.preview.follow = self._config(), self.followCheckBox.checked
            try:
                self.preview.run()
            except Exception:
                if self.preview.node is None:
                    self.onCancel()
                raise

    def onCancel(self) -> None:
        """Take the preview away."""
        if self.preview is not None:
            self.preview.close()
            self.preview = None
        self.updateGUIFromMRML()

    def onApply(self) -> None:
        """Take the preview over: the editor's masks and overwrite mode hold, and Undo goes back."""
        from meddl_slicer.sections.painting.registration import matrix_of

        with slicer.util.tryWithErrorDisplay(_("The preview could not be applied.")):
            modifiers = self.preview.modifiers(matrix_of(self.scriptedEffect.referenceGeometryImage()))
            segmentationNode = self.preview.segmentationNode
            self.preview.follow = False
            self.scriptedEffect.saveStateForUndo()
            for identifier, image in modifiers:
                if segmentationNode.GetSegmentation().GetSegment(identifier) is not None:
                    self.scriptedEffect.modifySegmentByLabelmap(
                        segmentationNode, identifier, image,
                        slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeSet)
            self.onCancel()

    def cleanup(self) -> None:
        """Called before the effect is deleted."""
        if self.preview is not None:
            self.preview.close()
            self.preview = None

    def _onPreview(self) -> None:
        self.updateGUIFromMRML()

    def _nodes(self) -> tuple:
        chosen = self.scriptedEffect.parameterSetNode()
        return (None, None) if chosen is None else (chosen.GetSegmentationNode(), chosen.GetSourceVolumeNode())

    def _config(self) -> PaintConfig:
        return PaintConfig(unpainted=self.unpaintedComboBox.itemData(self.unpaintedComboBox.currentIndex),
                           contour_tolerance=self.toleranceSpinBox.value)
