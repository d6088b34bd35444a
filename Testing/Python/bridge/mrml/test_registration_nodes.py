"""A registration of nodes, with a known map in the worker: what it reads, what it leaves, and that it can be undone."""

import xml.etree.ElementTree as ElementTree
from dataclasses import fields

import bridge_targets
import numpy as np
import pytest
import slicer
import vtk
from bridge_scene import (
    AFFINES,
    add_linear_transform,
    add_volume,
    add_warp,
    centered,
    phantom,
    scene_contents,
    turned,
)
from places import REPOSITORY

from meddl.core.errors import InputError
from meddl.results import Registration, Segment, Segmentation
from meddl_slicer.mrml import nodes, registration_nodes, segment_layers
from meddl_slicer.mrml.registration_nodes import VOLUME_RESULTS, RegistrationInputs, RegistrationOutputs
from meddl_slicer.mrml.registration_results import ComputedOutputs, RegistrationResults, RequestedOutputs
from meddl_slicer.mrml.segmentations import create_segmentation_node
from meddl_slicer.runs import verbs

WITHIN_MM = 0.01


@pytest.fixture(autouse=True)
def known_bend(bridge_worker, monkeypatch):
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:known_bend")
    slicer.mrmlScene.Clear(0)
    yield
    slicer.mrmlScene.Clear(0)


def volumes(affine=None):
    """A fixed and a moving volume node."""
    affine = centered(np.diag([2.0, 2.0, 2.5])) if affine is None else affine
    return add_volume(phantom(), affine, "fixed"), add_volume(phantom(), affine, "moving")


def truth(fixedNode) -> Registration:
    grid = nodes.volume_from_node(fixedNode).grid
    return Registration(*bridge_targets.bend_of(grid), grid)


def inside(fixedNode, count=300):
    grid = nodes.volume_from_node(fixedNode).grid
    return grid.points_mm(np.random.default_rng(1).uniform(-0.5, np.array(grid.shape) - 0.5, (count, 3)))


def through(transform, points):
    return np.array([transform.TransformPoint(*point) for point in points])


def from_world(node, points):
    general = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(general)
    return through(general, points)


# --- the transform ---


@pytest.mark.parametrize("parents", ["none", "of the fixed", "of the moving", "of both", "chains"])
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
def test_the_node_moves_fixed_points_as_the_registration_does(affine, parents):
    fixed, moving = volumes(affine)
    if parents in ("of the fixed", "of both", "chains"):
        fixed.SetAndObserveTransformNodeID(add_linear_transform(turned(25, (5, 6, -7))).GetID())
    if parents in ("of the moving", "of both", "chains"):
        moving.SetAndObserveTransformNodeID(add_linear_transform(turned(-40, (1, 9, 2))).GetID())
    if parents == "chains":
        fixed.GetParentTransformNode().SetAndObserveTransformNodeID(add_linear_transform(turned(70)).GetID())
    node = verbs.register_nodes(fixed, moving)
    points = inside(fixed)
    expected = truth(fixed).points(points)
    assert node.GetParentTransformNode() is None
    assert np.abs(through(node.GetTransformFromParent(), points) - expected).max() < WITHIN_MM
    assert np.abs(from_world(node, points) - expected).max() < WITHIN_MM
    assert np.abs(through(node.GetTransformToParent(), expected) - points).max() < WITHIN_MM


def test_a_nonlinear_parent_is_taken_where_the_volume_is_seen():
    fixed, moving = volumes()
    fixed.SetAndObserveTransformNodeID(add_warp((3, 0, 0), 8).GetID())
    node = verbs.register_nodes(fixed, moving)
    points = inside(fixed)
    assert np.abs(through(node.GetTransformFromParent(), points) - truth(fixed).points(points)).max() < WITHIN_MM


def test_a_sheared_fixed_volume_gets_a_transform_on_a_grid_with_right_angles():
    affine = centered(np.array([[2.0, 0.6, 0], [0, 2, 0], [0, 0, 2.5]]))
    fixed, moving = volumes(affine)
    node = verbs.register_nodes(fixed, moving)
    points = inside(fixed)
    missed = np.abs(through(node.GetTransformFromParent(), points) - truth(fixed).points(points))
    assert missed.max() < 3 * WITHIN_MM  # the field is resampled


def test_the_inverse_node_leads_back():
    fixed, moving = volumes()
    node = verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(inverse=True))
    inverse = node.GetNodeReference(registration_nodes.INVERSE_ROLE)
    points = inside(fixed)
    moved = through(node.GetTransformFromParent(), points)
    assert np.linalg.norm(through(inverse.GetTransformFromParent(), moved) - points, axis=1).max() < 0.1
    assert verbs.report_of(node)["inverse_error_mm"]["percentile_99_9"] < 0.1


