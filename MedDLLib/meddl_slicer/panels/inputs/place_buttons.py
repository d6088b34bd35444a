"""The buttons beside a selector of markups that place and delete points in the slice views."""

import slicer
from slicer.util import VTKObservationMixin


class PlaceButtons(VTKObservationMixin):
    """A place widget that follows a selector of markups; a node that the user makes there is placed at once.

    Args:
        selector: qMRMLNodeComboBox of markups.
        placeWidget: qSlicerMarkupsPlaceWidget.
        several: whether one click after the other places a point, until the user stops.
        onChanged: called without arguments when points were placed or deleted, and when placing begins or ends.
    """

    def __init__(self, selector, placeWidget, several: bool, onChanged):
        VTKObservationMixin.__init__(self)
        self._placeWidget = placeWidget
        self._onChanged = onChanged
        placeWidget.buttonsVisible = False
        placeWidget.placeButton().show()
        kinds = slicer.qSlicerMarkupsPlaceWidget
        placeWidget.placeMultipleMarkups = kinds.ForcePlaceMultipleMarkups if several else kinds.ForcePlaceSingleMarkup
        selector.connect("currentNodeChanged(vtkMRMLNode*)", self._follow)
        selector.connect("nodeAddedByUser(vtkMRMLNode*)", self._placeNew)
        placeWidget.connect("activeMarkupsPlaceModeChanged(bool)", self._onPlaceMode)
        self._follow(selector.currentNode())

    def stop(self) -> None:
        """Leave the place mode, where this widget began it."""
        if self._placeWidget.placeModeEnabled:
            self._placeWidget.setPlaceModeEnabled(False)

    def close(self) -> None:
        """Observe no node any more."""
        self.removeObservers()

    def _follow(self, node) -> None:
        self.removeObservers()
        self._placeWidget.setCurrentNode(node)
        if node is not None:
            for event in (node.PointPositionDefinedEvent, node.PointPositionUndefinedEvent, node.PointRemovedEvent):
                self.addObserver(node, event, self._onPoints)

    def _placeNew(self, node) -> None:
        self._placeWidget.setCurrentNode(node)
        self._placeWidget.setPlaceModeEnabled(True)

    def _onPlaceMode(self, enabled: bool) -> None:
        self._onChanged()

    def _onPoints(self, caller, event) -> None:
        self._onChanged()
