"""Volumes that come into the scene while a panel is open."""

from collections.abc import Callable

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from meddl_slicer.mrml.nodes import is_plain_volume, why_not_usable
from meddl_slicer.runs import tasks


class NewVolumes(VTKObservationMixin):
    """Announces each scalar volume that is loaded, once its voxels are there and the selectors list it.

    Left out are results and previews of MedDL's own runs, and what comes with a scene.

    Args:
        onLoaded: called with the volume node.
    """

    def __init__(self, onLoaded: Callable):
        VTKObservationMixin.__init__(self)
        self._onLoaded = onLoaded

    def start(self) -> None:
        """Watch the scene."""
        self.stop()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self._onAdded)

    def stop(self) -> None:
        """Watch nothing."""
        self.removeObservers()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onAdded(self, caller, event, node) -> None:
        if (not is_plain_volume(node) or node.GetHideFromEditors() or tasks.putting_results()
                or slicer.mrmlScene.IsImporting()):
            return
        if why_not_usable(node) is None:
            self._announce(node)
        else:
            self.addObserver(node, node.ImageDataModifiedEvent, self._onImage)

    def _onImage(self, node, event) -> None:
        if why_not_usable(node) is None:
            self.removeObserver(node, node.ImageDataModifiedEvent, self._onImage)
            self._announce(node)

    def _announce(self, node) -> None:
        identifier = node.GetID()

        def announce() -> None:  # by now the selectors list it
            loaded = slicer.mrmlScene.GetNodeByID(identifier)
            if loaded is not None and self.hasObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent,
                                                       self._onAdded):
                self._onLoaded(loaded)

        qt.QTimer.singleShot(0, announce)