# --- the moving volume under the transform ---


@pytest.mark.parametrize("parent", ["none", "its own", "the fixed one's too"])
def test_the_moving_volume_can_be_put_under_the_transform_and_back(parent):
    fixed, moving = volumes()
    if parent != "none":
        above = add_linear_transform(turned(30, (8, 0, 0)))
        moving.SetAndObserveTransformNodeID(above.GetID())
        if parent == "the fixed one's too":
            fixed.SetAndObserveTransformNodeID(above.GetID())
    before, parent_id = scene_contents(), moving.GetTransformNodeID()
    points = inside(fixed)
    at_moving = truth(fixed).points(points)
    seen_at = nodes.linear_parent_matrix(moving)
    node = verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(applyToMoving=True))
    to_world = vtk.vtkGeneralTransform()
    moving.GetParentTransformNode().GetTransformToWorld(to_world)
    local = (at_moving - seen_at[:3, 3]) @ np.linalg.inv(seen_at[:3, :3]).T
    assert np.abs(through(to_world, local) - points).max() < WITHIN_MM
    assert np.allclose(inside(fixed), points)  # the fixed volume has stayed
    registration_nodes.undo(node)
    assert moving.GetTransformNodeID() == parent_id
    assert scene_contents() == before


def test_a_nonlinear_parent_of_the_moving_volume_is_refused_before_the_run():
    fixed, moving = volumes()
    moving.SetAndObserveTransformNodeID(add_warp((3, 0, 0), 8).GetID())
    with pytest.raises(InputError, match="linear"):
        verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(applyToMoving=True))


def test_a_transform_that_moves_an_input_is_not_overwritten():
    fixed, moving = volumes()
    node = verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(applyToMoving=True))
    with pytest.raises(InputError, match="which is an input"):
        verbs.register_nodes(fixed, moving, transformNode=node)


# --- volumes besides ---


def test_a_result_has_one_name_in_request_script_panel_and_scene():
    computed = {one.name for one in fields(ComputedOutputs)}
    for kind in (RequestedOutputs, RegistrationOutputs, RegistrationResults):
        assert computed <= {one.name for one in fields(kind)}, kind
    assert computed == {"inverse", *(result.name for result in VOLUME_RESULTS)}
    module = ElementTree.parse(REPOSITORY / "MedDLRegister" / "Resources" / "UI" / "MedDLRegister.ui")
    bound = {one.findtext("string") for one in module.iter("property") if one.get("name") == "SlicerParameterName"}
    switches = {one.name for one in fields(RegistrationOutputs) if isinstance(one.default, bool)}
    assert computed < switches <= bound
    assert {one.name for one in fields(RegistrationInputs)} <= bound


def test_all_volumes_lie_on_the_fixed_one_and_are_shown_as_their_values_need():
    fixed, moving = volumes(AFFINES["left-handed"])
    fixed.SetAndObserveTransformNodeID(add_linear_transform(turned(25)).GetID())
    wanted = RegistrationOutputs(jacobian=True, checkerboard=True, difference=True)
    node = verbs.register_nodes(fixed, moving, outputs=wanted, warp=True)
    grid = nodes.volume_from_node(fixed).grid
    made = {name: node.GetNodeReference(role) for name, role in (
        ("warped", registration_nodes.WARPED_ROLE), *((one.name, one.role) for one in VOLUME_RESULTS))}
    for one in made.values():
        assert nodes.volume_from_node(one).grid.same_as(grid)
        assert one.GetTransformNodeID() == fixed.GetTransformNodeID()
    jacobian = made["jacobian"]
    expected = truth(fixed).jacobian().data
    np.testing.assert_allclose(nodes.volume_from_node(jacobian).data, expected, atol=1e-4)
    assert (jacobian.GetDisplayNode().GetWindow(), jacobian.GetDisplayNode().GetLevel()) == (2, 1)
    difference = made["difference"].GetDisplayNode()
    assert difference.GetLevel() == pytest.approx(0)
    warped = nodes.volume_from_node(made["warped"])
    np.testing.assert_allclose(warped.data, truth(fixed).warp(nodes.volume_from_node(moving)).data, atol=1e-3)


