"""What a run shows before it ends: an alignment in the slice views, a slice in a label. Nothing of it remains."""

import numpy as np
import qt
import slicer
import vtk

from meddl_slicer.mrml.nodes import copy_display, is_label_map, read_node, update_volume_node
from meddl_slicer.mrml.slice_layers import SliceLayers
from meddl_slicer.mrml.transforms import grid_transform

OPACITY = 0.5


class AlignmentPreview:
    """The moving volume, warped as far as the registration is, over the fixed one in the slice views.

    A hidden copy of the moving volume lies under a hidden transform; the user's own nodes stay as they are. Both
    leave with `close`, and the slice views show again what they showed.
    """

    def __init__(self, fixedNode, movingNode):
        self._fixed, self._moving = fixedNode, movingNode
        self._layers = None
        self._transform = self._volume = None

    @property
    def shown(self) -> bool:
        """Whether it is in the slice views."""
        return self._transform is not None

    def show(self, value: dict) -> None:
        """Show an alignment.

        Args:
            value: {"affine": 4x4 fixed to moving RAS mm} and, where it is deformable, "displacement": Volume
                (3, I, J, K), mm along R, A, S: p goes to affine @ (p + u(p)).
        """
        if not self.shown:
            self._begin()
        matrix = slicer.util.vtkMatrixFromArray(np.ascontiguousarray(value["affine"], dtype=np.float64))
        displacement = value.get("displacement")
        if displacement is None:
            self._transform.SetMatrixTransformFromParent(matrix)
            return
        both = vtk.vtkGeneralTransform()
        both.PostMultiply()
        both.Concatenate(grid_transform(displacement))
        both.Concatenate(matrix)
        self._transform.SetAndObserveTransformFromParent(both)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._layers is not None:
            self._layers.restore((self._volume, self._fixed))
            self._layers = None
        made, self._volume, self._transform = (self._volume, self._transform), None, None
        for node in made:
            if node is not None and slicer.mrmlScene.IsNodePresent(node):
                remove_with_display(node)

    def _begin(self) -> None:
        self._layers = SliceLayers()
        self._transform = add_hidden("vtkMRMLTransformNode", "MedDL preview transform")
        kind = "vtkMRMLLabelMapVolumeNode" if is_label_map(self._moving) else "vtkMRMLScalarVolumeNode"
        self._volume = add_hidden(kind, "MedDL preview")
        volume, placement = read_node(self._moving)
        if placement.follows_parent:  # its voxels serve as they are
            self._volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.ascontiguousarray(volume.affine)))
            self._volume.SetAndObserveImageData(self._moving.GetImageData())
        else:
            update_volume_node(self._volume, volume)
        self._volume.CreateDefaultDisplayNodes()
        self._volume.GetDisplayNode().SaveWithSceneOff()
        copy_display(self._moving, self._volume)
        self._volume.SetAndObserveTransformNodeID(self._transform.GetID())
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            view.SetBackgroundVolumeID(self._fixed.GetID())
            view.SetForegroundVolumeID(self._volume.GetID())
            view.SetForegroundOpacity(OPACITY)


class PicturePreview:
    """One slice of a run's result in a QLabel, which is hidden when nothing runs."""

    def __init__(self, label, width: int = 360):
        self._label, self._width = label, width

    def show(self, value: dict) -> None:
        """Show a slice.

        Args:
            value: {"image": (rows, columns) numbers, the first row on top; where known "before": the same slice as it
                was, drawn at its left; "spacing_mm": height and width of a pixel}.
        """
        both = [value[name] for name in ("before", "image") if name in value]
        image = np.nan_to_num(np.concatenate([np.asarray(part, dtype=np.float32) for part in both], axis=1))
        low, high = np.percentile(image, (0.5, 99.5))
        gray = (np.clip((image - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)
        header = f"P5 {gray.shape[1]} {gray.shape[0]} 255\n".encode()
        pixmap = qt.QPixmap()
        pixmap.loadFromData(qt.QByteArray(header + gray.tobytes()))
        row_mm, column_mm = value.get("spacing_mm", (1.0, 1.0))
        height = round(self._width * gray.shape[0] * row_mm / (gray.shape[1] * column_mm))
        self._label.setPixmap(pixmap.scaled(self._width, height))
        self._label.visible = True

    def close(self) -> None:
        """Leave nothing behind."""
        self._label.clear()
        self._label.visible = False


def add_hidden(className: str, name: str):
    """A node that no selector and no tree lists, and no scene file keeps."""
    node = slicer.mrmlScene.CreateNodeByClass(className)
    node.UnRegister(None)
    node.SetName(name)
    node.HideFromEditorsOn()
    node.SaveWithSceneOff()
    return slicer.mrmlScene.AddNode(node)


def remove_with_display(node) -> None:
    """Remove a node and what shows it."""
    display = node.GetDisplayNode()
    slicer.mrmlScene.RemoveNode(node)
    if display is not None and slicer.mrmlScene.IsNodePresent(display):
        slicer.mrmlScene.RemoveNode(display)
