"""The other qMRML and qSlicer widgets that a scripted module's .ui file may hold."""

import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .ctk_values import ctkDoubleSpinBox, ctkRangeWidget, ctkSliderWidget
from .observations import Observations
from .pythonqt import declare_host_class
from .ui_files import custom_widget

Signal = QtCore.Signal


def mrml_widget(cls):
    """Declare a class as one of Slicer's: offered to .ui files and as ``slicer.<name>``."""
    return custom_widget(declare_host_class(cls))


class _WithScene:
    """The scene part that Slicer's widgets share."""

    CPP_SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    _scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


@mrml_widget
class qMRMLWidget(_WithScene, QtWidgets.QWidget):
    """A widget that hands its scene on to those inside."""

    mrmlSceneChanged = Signal(object)


@mrml_widget
class qSlicerWidget(_WithScene, QtWidgets.QWidget):
    """A widget that hands its scene on to those inside."""

    mrmlSceneChanged = Signal(object)


@mrml_widget
class qMRMLSliderWidget(_WithScene, ctkSliderWidget):
    """A slider with a unit."""

    mrmlSceneChanged = Signal(object)
    quantity = QtCore.Property(str, lambda self: "", lambda self, value: None)
    unitAwareProperties = QtCore.Property(int, lambda self: 0, lambda self, value: None)


@mrml_widget
class qMRMLSpinBox(_WithScene, ctkDoubleSpinBox):
    """A spin box with a unit."""

    mrmlSceneChanged = Signal(object)
    quantity = QtCore.Property(str, lambda self: "", lambda self, value: None)


@mrml_widget
class qMRMLRangeWidget(_WithScene, ctkRangeWidget):
    """A range with a unit."""

    mrmlSceneChanged = Signal(object)


@mrml_widget
class qMRMLTableView(_WithScene, QtWidgets.QTableView):
    """Shows a table node; rows and columns come from its vtkTable."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node = None
        self._observations = Observations(self._fill)
        self.setModel(QtGui.QStandardItemModel(self))
        self.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)

    def mrmlTableNode(self):
        return self._node

    def setMRMLTableNode(self, node):
        self._node = node
        self._observations.replace(node, (vtk.vtkCommand.ModifiedEvent,))
        self._fill()

    def _fill(self):
        model = self.model()
        model.clear()
        table = self._node.GetTable() if self._node is not None else None
        if table is None:
            return
        columns = table.GetNumberOfColumns()
        names = [table.GetColumnName(c) or "" for c in range(columns)]
        if self._node.GetUseColumnTitleAsColumnHeader():
            names = [_with_unit(self._node, name) for name in names]
        model.setHorizontalHeaderLabels(names)
        for row in range(table.GetNumberOfRows()):
            cells = [table.GetValue(row, column).ToString() for column in range(columns)]
            model.appendRow([QtGui.QStandardItem(cell) for cell in cells])


def _with_unit(node, name):
    unit = node.GetColumnUnitLabel(name)
    return (node.GetColumnTitle(name) or name) + (f" [{unit}]" if unit else "")


@mrml_widget
class qMRMLSegmentsTableView(_WithScene, QtWidgets.QWidget):
    """Lists the segments of a segmentation node with their colors."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node = None
        self._observations = Observations(self._fill)
        self._list = QtWidgets.QListWidget(self)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._list)

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node):
        self._node = node
        self._observations.replace(node, (vtk.vtkCommand.ModifiedEvent,))
        self._fill()

    def _fill(self):
        self._list.clear()
        if self._node is None:
            return
        segmentation = self._node.GetSegmentation()
        for index in range(segmentation.GetNumberOfSegments()):
            segment = segmentation.GetNthSegment(index)
            pixmap = QtGui.QPixmap(14, 14)
            pixmap.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
            self._list.addItem(QtWidgets.QListWidgetItem(QtGui.QIcon(pixmap), segment.GetName()))
