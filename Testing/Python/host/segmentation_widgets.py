"""The widgets of Slicer's Segmentations module: the Show 3D button, and what the Segment Editor is made of.

Behavior after Modules/Loadable/Segmentations/Widgets of Slicer.
"""

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .ctk_values import ctkSliderWidget
from .ctk_widgets import ctkMenuButton
from .mrml_widgets import mrml_widget, qMRMLWidget
from .observations import Observations
from .segment_editor_effects import EffectsOfEditor

Property, Signal = QtCore.Property, QtCore.Signal

_CONVERSION = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule


def _surface():
    return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()


def _label_map():
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def expect_node(node, class_name):
    """What PythonQt does with an argument of another type than the C++ function takes."""
    if node is not None and not (isinstance(node, slicer.vtkMRMLNode) and node.IsA(class_name)):
        raise ValueError(f"Could not find matching overload for given arguments: {node!r} is no {class_name}")


@mrml_widget
class qMRMLSegmentationShow3DButton(ctkMenuButton):
    """Makes the closed surface of a segmentation, or takes it away; its menu says how the surface is made."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node = vtk.vtkWeakReference()
        self._observations = Observations(self.updateWidgetFromMRML)
        self._locked = False
        self.setCheckable(True)
        self.setText("Show 3D")
        self.toggled.connect(self.onToggled)
        menu = QtWidgets.QMenu("Show 3D", self)
        self._smooth = menu.addAction("Surface smoothing")
        self._smooth.setCheckable(True)
        self._smooth.toggled.connect(self.onEnableSurfaceSmoothingToggled)
        factor = menu.addMenu("Smoothing factor")
        self._slider = ctkSliderWidget(factor)
        self._slider.decimals, self._slider.minimum, self._slider.maximum = 2, 0.0, 1.0
        self._slider.value = 0.5
        self._slider.valueChanged.connect(self.onSurfaceSmoothingFactorChanged)
        holder = QtWidgets.QWidgetAction(factor)
        holder.setDefaultWidget(self._slider)
        factor.addAction(holder)
        self.setMenu(menu)
        self.setEnabled(False)

    def segmentationNode(self):
        return self._node.Get()

    def setSegmentationNode(self, node):
        expect_node(node, "vtkMRMLSegmentationNode")
        if node is self._node.Get():
            return
        self._node.Set(node)
        content = slicer.vtkSegmentation
        self._observations.replace(node, (vtk.vtkCommand.ModifiedEvent, content.SegmentAdded, content.SegmentRemoved,
                                          content.ContainedRepresentationNamesModified))
        self.updateWidgetFromMRML()

    def setLocked(self, locked):
        self._locked = bool(locked)
        self.updateWidgetFromMRML()

    locked = Property(bool, lambda self: self._locked, setLocked)

    def _content(self):
        node = self._node.Get()
        return None if node is None else node.GetSegmentation()

    def onToggled(self, on=True):
        content = self._content()
        if content is None:
            return
        node = self._node.Get()
        with slicer.util.NodeModify(node):
            if on and content.CreateRepresentation(_surface()):
                display = node.GetDisplayNode()
                if display is not None:
                    display.SetPreferredDisplayRepresentationName3D(_surface())
                    if content.ContainsRepresentation(_label_map()):
                        display.SetPreferredDisplayRepresentationName2D(_label_map())
            elif not on and content.GetSourceRepresentationName() != _surface():
                content.RemoveRepresentation(_surface())

    def _factor(self):
        return float(self._content().GetConversionParameter(_CONVERSION.GetSmoothingFactorParameterName()))

    def onEnableSurfaceSmoothingToggled(self, enabled):
        if self._content() is None:
            raise RuntimeError("No segmentation selected")  # Slicer writes it to the error log
        factor = abs(self._factor()) or 0.5
        self._set_factor(factor if enabled else -factor)

    def onSurfaceSmoothingFactorChanged(self, factor):
        if self._content() is None:
            raise RuntimeError("No segmentation selected")
        self._set_factor(-factor if self._factor() < 0 else factor)

    def _set_factor(self, factor):
        """The sign says whether the surface is smoothed."""
        content, node = self._content(), self._node.Get()
        if factor == self._factor():
            return
        with slicer.util.NodeModify(node):
            content.SetConversionParameter(_CONVERSION.GetSmoothingFactorParameterName(), repr(factor))
            if content.ContainsRepresentation(_surface()):
                content.CreateRepresentation(_surface(), True)
                node.Modified()
        self.updateWidgetFromMRML()

    def updateWidgetFromMRML(self):
        content = self._content()
        if content is None:
            self.setEnabled(False)
            return
        self.setEnabled(not self._locked and content.GetNumberOfSegments() > 0
                        and content.GetSourceRepresentationName() != _surface())
        factor = self._factor()
        for widget, show in ((self, lambda: self.setChecked(content.ContainsRepresentation(_surface()))),
                             (self._smooth, lambda: self._smooth.setChecked(factor >= 0)),
                             (self._slider, lambda: self._slider.setValue(abs(factor)))):
            blocked = widget.blockSignals(True)
            show()
            widget.blockSignals(blocked)
        self._slider.setEnabled(factor >= 0)


@mrml_widget
class qMRMLSegmentEditorWidget(EffectsOfEditor, qMRMLWidget):
    """What stands in Slicer's Segment Editor: choice of segmentation and source volume, over the real logic.

    Slicer's own effects are left out.
    """

    segmentationNodeChanged = Signal(object)
    sourceVolumeNodeChanged = Signal(object)

    CPP_SIGNALS = {
        "segmentationNodeChanged(vtkMRMLSegmentationNode*)": "segmentationNodeChanged",
        "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)": "sourceVolumeNodeChanged",
    }

    def __init__(self, parent=None):
        super().__init__(parent)
        from .node_combo_box import qMRMLNodeComboBox

        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._observations = Observations(self.updateWidgetFromMRML)
        self._shown = self._shown_source = None
        self._undo_states = 5
        self._effects, self._active = [], None
        self._segmentation, self._source = qMRMLNodeComboBox(), qMRMLNodeComboBox()
        for combo, kind in ((self._segmentation, "vtkMRMLSegmentationNode"), (self._source, "vtkMRMLScalarVolumeNode")):
            combo.nodeTypes = [kind]
            combo.noneEnabled = True
        form = QtWidgets.QFormLayout(self)
        form.addRow("Segmentation:", self._segmentation)
        form.addRow("Source volume:", self._source)
        self._segmentation.currentNodeChanged.connect(self._on_segmentation_chosen)
        self._source.currentNodeChanged.connect(self.setSourceVolumeNode)
        self.updateEffectList()

    def setMRMLScene(self, scene):
        if scene is self.mrmlScene():
            return
        super().setMRMLScene(scene)
        self._logic.SetMRMLScene(scene)
        self._segmentation.setMRMLScene(scene)
        self._source.setMRMLScene(scene)
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self):
        return self._logic.GetSegmentEditorNode()

    def setMRMLSegmentEditorNode(self, node):
        expect_node(node, "vtkMRMLSegmentEditorNode")
        if node is self._logic.GetSegmentEditorNode():
            return
        self._logic.SetSegmentEditorNode(node)
        self._observations.replace(node, (vtk.vtkCommand.ModifiedEvent,))
        self.showParametersInEffects()
        self.updateWidgetFromMRML()

    def segmentationNode(self):
        return self._segmentation.currentNode()

    def segmentationNodeID(self):
        return self._segmentation.currentNodeID

    def setSegmentationNode(self, node):
        expect_node(node, "vtkMRMLNode")
        if node is not self._logic.GetSegmentationNode():
            self._logic.SetSegmentationNode(node)

    def setSegmentationNodeID(self, node_id):
        self.setSegmentationNode(self.mrmlScene().GetNodeByID(node_id))

    def sourceVolumeNode(self):
        return self._logic.GetSourceVolumeNode()

    def sourceVolumeNodeID(self):
        node = self.sourceVolumeNode()
        return "" if node is None else node.GetID()

    def setSourceVolumeNode(self, node):
        expect_node(node, "vtkMRMLNode")
        self._logic.SetSourceVolumeNode(node)

    def setSourceVolumeNodeID(self, node_id):
        self.setSourceVolumeNode(self.mrmlScene().GetNodeByID(node_id or ""))

    def _on_segmentation_chosen(self, node):
        if self.mrmlScene() is not None and not self.mrmlScene().IsBatchProcessing():
            self.setSegmentationNode(node)

    def updateWidgetFromMRML(self):
        if self.mrmlScene() is None or self._logic.GetSegmentEditorNode() is None:
            return
        node = self._logic.GetSegmentationNode()
        self._show(self._segmentation, node)
        if node is not self._shown:
            self._shown = node
            if node is not None:
                self._source.setCurrentNode(node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()))
                node.CreateDefaultDisplayNodes()
            self.segmentationNodeChanged.emit(node)
        source = self._logic.GetSourceVolumeNode()
        if node is not None and source is not self._shown_source:
            self._shown_source = source
            self._show(self._source, source)
            if source is not None:
                slicer.util.setSliceViewerLayers(background=source)
            self.sourceVolumeNodeChanged.emit(source)

    @staticmethod
    def _show(combo, node):
        blocked = combo.blockSignals(True)
        combo.setCurrentNode(node)
        combo.blockSignals(blocked)

    def installKeyboardShortcuts(self, parent=None):
        """There are no effects to choose by keys."""

    def uninstallKeyboardShortcuts(self):
        """There are no effects to choose by keys."""

    def removeViewObservations(self):
        """No view is observed without effects."""

    def setupViewObservations(self):
        """No view is observed without effects."""

    def setMaximumNumberOfUndoStates(self, count):
        self._undo_states = int(count)

    maximumNumberOfUndoStates = Property(int, lambda self: self._undo_states, setMaximumNumberOfUndoStates)