def test_a_second_run_renews_what_hangs_on_the_transform_and_takes_away_the_rest():
    fixed, moving = volumes()
    outputs = RegistrationOutputs(jacobian=True, difference=True, inverse=True)
    node = verbs.register_nodes(fixed, moving, outputs=outputs)
    jacobian = node.GetNodeReference("MedDL.Jacobian")
    count = len(scene_contents())
    again = verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(jacobian=True), transformNode=node)
    assert again is node
    assert node.GetNodeReference("MedDL.Jacobian") is jacobian
    assert node.GetNodeReference("MedDL.Difference") is None
    assert len(scene_contents()) < count


def test_the_interpolation_can_be_chosen_and_labels_stay_labels():
    fixed, moving = volumes()
    sharp = verbs.register_nodes(fixed, moving, warp=True, outputs=RegistrationOutputs(interpolation="lanczos"))
    expected = truth(fixed).warp(nodes.volume_from_node(moving), "lanczos").data
    found = nodes.volume_from_node(sharp.GetNodeReference(registration_nodes.WARPED_ROLE)).data
    np.testing.assert_allclose(found, expected, atol=0.501)  # the nodes hold whole numbers
    labels = add_volume(phantom(), centered(np.diag([2.0, 2.0, 2.5])), "labels", "vtkMRMLLabelMapVolumeNode")
    carried = verbs.register_nodes(fixed, labels, warp=True).GetNodeReference(registration_nodes.WARPED_ROLE)
    assert set(np.unique(nodes.volume_from_node(carried).data)) <= {0, 100, 200}


# --- segmentations and markups of the moving volume ---


def segmentation_of(volumeNode, name="structures"):
    array = (phantom() > 150).astype(np.uint8)
    found = Segmentation(array, nodes.volume_from_node(volumeNode).affine, (Segment(1, "bright", (1, 0.5, 0)),))
    return create_segmentation_node(found, volumeNode, name)


def markups(points, name="F", labels=None):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for n, point in enumerate(points):
        node.AddControlPointWorld(vtk.vtkVector3d(*point), labels[n] if labels else f"{name}-{n + 1}")
    return node


def test_segmentations_are_carried_onto_the_fixed_volume():
    fixed, moving = volumes()
    fixed.SetAndObserveTransformNodeID(add_linear_transform(turned(25)).GetID())
    moving.SetAndObserveTransformNodeID(add_linear_transform(turned(-10, (1, 2, 3))).GetID())
    source = segmentation_of(moving)
    node = verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(nodesToTransform=(source,)))
    carried = node.GetNodeReference(registration_nodes.TRANSFORMED_ROLE)
    assert carried.GetSegmentation().GetNthSegment(0).GetName() == "bright"
    layer, = segment_layers.read_layers(carried)
    original, = segment_layers.read_layers(source)
    expected = truth(fixed).warp_segmentation(original.labels).labels
    np.testing.assert_array_equal(layer.labels.labels, expected)
    np.testing.assert_allclose(layer.labels.affine, nodes.volume_from_node(fixed).affine, atol=1e-9)
    assert source.GetTransformNodeID() == moving.GetTransformNodeID()


def test_markups_and_models_are_carried_as_hardened_copies():
    fixed, moving = volumes()
    parent = add_linear_transform(turned(-10, (1, 2, 3)))
    points = inside(fixed, 8)
    at_moving = truth(fixed).points(points)
    landmarks = markups(np.zeros((8, 3)))
    landmarks.SetAndObserveTransformNodeID(parent.GetID())
    for n, point in enumerate(at_moving):
        landmarks.SetNthControlPointPositionWorld(n, vtk.vtkVector3d(*point))
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "surface")
    mesh = vtk.vtkPolyData()
    mesh.SetPoints(vtk.vtkPoints())
    for point in at_moving:
        mesh.GetPoints().InsertNextPoint(point)
    model.SetAndObservePolyData(mesh)
    node = verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(nodesToTransform=(landmarks, model)))
    carried = [node.GetNthNodeReference(registration_nodes.TRANSFORMED_ROLE, n) for n in range(2)]
    assert np.abs(registration_nodes.points_of(carried[0]).positions - points).max() < WITHIN_MM
    assert registration_nodes.points_of(carried[0]).labels == registration_nodes.points_of(landmarks).labels
    moved = np.array([carried[1].GetPolyData().GetPoint(n) for n in range(8)])
    assert np.abs(moved - points).max() < WITHIN_MM
    assert all(one.GetTransformNodeID() is None for one in carried)
    assert landmarks.GetTransformNodeID() == parent.GetID()
    assert np.abs(registration_nodes.points_of(landmarks).positions - at_moving).max() < 1e-4


