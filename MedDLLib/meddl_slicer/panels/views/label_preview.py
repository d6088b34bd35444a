"""Labels of a segmentation that is still running, over its volume in the slice views. Nothing of them remains."""

import slicer

from meddl_slicer.mrml.nodes import update_volume_node
from meddl_slicer.panels.views.previews import add_hidden, remove_with_display

OPACITY = 0.5


class LabelPreview:
    """A hidden label map in the label layer of the slice views; they show again what they showed after `close`."""

    def __init__(self, volumeNode):
        self._volume = volumeNode
        self._labels = self._colors = None
        self._views = []

    @property
    def shown(self) -> bool:
        """Whether it is in the slice views."""
        return self._labels is not None

    def show(self, value: dict) -> None:
        """Show the labels found so far.

        Args:
            value: {"kind": "labels", "labels": Volume (1, I, J, K) in world RAS mm, "colors": red, green,
                blue, 0 to 255, by label value}; other kinds are passed over.
        """
        if value.get("kind") != "labels" or not slicer.mrmlScene.IsNodePresent(self._volume):
            return
        if not self.shown:
            self._begin(value["colors"])
        update_volume_node(self._labels, value["labels"])

    def close(self) -> None:
        """Leave nothing behind."""
        for identifier, before, opacity in self._views:
            view = slicer.mrmlScene.GetNodeByID(identifier)
            if view is not None and self._labels is not None and view.GetLabelVolumeID() == self._labels.GetID():
                view.SetLabelVolumeID(before if before and slicer.mrmlScene.GetNodeByID(before) else None)
                view.SetLabelOpacity(opacity)
        labels, colors, self._labels, self._colors, self._views = self._labels, self._colors, None, None, []
        if labels is not None and slicer.mrmlScene.IsNodePresent(labels):
            remove_with_display(labels)
        if colors is not None and slicer.mrmlScene.IsNodePresent(colors):
            slicer.mrmlScene.RemoveNode(colors)

    def _begin(self, colors: dict) -> None:
        self._colors = add_hidden("vtkMRMLColorTableNode", "MedDL preview colors")
        self._colors.SetTypeToUser()
        self._colors.SetNumberOfColors(max(colors) + 1)
        for value, color in colors.items():
            self._colors.SetColor(value, *(part / 255 for part in color), 1.0)
        self._colors.SetColor(0, 0, 0, 0, 0)
        self._labels = add_hidden("vtkMRMLLabelMapVolumeNode", "MedDL preview labels")
        self._labels.CreateDefaultDisplayNodes()
        display = self._labels.GetDisplayNode()
        display.SaveWithSceneOff()
        display.SetAndObserveColorNodeID(self._colors.GetID())
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            self._views.append((view.GetID(), view.GetLabelVolumeID(), view.GetLabelOpacity()))
            view.SetBackgroundVolumeID(self._volume.GetID())
            view.SetLabelVolumeID(self._labels.GetID())
            view.SetLabelOpacity(OPACITY)
