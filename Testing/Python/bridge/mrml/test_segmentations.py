"""A segmentation node lies over its volume, voxel for voxel, and says what its segments are."""

from dataclasses import replace

import bridge_targets
import numpy as np
import pytest
import slicer
from bridge_scene import (
    AFFINES,
    add_linear_transform,
    add_volume,
    add_warp,
    centered,
    phantom,
    turned,
)
from segmentation_nodes import segmented

from meddl_slicer.mrml import nodes, segmentations, tables

# Which way i points, and the handedness: the phantom's larger block lies at high i.
DIRECTIONS = {
    "right": np.diag([1.0, 1.0, 1.0]),
    "left": np.diag([-1.0, -1.0, 1.0]),
    "left, left-handed": np.diag([-1.0, 1.0, 1.0]),
    "oblique anisotropic": turned(25)[:3, :3] @ np.diag([0.7, 0.9, 4.0]),
    "oblique left-handed": turned(-20)[:3, :3] @ np.diag([-1.0, 1.0, 2.5]),
}


@pytest.fixture(autouse=True)
def empty_scene():
    slicer.mrmlScene.Clear(0)
    yield
    slicer.mrmlScene.Clear(0)


def segment_array(node, name, source):
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, source).transpose(2, 1, 0)


def exported_label_map(node, source):
    label_map = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic = slicer.modules.segmentations.logic()
    assert logic.ExportVisibleSegmentsToLabelmapNode(node, label_map, source)
    return label_map


def center_of(array, affine):
    return (affine[:3, :3] @ np.argwhere(array).mean(axis=0)) + affine[:3, 3]


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
def test_each_segment_holds_exactly_its_voxels(affine):
    source = add_volume(phantom(), affine)
    node, found = segmented(source)
    for segment in found.segments[:3]:
        if (found.labels == segment.value).any():
            assert np.array_equal(segment_array(node, segment.name, source), found.labels == segment.value)


@pytest.mark.parametrize("directions", DIRECTIONS.values(), ids=DIRECTIONS.keys())
def test_left_is_left_through_node_segmentation_and_export(directions, tmp_path):
    array = phantom()
    affine = centered(directions)
    larger_is_right = affine[0, 0] > 0
    source = add_volume(array, affine)
    node, _ = segmented(source)
    larger, smaller = ("right hippocampus", "left hippocampus") if larger_is_right else (
        "left hippocampus", "right hippocampus")
    assert segment_array(node, larger, source).sum() == 5 * 4 * 3
    assert segment_array(node, smaller, source).sum() == 2 * 2 * 2

    label_map = exported_label_map(node, source)
    exported = nodes.volume_from_node(label_map)
    counts = {value: int((exported.data == value).sum()) for value in np.unique(exported.data)}
    assert sorted(counts.values())[:2] == [8, 60]
    big = exported.data[0] == next(value for value, count in counts.items() if count == 60)
    assert (center_of(big, exported.affine)[0] > 0) == larger_is_right

    path = tmp_path / "labels.nrrd"
    assert slicer.util.saveNode(label_map, str(path))
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    from_file = SimpleITK.GetArrayFromImage(image)
    value = next(v for v in np.unique(from_file) if (from_file == v).sum() == 60)
    k, j, i = np.argwhere(from_file == value).mean(axis=0)
    lps = image.TransformContinuousIndexToPhysicalPoint((i, j, k))
    assert (-lps[0] > 0) == larger_is_right


def test_left_is_left_under_a_transform_that_turns_the_head_around():
    source = add_volume(phantom(), centered(np.eye(3)))
    source.SetAndObserveTransformNodeID(add_linear_transform(turned(180, (0, 0, 0))).GetID())
    node, _ = segmented(source)
    assert segment_array(node, "left hippocampus", source).sum() == 60


def test_names_colors_and_terminology_are_kept():
    node, found = segmented(add_volume(phantom(), centered(np.eye(3))))
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 3
    segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("left hippocampus"))
    assert segment.GetColor() == pytest.approx((0.9, 0.8, 0.1))
    assert segment.GetTerminology() == (
        "Segmentation category and type - 3D Slicer General Anatomy list"
        "~SCT^123037004^Anatomical Structure~SCT^5366008^Hippocampus~SCT^7771000^Left"
        "~Anatomic codes - DICOM master list~^^~^^")


