"""Segmentation nodes come into meddl layer by layer where they are seen, and go back with names, colors and codes."""

import numpy as np
import pytest
import slicer
import vtk
from bridge_scene import AFFINES, OBLIQUE, add_linear_transform, add_volume, add_warp, turned

from meddl.core.errors import InputError
from meddl.results import Segment, Segmentation
from meddl_slicer.mrml import nodes, segment_layers
from meddl_slicer.mrml.segmentations import create_segmentation_node

ANATOMY = {"category": ["SCT", "123037004", "Anatomical Structure"], "type": ["SCT", "5366008", "Hippocampus"],
           "modifier": None}


@pytest.fixture(autouse=True)
def empty_scene():
    slicer.mrmlScene.Clear(0)
    yield
    slicer.mrmlScene.Clear(0)


def labels(shape=(20, 18, 16)) -> np.ndarray:
    array = np.zeros(shape, np.uint8)
    array[3:8, 4:9, 5:9], array[10:15, 4:9, 5:9] = 1, 17
    return array


def segmented(affine=OBLIQUE):
    volume = add_volume(labels().astype(np.int16), affine)
    segments = (Segment(1, "dim", (0.1, 0.2, 0.9)), Segment(17, "hippocampus", (0.9, 0.8, 0.1), ANATOMY))
    found = Segmentation(labels(), nodes.volume_from_node(volume).affine, segments)
    return volume, create_segmentation_node(found, volume)


def add_overlapping_segment(node):
    """A segment in a layer of its own, cropped: its image does not start at index zero."""
    image = slicer.vtkOrientedImageData()
    image.SetExtent(5, 12, 4, 8, 5, 8)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(1)
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(OBLIQUE))
    segment = slicer.vtkSegment()
    segment.SetName("over both")
    segment.AddRepresentation(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName(), image)
    node.GetSegmentation().AddSegment(segment, "over")


def voxels_mm(layer, name):
    value = next(s.value for s in layer.labels.segments if s.name == name)
    return layer.labels.grid.points_mm(np.argwhere(layer.labels.labels == value))


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
def test_every_voxel_is_read_where_it_is(affine):
    _, node = segmented(affine)
    layer, = segment_layers.read_layers(node)
    expected = np.argwhere(labels() == 17) @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(voxels_mm(layer, "hippocampus"), expected, atol=1e-6)
    assert {segment.name for segment in layer.labels.segments} == {"dim", "hippocampus"}


def test_a_linear_parent_transform_is_followed():
    volume, node = segmented()
    parent = add_linear_transform(turned())
    node.SetAndObserveTransformNodeID(parent.GetID())
    layer, = segment_layers.read_layers(node)
    np.testing.assert_allclose(layer.labels.affine[:3, :3], (turned() @ OBLIQUE)[:3, :3], atol=1e-9)
    node.SetAndObserveTransformNodeID(add_warp((1, 0, 0), 5).GetID())
    with pytest.raises(InputError, match="linear"):
        segment_layers.read_layers(node)


def test_overlapping_segments_come_in_layers():
    _, node = segmented()
    add_overlapping_segment(node)
    layers = segment_layers.read_layers(node)
    assert sorted(name for layer in layers for name in layer.ids) == ["Segment_1", "Segment_17", "over"]
    over = next(layer for layer in layers if "over" in layer.ids)
    expected = np.argwhere(np.ones((8, 5, 4))) + np.array([5, 4, 5])
    np.testing.assert_allclose(voxels_mm(over, "over both"), expected @ OBLIQUE[:3, :3].T + OBLIQUE[:3, 3], atol=1e-6)


def test_surfaces_are_turned_into_label_maps_on_a_copy():
    volume, node = segmented()
    content = node.GetSegmentation()
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    assert content.CreateRepresentation(surface)
    content.SetSourceRepresentationName(surface)
    content.RemoveRepresentation(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())
    layers = segment_layers.read_layers(node, volume)
    found = np.concatenate([voxels_mm(layer, "dim") for layer in layers if "Segment_1" in layer.ids])
    expected = np.argwhere(labels() == 1) @ OBLIQUE[:3, :3].T + OBLIQUE[:3, 3]
    assert np.linalg.norm(found.mean(axis=0) - expected.mean(axis=0)) < 1.0
    assert 0.4 < len(found) / len(expected) < 1.5  # surfaces are smoothed
    assert not content.ContainsRepresentation(
        slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())


def test_layers_go_back_as_they_came():
    volume, node = segmented()
    add_overlapping_segment(node)
    layers = segment_layers.read_layers(node)
    _, placement = nodes.read_node(volume)
    made = segment_layers.create_from_layers(layers, node, "copy", placement, volume)
    again = segment_layers.read_layers(made)
    for before, after in zip(layers, again):
        np.testing.assert_array_equal(before.labels.labels, after.labels.labels)
        np.testing.assert_allclose(before.labels.affine, after.labels.affine, atol=1e-9)
    for identifier in ("Segment_1", "Segment_17", "over"):
        old, new = node.GetSegmentation().GetSegment(identifier), made.GetSegmentation().GetSegment(identifier)
        assert (new.GetName(), new.GetColor(), new.GetTerminology()) == \
            (old.GetName(), old.GetColor(), old.GetTerminology())


def test_what_has_no_segments_is_refused():
    with pytest.raises(InputError, match="no segment"):
        segment_layers.read_layers(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty"))
    with pytest.raises(InputError, match="segmentation was expected"):
        segment_layers.read_layers(add_volume(labels()))