def test_volumes_and_transforms_are_not_carried_along():
    fixed, moving = volumes()
    with pytest.raises(InputError, match="can be transformed"):
        verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(nodesToTransform=(fixed,)))


# --- inputs ---


def test_masks_reach_the_worker_from_segmentations_and_label_maps():
    fixed, moving = volumes()
    labels = add_volume((phantom() == 200).astype(np.uint8), centered(np.diag([2.0, 2.0, 2.5])), "mask",
                        "vtkMRMLLabelMapVolumeNode")
    node = verbs.register_nodes(fixed, moving, inputs=RegistrationInputs(fixedMask=segmentation_of(fixed),
                                                                        movingMask=labels))
    count = int((phantom() > 150).sum())
    assert verbs.report_of(node)["masks"] == [count, count]


def test_an_initial_transform_is_where_the_search_starts():
    fixed, moving = volumes()
    initial = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "first guess")
    initial.SetMatrixTransformFromParent(slicer.util.vtkMatrixFromArray(turned(20)))
    node = verbs.register_nodes(fixed, moving, inputs=RegistrationInputs(initialTransform=initial))
    np.testing.assert_allclose(verbs.report_of(node)["initial"], turned(20), atol=1e-9)
    moving.SetAndObserveTransformNodeID(initial.GetID())  # then the volume is already read where it leads
    node = verbs.register_nodes(fixed, moving, inputs=RegistrationInputs(initialTransform=initial))
    assert verbs.report_of(node)["initial"] is None


def test_landmarks_measure_the_distance_that_is_left():
    fixed, moving = volumes()
    points = inside(fixed, 6)
    here = markups(points, "F", list("abcdef"))
    there = markups((truth(fixed).points(points) + np.array([0, 3, 4]))[::-1], "M", list("fedcba"))
    node = verbs.register_nodes(fixed, moving, inputs=RegistrationInputs(fixedLandmarks=here, movingLandmarks=there))
    error = verbs.report_of(node)["tre_mm"]
    assert error["after"]["mean"] == pytest.approx(5, abs=1e-3)
    assert error["points"] == 6


def test_dice_of_matched_segmentations_is_in_the_report():
    fixed, moving = volumes()
    chosen = RegistrationInputs(fixedSegmentation=segmentation_of(fixed), movingSegmentation=segmentation_of(moving))
    found = verbs.report_of(verbs.register_nodes(fixed, moving, inputs=chosen))["dice"]
    assert found["before"] == 1
    assert 0 < found["after"] < 1
    assert set(found["structures"]) == {"bright"}


@pytest.mark.parametrize("given", ["fixedLandmarks", "movingLandmarks", "fixedSegmentation", "movingSegmentation"])
def test_what_needs_two_sides_is_refused_with_one(given):
    fixed, moving = volumes()
    node = markups(inside(fixed, 3)) if "Landmarks" in given else segmentation_of(fixed)
    with pytest.raises(InputError, match="of one volume only"):
        verbs.register_nodes(fixed, moving, inputs=RegistrationInputs(**{given: node}))


def test_points_that_are_not_placed_do_not_count():
    node = markups([(1, 2, 3), (4, 5, 6)])
    node.UnsetNthControlPointPosition(0)
    np.testing.assert_allclose(registration_nodes.points_of(node).positions, [(4, 5, 6)])
    node.UnsetNthControlPointPosition(1)
    with pytest.raises(InputError, match="no placed point"):
        registration_nodes.points_of(node)


# --- showing and undoing ---


def test_the_transform_is_shown_as_a_grid_over_the_fixed_volume():
    fixed, moving = volumes()
    node = verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(showGrid=True))
    display = node.GetDisplayNode()
    assert display.GetVisualizationMode() == display.VIS_MODE_GRID
    assert display.GetRegionNode() is fixed
    assert (display.GetVisibility(), display.GetVisibility2D(), display.GetVisibility3D()) == (1, 1, 0)
    assert display.GetGridSpacingMm() == pytest.approx(2)


def test_undoing_leaves_the_scene_as_it_was():
    fixed, moving = volumes()
    source, points = segmentation_of(moving), markups(inside(fixed, 3))
    before = scene_contents()
    everything = RegistrationOutputs(True, True, True, True, True, True, (source, points))
    node = verbs.register_nodes(fixed, moving, outputs=everything, warp=True)
    assert len(registration_nodes.companions(node)) == 7
    registration_nodes.undo(node)
    left = [one for one in scene_contents() if one not in before]
    assert not [one for one in left if "Storage" not in one and "Display" not in one], left
    assert moving.GetTransformNodeID() is None