def test_slicer_reads_the_terminology_back():
    node, _ = segmented(add_volume(phantom(), centered(np.eye(3))))
    segmentation = node.GetSegmentation()
    segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("right hippocampus"))
    entry = slicer.vtkSlicerTerminologyEntry()
    logic = slicer.vtkSlicerTerminologiesModuleLogic
    assert logic.DeserializeTerminologyEntry(segment.GetTerminology(), entry)
    assert entry.GetTypeObject().GetCodeMeaning() == "Hippocampus"
    assert entry.GetTypeModifierObject().GetCodeValue() == "24028007"
    assert logic.SerializeTerminologyEntry(entry) == segment.GetTerminology()


def test_structures_without_a_voxel_are_left_out():
    node, _ = segmented(add_volume(phantom(), centered(np.eye(3))))
    assert node.GetSegmentation().GetSegmentIdBySegmentName("never there") == ""


def test_segments_share_one_label_map():
    node, _ = segmented(add_volume(phantom(), centered(np.eye(3))))
    assert node.GetSegmentation().GetNumberOfLayers("Binary labelmap") == 1


def test_one_segment_can_be_changed_without_the_others():
    source = add_volume(phantom(), centered(np.eye(3)))
    node, found = segmented(source)
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName("left hippocampus")
    node.GetSegmentation().RemoveSegment(segment_id)
    assert np.array_equal(segment_array(node, "right hippocampus", source), found.labels == 53)


def test_the_reference_geometry_is_the_input():
    source = add_volume(phantom(), AFFINES["oblique"])
    node, _ = segmented(source)
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is source
    parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    ours = node.GetSegmentation().GetConversionParameter(parameter)
    node.SetReferenceImageGeometryParameterFromVolumeNode(source)
    theirs = node.GetSegmentation().GetConversionParameter(parameter)
    assert geometry(ours) == pytest.approx(geometry(theirs))


def geometry(text):
    return [float(part) for part in text.replace(";", " ").split()]


def test_under_a_linear_transform_the_node_overlays_its_source():
    source = add_volume(phantom(), AFFINES["oblique"])
    transform = add_linear_transform(turned())
    source.SetAndObserveTransformNodeID(transform.GetID())
    node, found = segmented(source)
    assert node.GetTransformNodeID() == transform.GetID()
    label_map = exported_label_map(node, source)
    world = nodes.volume_from_node(label_map)
    assert np.allclose(world.affine, turned() @ AFFINES["oblique"])
    assert np.array_equal(world.data[0] > 0, found.labels > 0)


def test_moving_the_source_in_mid_run_keeps_the_overlay():
    source = add_volume(phantom(), AFFINES["oblique"])
    volume, placement = nodes.read_node(source)
    found, _ = bridge_targets.threshold(volume)
    transform = add_linear_transform(turned())
    source.SetAndObserveTransformNodeID(transform.GetID())
    node = segmentations.create_segmentation_node(found, source, placement=placement)
    assert node.GetTransformNodeID() == transform.GetID()
    assert np.array_equal(segment_array(node, "dim", source), found.labels == 1)


def test_under_a_nonlinear_transform_the_node_lies_in_the_world_where_the_source_is_seen():
    source = add_volume(phantom(), centered(np.eye(3)))
    source.SetAndObserveTransformNodeID(add_warp((9.0, -4.0, 2.0), 10.0).GetID())
    node, found = segmented(source)
    assert node.GetTransformNodeID() is None
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName("right hippocampus")
    seen = node.GetSegmentCenterRAS(segment_id)
    assert seen == pytest.approx(center_of(found.labels == 53, found.affine), abs=1.0)


def test_the_node_is_in_the_folder_of_its_source():
    source = add_volume(phantom(), centered(np.eye(3)))
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(source), folder)
    node, _ = segmented(source)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    assert node.GetName() == "head segmentation"


def test_surfaces_are_shown_on_wish_only():
    source = add_volume(phantom(), centered(np.eye(3)))
    node, _ = segmented(source)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    display = node.GetDisplayNode()
    assert display.GetVisibility3D()  # what Slicer's Show 3D button makes later is seen
    assert display.GetDisplayRepresentationName3D() != "Closed surface"


