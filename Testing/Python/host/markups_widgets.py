"""qSlicerMarkupsPlaceWidget: the buttons that place and delete points of a markups node, over the real logic.

Behavior after Modules/Loadable/Markups/Widgets of Slicer. What Slicer only writes to the error log raises here.
"""

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .ctk_widgets import ctkColorPickerButton
from .mrml_widgets import mrml_widget, qSlicerWidget
from .observations import Observations

Property, Signal = QtCore.Property, QtCore.Signal


@mrml_widget
class qSlicerMarkupsPlaceWidget(qSlicerWidget):
    """Buttons for color, placing, deleting and more of the current markups node."""

    ShowPlaceMultipleMarkupsOption, HidePlaceMultipleMarkupsOption = 0, 1
    ForcePlaceSingleMarkup, ForcePlaceMultipleMarkups = 2, 3

    activeMarkupsPlaceModeChanged = Signal(bool)
    activeMarkupsFiducialPlaceModeChanged = Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._logic = slicer.app.moduleManager().module("Markups").logic()
        self._node = vtk.vtkWeakReference()
        self._interaction = self._selection = None
        self._of_node, self._of_interaction, self._of_selection = (Observations(self.updateWidget) for _ in range(3))
        self._several = self.ShowPlaceMultipleMarkupsOption
        self._told = self._updating = False
        self._color, self._place, self._delete, self._more = (
            ctkColorPickerButton(), QtWidgets.QToolButton(), QtWidgets.QToolButton(), QtWidgets.QToolButton())
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for button, name, text, tip in (
                (self._color, "ColorButton", "", "Select the display color."),
                (self._place, "PlaceButton", "+", "Place a control point"),
                (self._delete, "DeleteButton", "x", "Delete last added control point"),
                (self._more, "MoreButton", "...", "Click for more options")):
            button.setObjectName(name)
            button.setText(text)
            button.setToolTip(tip)
            row.addWidget(button)
        self._place.setCheckable(True)
        self._place.toggled.connect(self.setPlaceModeEnabled)
        self._delete.clicked.connect(lambda *_: self.modifyLastPoint())
        menu = QtWidgets.QMenu("Delete options", self._delete)
        menu.addAction("Delete all control points").triggered.connect(lambda *_: self.deleteAllPoints())
        self._delete.setMenu(menu)
        self._delete.setPopupMode(QtWidgets.QToolButton.MenuButtonPopup)
        self.updateWidget()

    # Nodes

    def setMRMLScene(self, scene):
        super().setMRMLScene(scene)
        known = self._logic.GetMRMLScene()
        get = (lambda name: None) if known is None else known.GetNodeByID
        self.setInteractionNode(get("vtkMRMLInteractionNodeSingleton"))
        self.setSelectionNode(get("vtkMRMLSelectionNodeSingleton"))
        self.updateWidget()

    def interactionNode(self):
        return self._interaction

    def setInteractionNode(self, node):
        self._interaction = node
        self._of_interaction.replace(node, (vtk.vtkCommand.ModifiedEvent,))

    def selectionNode(self):
        return self._selection

    def setSelectionNode(self, node):
        self._selection = node
        self._of_selection.replace(node, (vtk.vtkCommand.ModifiedEvent,))

    def currentNode(self):
        return self._node.Get()

    currentMarkupsNode = currentNode

    def currentMarkupsFiducialNode(self):
        node = self._node.Get()
        return node if node is not None and node.IsA("vtkMRMLMarkupsFiducialNode") else None

    def setCurrentNode(self, node):
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise ValueError(f"Could not find matching overload for given arguments: {node!r} is no vtkMRMLNode")
        if node is not None and not node.IsA("vtkMRMLMarkupsNode"):
            node = None
        if node is self._node.Get():
            return
        self._node.Set(node)
        kinds = slicer.vtkMRMLMarkupsNode
        self._of_node.replace(node, (
            vtk.vtkCommand.ModifiedEvent, kinds.PointAddedEvent, kinds.PointRemovedEvent,
            kinds.PointPositionDefinedEvent, kinds.PointPositionUndefinedEvent, kinds.DisplayModifiedEvent))
        self.updateWidget()

    def _ready(self):
        return None not in (self.mrmlScene(), self._interaction, self._node.Get())

    # Place mode

    def _is_active(self):
        node = self._node.Get()
        if not self._ready() or self._selection is None:
            return False
        return (self._logic.GetActiveListID() == node.GetID()
                and self._selection.GetActivePlaceNodeClassName() == node.GetClassName())

    def setCurrentNodeActive(self, active):
        if self.mrmlScene() is None or self._interaction is None:
            if active:
                raise RuntimeError("qSlicerMarkupsPlaceWidget::setCurrentNodeActive failed: scene or interaction node "
                                   "is invalid")
            return
        if self._is_active() == bool(active):
            return
        self._logic.SetActiveList(self._node.Get() if active else None)
        if not active:
            self._view()

    def _places(self):
        return self._is_active() and self._interaction.GetCurrentInteractionMode() == self._interaction.Place

    def setPlaceModeEnabled(self, enable):
        if not self._ready():
            if enable:
                raise RuntimeError("qSlicerMarkupsPlaceWidget::setPlaceModeEnabled activate failed: scene, interaction "
                                   "node or markups node is invalid")
            return
        if not enable:
            self._view()
            return
        if not self._is_active():
            self._logic.SetActiveList(self._node.Get())
        if self._several in (self.ForcePlaceSingleMarkup, self.ForcePlaceMultipleMarkups):
            self.setPlaceModePersistency(self._several == self.ForcePlaceMultipleMarkups)
        self._interaction.SetCurrentInteractionMode(self._interaction.Place)

    def _view(self):
        self._interaction.SetCurrentInteractionMode(self._interaction.ViewTransform)

    def _persistency(self):
        if self._interaction is None:
            raise RuntimeError("qSlicerMarkupsPlaceWidget::placeModePersistency failed: interactionNode is invalid")
        return bool(self._interaction.GetPlaceModePersistence())

    def setPlaceModePersistency(self, persistent):
        if self._interaction is None:
            raise RuntimeError("qSlicerMarkupsPlaceWidget::setPlaceModePersistency failed: interactionNode is invalid")
        self._interaction.SetPlaceModePersistence(int(persistent))

    def setPlaceMultipleMarkups(self, option):
        self._several = int(option)
        if self._places() and self._several in (self.ForcePlaceSingleMarkup, self.ForcePlaceMultipleMarkups):
            self.setPlaceModePersistency(self._several == self.ForcePlaceMultipleMarkups)

    # Points

    def modifyLastPoint(self):
        node = self._node.Get()
        if node is not None and node.GetFixedNumberOfControlPoints():
            self.unsetLastDefinedPoint()
        else:
            self.deleteLastPoint()

    def deleteLastPoint(self):
        node = self._node.Get()
        if node is not None and node.GetNumberOfControlPoints():
            node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)

    def deleteAllPoints(self):
        if self._node.Get() is not None:
            self._node.Get().RemoveAllControlPoints()

    def unsetLastDefinedPoint(self):
        node = self._node.Get()
        for index in reversed(range(0 if node is None else node.GetNumberOfControlPoints())):
            if node.GetNthControlPointPositionStatus(index) != node.PositionUndefined:
                node.UnsetNthControlPointPosition(index)
                return

    def unsetAllPoints(self):
        if self._node.Get() is not None:
            self._node.Get().UnsetAllControlPoints()

    # Buttons

    def placeButton(self):
        return self._place

    def deleteButton(self):
        return self._delete

    def _buttons(self):
        return self._color, self._place, self._delete, self._more

    def setButtonsVisible(self, visible):
        for button in self._buttons():
            button.setVisible(visible)

    def updateWidget(self):
        if self._updating:
            return
        self._updating = True
        try:
            self._update_buttons()
        finally:
            self._updating = False

    def _update_buttons(self):
        node, places = self._node.Get(), False
        if not self._ready():
            for button in self._buttons():
                button.setEnabled(False)
        else:
            self._color.setEnabled(True)
            self._place.setEnabled(not node.GetControlPointPlacementComplete())
            self._delete.setEnabled(node.GetNumberOfControlPoints() > 0)
            self._more.setEnabled(True)
            self._delete.setVisible(True)  # as Slicer does, also where all buttons were hidden
            places = self._places()
            blocked = self._place.blockSignals(True)
            self._place.setChecked(places)
            self._place.blockSignals(blocked)
        if places != self._told:
            self.activeMarkupsFiducialPlaceModeChanged.emit(places)
            self.activeMarkupsPlaceModeChanged.emit(places)
            self._told = places

    currentNodeActive = Property(bool, lambda self: self._is_active(), setCurrentNodeActive)
    placeModeEnabled = Property(bool, lambda self: self._places(), setPlaceModeEnabled)
    placeModePersistency = Property(bool, lambda self: self._persistency(), setPlaceModePersistency)
    placeMultipleMarkups = Property(int, lambda self: self._several, setPlaceMultipleMarkups)
    buttonsVisible = Property(bool, lambda self: all(button.isVisible() for button in self._buttons()),
                              setButtonsVisible)
