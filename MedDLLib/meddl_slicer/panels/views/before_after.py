"""A slider between a volume as it was and as it is now: faded into each other, or revealed from a corner."""

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _

from meddl_slicer.mrml.nodes import affine_of_node, copy_display
from meddl_slicer.mrml.slice_layers import fade
from meddl_slicer.panels.views.previews import add_hidden, remove_with_display

_STEPS = 100


class BeforeAfter:
    """Drives beforeLabel, fadeSlider and afterLabel of a panel, and a check box for revealing beside them.

    Revealed, all slice views show a hidden volume: `after` on one side of an oblique plane, which the slider moves
    through the volume, so that it crosses every view, `before` on the other. It needs two volumes over one field of
    view; `before` is shown in voxels of `after`, in its window.

    Args:
        ui: the panel's widgets.
    """

    def __init__(self, ui):
        self._slider, self._before, self._after, self._hidden, self._composition = ui.fadeSlider, None, None, None, None
        self._labels = (ui.beforeLabel, ui.afterLabel)
        self.revealCheckBox = qt.QCheckBox(_("Reveal"))
        self.revealCheckBox.objectName = "revealCheckBox"
        self.revealCheckBox.toolTip = _("Move an edge between both through all slice views, instead of fading one into "
                                        "the other")
        layout = ui.resultsCollapsibleButton.layout().itemAt(0).layout()
        layout.addWidget(self.revealCheckBox)
        self._slider.connect("valueChanged(int)", self.onMoved)
        self.revealCheckBox.connect("toggled(bool)", self.onReveal)

    def show(self, before, after, percent: int = _STEPS) -> None:
        """Offer these two volume nodes, either may be None, with `percent` of `after`."""
        self.clear()
        self._before, self._after = before, after
        both = None not in (before, after)
        self._slider.enabled = both
        self.revealCheckBox.enabled = both and _have_same_field_of_view(before, after)
        self._slider.value = percent
        self.onMoved(percent)

    def setVisible(self, visible: bool) -> None:
        """Show the slider at all."""
        for widget in (self._slider, self.revealCheckBox, *self._labels):
            widget.visible = visible

    def clear(self) -> None:
        """Hold no node any more."""
        self.stop()
        self._before = self._after = None

    def stop(self) -> None:
        """Fade again: nothing of the reveal is left."""
        self.revealCheckBox.checked = False

    def close(self) -> None:
        """The panel goes."""
        self.clear()

    def onReveal(self, checked: bool) -> None:
        """The user has chosen to reveal, or to fade."""
        hidden, self._hidden, self._composition = self._hidden, None, None
        if checked and self._both_present():
            self._composition = _Composition(self._before, self._after)
            self._hidden = add_hidden("vtkMRMLScalarVolumeNode", "MedDL reveal")
            self._composition.place(self._hidden)
        self.onMoved(self._slider.value)
        if hidden is not None and slicer.mrmlScene.IsNodePresent(hidden):
            remove_with_display(hidden)

    def onMoved(self, percent: int) -> None:
        """Show so much of `after`."""
        if self._hidden is None:
            fade(self._before, self._after, percent / _STEPS)
            return
        if slicer.mrmlScene.IsNodePresent(self._hidden):
            slicer.util.updateVolumeFromArray(self._hidden, self._composition.compose(percent))
            slicer.util.setSliceViewerLayers(background=self._hidden, foreground=None)

    def _both_present(self) -> bool:
        return all(node is not None and slicer.mrmlScene.IsNodePresent(node) for node in (self._before, self._after))


class _Composition:
    """Both volumes in the voxels of `after`, and for each voxel where along the oblique direction it lies."""

    def __init__(self, before, after):
        self._node = after
        self._after, old = slicer.util.arrayFromVolume(after), slicer.util.arrayFromVolume(before)
        for axis, size in enumerate(self._after.shape):  # the nearest voxel of `before`, whose voxels may be thicker
            index = ((np.arange(size) + 0.5) * old.shape[axis] / size).astype(int)
            old = old if old.shape[axis] == size else np.take(old, index, axis)
        self._before = _in_window(old, before.GetDisplayNode(), after.GetDisplayNode()).astype(self._after.dtype)
        directions = np.sign(affine_of_node(after)[:3, :3].sum(axis=0))[::-1]
        ramps = [np.linspace(0, 1, size, dtype=np.float32)[::int(sign) or 1]
                 for size, sign in zip(self._after.shape, directions, strict=True)]
        place = ramps[0][:, None, None] + ramps[1][:, None] + ramps[2]
        self._place = np.rint(place * ((_STEPS - 1) / 3)).astype(np.uint8)

    def place(self, node) -> None:
        """Lay a node where `after` lies, to look like it."""
        matrix = vtk.vtkMatrix4x4()
        self._node.GetIJKToRASMatrix(matrix)
        node.SetIJKToRASMatrix(matrix)
        node.SetAndObserveTransformNodeID(self._node.GetTransformNodeID())
        slicer.util.updateVolumeFromArray(node, self.compose(_STEPS))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SaveWithSceneOff()
        copy_display(self._node, node)

    def compose(self, percent: int) -> np.ndarray:
        """`after` where the plane has passed, `before` beyond it."""
        return np.where(self._place < percent, self._after, self._before)


def _in_window(array: np.ndarray, own, other) -> np.ndarray:
    """Intensities scaled so that they look in another display's window as in their own."""
    if own is None or other is None or not own.GetWindow():
        return array
    return (array - own.GetLevel()) * (other.GetWindow() / own.GetWindow()) + other.GetLevel()


def _have_same_field_of_view(one, other) -> bool:
    """Whether two volume nodes lie under the same transform along the same axes over the same box, within a voxel."""
    if one.GetTransformNodeID() != other.GetTransformNodeID() or None in (one.GetImageData(), other.GetImageData()):
        return False
    corners = []
    for node in (one, other):
        ends = np.array(node.GetImageData().GetDimensions()) - 0.5
        box = np.array([[-0.5, *ends[1:], 1], [ends[0], -0.5, ends[2], 1], [*ends[:2], -0.5, 1], [*ends, 1]])
        corners.append((box @ affine_of_node(node).T)[:, :3])
    return bool(np.abs(corners[0] - corners[1]).max() <= max(*one.GetSpacing(), *other.GetSpacing()))
