"""What cannot be registered is said before the run, in words that tell what to do."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, phantom

from meddl_slicer.panels.inputs.registration_inputs import (
    why_no_landmarks,
    why_no_mask,
    why_no_segmentations,
    why_not_a_pair,
    why_not_a_series,
)


@pytest.fixture
def volume(clean):
    return add_volume(phantom(), np.eye(4))


def label_map(shift=0.0):
    affine = np.eye(4)
    affine[0, 3] = shift
    return add_volume(np.ones((5, 5, 5), np.uint8), affine, "mask", "vtkMRMLLabelMapVolumeNode")


def segmentation(*names):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
    for name in names:
        node.GetSegmentation().AddEmptySegment("", name)
    return node


def points(count, name="point"):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    for index in range(count):
        node.AddControlPoint(float(index), 0.0, 0.0, f"{name} {index}")
    return node


def test_two_different_volumes_are_a_pair(volume):
    assert why_not_a_pair(volume, label_map()) is None
    assert "fixed" in why_not_a_pair(None, volume) and "moving" in why_not_a_pair(volume, None)
    assert "same" in why_not_a_pair(volume, volume)


def test_a_series_holds_two_volumes_or_more_and_is_not_its_own_output(volume):
    sequences = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode") for _ in range(3)]
    assert "Choose a sequence" in why_not_a_series(None)
    assert "does not hold volumes" in why_not_a_series(sequences[0])
    sequences[0].SetDataNodeAtValue(volume, "0")
    assert "one frame only" in why_not_a_series(sequences[0])
    sequences[0].SetDataNodeAtValue(volume, "1")
    assert why_not_a_series(*sequences) is None
    assert "overwrite" in why_not_a_series(sequences[0], None, sequences[0])
    assert "same sequence" in why_not_a_series(sequences[0], sequences[1], sequences[1])
    sequences[1].SetDataNodeAtValue(add_linear_transform(np.eye(4)), "0")
    assert "does not hold volumes" in why_not_a_series(sequences[1])


def test_a_mask_lies_inside_its_volume_and_holds_something(volume):
    assert why_no_mask(None, volume, "fixed") is None
    assert why_no_mask(label_map(), volume, "fixed") is None
    assert "lies outside the moving volume" in why_no_mask(label_map(100.0), volume, "moving")
    assert "is empty" in why_no_mask(segmentation(), volume, "fixed")
    assert "itself" in why_no_mask(volume, volume, "fixed")


def test_a_mask_counts_where_it_is_seen(volume):
    mask = label_map(100.0)
    back = np.eye(4)
    back[0, 3] = -100.0
    mask.SetAndObserveTransformNodeID(add_linear_transform(back).GetID())
    assert why_no_mask(mask, volume, "fixed") is None


def test_landmarks_come_in_pairs_by_name_or_by_order(volume):
    assert why_no_landmarks(None, None) is None
    assert why_no_landmarks(points(3), points(3, "other")) is None
    assert why_no_landmarks(points(3), points(2)) is None
    assert "3 fixed and 2 moving" in why_no_landmarks(points(3), points(2, "other"))
    assert "pairs" in why_no_landmarks(points(3), None)
    assert "no landmarks" in why_no_landmarks(points(3), points(0))
    same = points(3)
    assert "same list" in why_no_landmarks(same, same)


def test_segmentations_are_compared_by_the_names_of_their_structures(volume):
    assert why_no_segmentations(None, None) is None
    assert why_no_segmentations(segmentation("liver", "spleen"), segmentation("spleen")) is None
    assert "same name" in why_no_segmentations(segmentation("liver"), segmentation("spleen"))
    assert "both" in why_no_segmentations(segmentation("liver"), None)