def test_fluids_do_not_hide_what_lies_within_them():
    source = add_volume(phantom(), centered(np.eye(3)))
    found = segmented(source)[1]
    first, second = found.segments[:2]
    fluid = {"category": ["SCT", "91720002", "Body Substance"], "type": ["SCT", "65216001", "Cerebrospinal fluid"]}
    wet = replace(found, segments=(replace(first, terminology=fluid), *found.segments[1:]))
    display = segmentations.create_segmentation_node(wet, source).GetDisplayNode()
    assert not display.GetSegmentVisibility3D(f"Segment_{first.value}")
    assert display.GetSegmentVisibility3D(f"Segment_{second.value}")
    assert display.GetSegmentVisibility(f"Segment_{first.value}")


@pytest.mark.parametrize("directions", DIRECTIONS.values(), ids=DIRECTIONS.keys())
def test_surfaces_lie_where_slicer_would_put_them_and_face_outward(directions):
    source = add_volume(phantom(), centered(directions))
    node, _ = segmented(source, surfaces=True)
    assert node.GetDisplayNode().GetVisibility3D()
    name = "right hippocampus" if centered(directions)[0, 0] > 0 else "left hippocampus"
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
    ours = node.GetClosedSurfaceInternalRepresentation(segment_id)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    other.GetSegmentation().DeepCopy(node.GetSegmentation())
    other.GetSegmentation().RemoveRepresentation("Closed surface")
    other.CreateClosedSurfaceRepresentation()
    theirs = other.GetClosedSurfaceInternalRepresentation(segment_id)
    assert np.allclose(ours.GetBounds(), theirs.GetBounds(), atol=0.3 * max(source.GetSpacing()))
    assert enclosed_volume(ours) > 0
    assert enclosed_volume(ours) == pytest.approx(abs(enclosed_volume(theirs)), rel=0.1)


def enclosed_volume(surface):
    """Signed volume inside a triangle mesh: positive where its triangles are seen counterclockwise from outside."""
    from vtk.util.numpy_support import vtk_to_numpy

    points = vtk_to_numpy(surface.GetPoints().GetData()).astype(float)
    triangles = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_a_chosen_node_is_filled_and_keeps_its_name():
    source = add_volume(phantom(), centered(np.eye(3)))
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    chosen.GetSegmentation().AddEmptySegment("old", "old")
    node, _ = segmented(source, node=chosen)
    assert node is chosen
    assert node.GetName() == "mine"
    assert node.GetSegmentation().GetSegmentIdBySegmentName("old") == ""
    assert node.GetSegmentation().GetNumberOfSegments() == 3


def test_the_confidence_volume_overlays_the_source():
    source = add_volume(phantom(), AFFINES["left-handed"])
    transform = add_linear_transform(turned())
    source.SetAndObserveTransformNodeID(transform.GetID())
    _, found = segmented(source, confidence=True)
    node = segmentations.create_confidence_node(found, source)
    assert node.GetTransformNodeID() == transform.GetID()
    assert np.array_equal(nodes.affine_of_node(node), nodes.affine_of_node(source))
    assert np.allclose(nodes.volume_from_node(node).data, 0.75)
    assert node.GetName() == "head confidence"


def test_no_confidence_no_node():
    source = add_volume(phantom())
    _, found = segmented(source)
    assert segmentations.create_confidence_node(found, source) is None


def test_the_table_lists_every_structure_with_its_volume():
    source = add_volume(phantom(), centered(np.diag([1.0, 1.0, 2.0])))
    _, found = segmented(source)
    table = tables.create_volume_table(found, "volumes")
    assert [table.GetColumnName(c) for c in range(4)] == ["Structure", "Volume [ml]", "Left - right [%]", "Confidence"]
    assert [table.GetCellText(r, 0) for r in range(4)] == [s.name for s in found.segments]
    assert float(table.GetCellText(2, 1)) == pytest.approx(0.12)
    assert float(table.GetCellText(3, 1)) == 0
    assert [table.GetCellText(r, 3) for r in range(4)] == ["0.50", "", "", ""]


def test_a_saved_segmentation_reads_back_the_same(tmp_path):
    source = add_volume(phantom(), AFFINES["left-handed"])
    node, found = segmented(source)
    path = str(tmp_path / "head.seg.nrrd")
    assert slicer.util.saveNode(node, path)
    again = slicer.util.loadSegmentation(path)
    segment_id = again.GetSegmentation().GetSegmentIdBySegmentName("dim")
    array = slicer.util.arrayFromSegmentBinaryLabelmap(again, segment_id, source).transpose(2, 1, 0)
    assert np.array_equal(array, found.labels == 1)
