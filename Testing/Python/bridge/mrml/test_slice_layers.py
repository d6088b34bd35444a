"""What the slice views show comes back, and two volumes fade into each other."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, phantom

from meddl_slicer.mrml.slice_layers import SliceLayers, fade


@pytest.fixture
def volumes(clean):
    return [add_volume(phantom(), np.eye(4), name) for name in "abc"]


def layers():
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {(view.GetBackgroundVolumeID(), view.GetForegroundVolumeID(), view.GetForegroundOpacity())
            for view in views}


def ids(*nodes):
    return [node and node.GetID() for node in nodes]


def test_what_was_shown_comes_back(volumes):
    a, b, c = volumes
    slicer.util.setSliceViewerLayers(background=a, foreground=b, foregroundOpacity=0.25)
    before = SliceLayers()
    fade(c, a, 0.5)
    assert layers() == {(*ids(c, a), 0.5)}
    before.restore((c, a))
    assert layers() == {(*ids(a, b), 0.25)}


def test_what_a_person_has_chosen_meanwhile_stays(volumes):
    a, b, c = volumes
    slicer.util.setSliceViewerLayers(background=a)
    before = SliceLayers()
    fade(a, b, 0.5)
    slicer.util.setSliceViewerLayers(background=c, foreground=c, foregroundOpacity=1.0)
    before.restore((a, b))
    assert layers() == {(*ids(c, c), 1.0)}


def test_a_volume_that_has_left_the_scene_is_not_shown_again(volumes):
    a, b, c = volumes
    slicer.util.setSliceViewerLayers(background=a)
    before = SliceLayers()
    fade(b, c, 0.5)
    slicer.mrmlScene.RemoveNode(a)
    before.restore((b, c))
    assert {background for background, *_ in layers()} == {None}


def test_fading_needs_both_volumes(volumes):
    a, b, _ = volumes
    fade(a, b, 0.5)
    fade(a, None, 0.9)
    slicer.mrmlScene.RemoveNode(b)
    fade(a, b, 0.9)
    assert 0.9 not in {opacity for *_, opacity in layers()}
