"""The slider between a volume as it was and as it is now: faded, or revealed by an edge that moves."""

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, centered, turned

from meddl_slicer.panels.views.before_after import BeforeAfter

SHAPE = (24, 20, 16)


@pytest.fixture
def ui(clean):
    import ctk
    import qt

    button = ctk.ctkCollapsibleButton()
    layout, row = qt.QVBoxLayout(button), qt.QHBoxLayout()
    slider = qt.QSlider()
    slider.maximum = 100
    labels = qt.QLabel("Before"), qt.QLabel("After")
    for widget in (labels[0], slider, labels[1]):
        row.addWidget(widget)
    layout.addLayout(row)
    yield SimpleNamespace(resultsCollapsibleButton=button, fadeSlider=slider, beforeLabel=labels[0],
                          afterLabel=labels[1])
    button.delete()


def volume(array, directions):
    """A volume node that is shown in a window of its own choice."""
    node = add_volume(array, centered(directions, array.shape))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(100, 50)
    return node


def flat(value, directions=None):
    return volume(np.full(SHAPE, value, np.int16), np.eye(3) if directions is None else directions)


def hidden():
    return [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetHideFromEditors()]


def shown():
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    return composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()


def test_it_fades_until_reveal_is_chosen(ui):
    before, after = flat(10), flat(20)
    slider = BeforeAfter(ui)
    slider.show(before, after, 50)
    assert shown() == (before.GetID(), after.GetID(), 0.5) and not hidden()
    ui.fadeSlider.value = 80
    assert shown()[2] == pytest.approx(0.8)


def test_the_edge_moves_through_the_volume_and_everything_is_as_before_afterwards(ui):
    before, after = flat(10), flat(20)
    slider = BeforeAfter(ui)
    slider.show(before, after)
    slider.revealCheckBox.checked = True
    (node,) = hidden()
    fractions = []
    for percent in (0, 30, 70, 100):
        ui.fadeSlider.value = percent
        array = slicer.util.arrayFromVolume(node)
        assert set(np.unique(array)) <= {10, 20} and shown()[0] == node.GetID()
        fractions.append(float((array == 20).mean()))
    assert fractions[0] == 0 and fractions[-1] == 1 and 0 < fractions[1] < 0.5 < fractions[2] < 1
    for axis in range(3):  # the edge crosses every view
        ui.fadeSlider.value = 50
        middle = np.take(slicer.util.arrayFromVolume(node), SHAPE[::-1][axis] // 2, axis)
        assert 0.2 < (middle == 20).mean() < 0.8
    slider.revealCheckBox.checked = False
    assert not hidden() and shown()[:2] == (before.GetID(), after.GetID())


def test_thick_slices_are_revealed_as_blocks_of_the_new_voxels(ui):
    thick = volume(np.tile(np.arange(4, dtype=np.int16)[None, :, None], (8, 1, 1)), np.diag([1.0, 4.0, 1.0]))
    sharp = volume(np.full((8, 16, 1), 9, np.int16), np.eye(3))
    slider = BeforeAfter(ui)
    slider.show(thick, sharp, 0)
    slider.revealCheckBox.checked = True
    array = slicer.util.arrayFromVolume(hidden()[0])
    assert array.shape == (1, 16, 8)
    values = array[0, :, 0]
    assert (np.diff(values.reshape(4, 4), axis=1) == 0).all() and (np.diff(values[::4]) > 0).all()


def test_other_windows_are_scaled_to_look_alike(ui):
    before, after = flat(100), flat(1000)
    for node, window, level in ((before, 200, 100), (after, 2000, 1000)):
        node.GetDisplayNode().SetWindowLevel(window, level)
    slider = BeforeAfter(ui)
    slider.show(before, after, 0)
    slider.revealCheckBox.checked = True
    assert (slicer.util.arrayFromVolume(hidden()[0]) == 1000).all()


@pytest.mark.parametrize("other", ["moved", "turned", "under a transform", "none"])
def test_volumes_of_other_places_can_only_be_faded(ui, other):
    before, after = flat(10), flat(20)
    if other == "moved":
        after.SetOrigin(90, 0, 0)
    elif other == "turned":
        after = flat(20, directions=turned(20)[:3, :3])
    elif other == "under a transform":
        after.SetAndObserveTransformNodeID(add_linear_transform(turned()).GetID())
    slider = BeforeAfter(ui)
    slider.show(before, None if other == "none" else after)
    assert not slider.revealCheckBox.enabled


def test_nothing_is_left_when_the_panel_lets_go_or_a_volume_is_removed(ui):
    before, after = flat(10), flat(20)
    slider = BeforeAfter(ui)
    slider.show(before, after)
    slider.revealCheckBox.checked = True
    slicer.mrmlScene.RemoveNode(before)
    ui.fadeSlider.value = 40
    slider.close()
    assert not hidden() and not slider.revealCheckBox.checked
    slider.revealCheckBox.checked = True
    assert not hidden()
