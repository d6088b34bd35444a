"""Volume sequences: frames are read, motion becomes a sequence of transforms beside a corrected one."""


import numpy as np
import pytest
import slicer
from bridge_scene import LEFT_HANDED, add_volume, opened, process_events, ramp, scene_contents
from sequence_nodes import QUICK, SHIFTS, drifting, sequence
from shell import blobs

import host
from meddl.core.errors import Cancelled, InputError
from meddl.results import Registration
from meddl.spatial.volume import Volume
from meddl_slicer.mrml import nodes, sequences
from meddl_slicer.mrml.registration_nodes import companions, undo
from meddl_slicer.runs import verbs


@pytest.fixture(autouse=True)
def empty_scene(bridge_worker):
    host.clear_scene()
    yield
    host.clear_scene()






# --- reading and filling ---


def test_volumes_go_into_a_sequence_and_come_back_as_they_were():
    affine = LEFT_HANDED
    source = sequence([ramp() + k for k in range(3)], affine)
    frames = sequences.volumes_from_sequence(source)
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.scalar_data, ramp() + number)
        np.testing.assert_allclose(frame.affine, affine, atol=1e-9)
    filled = sequences.fill_volume_sequence(frames[::-1], source, "turned")
    assert (filled.GetIndexName(), filled.GetIndexUnit()) == ("time", "s")
    assert [filled.GetNthIndexValue(n) for n in range(3)] == ["0", "2.5", "5"]
    for number, frame in enumerate(sequences.volumes_from_sequence(filled)):
        np.testing.assert_array_equal(frame.data, frames[2 - number].data)
        np.testing.assert_allclose(frame.affine, affine, atol=1e-9)
    again = sequences.fill_volume_sequence(frames[:2], source, "other", filled)
    assert again is filled and filled.GetNumberOfDataNodes() == 2


def test_transforms_of_a_sequence_move_points_as_the_maps_do():
    source = sequence([ramp(), ramp()])
    grid = Volume.scalar(ramp((8, 9, 7)), LEFT_HANDED).grid
    bend = Volume(np.random.default_rng(0).normal(size=(3, *grid.shape)).astype(np.float32), np.diag([3.0, 3, 3, 1]))
    shift = np.eye(4)
    shift[:3, 3] = (4, 5, -6)
    maps = [(None, shift), (bend, shift)]
    filled = sequences.fill_transform_sequence(maps, source, "motion")
    point = (6.3, 7.2, 9.9)
    expected = (np.array(point) + np.array([4, 5, -6]),
                Registration(shift, bend, None).points(np.array([point]))[0])
    for number in range(2):
        transform = filled.GetNthDataNode(number).GetTransformFromParent()
        np.testing.assert_allclose(transform.TransformPoint(*point), expected[number], atol=1e-4)


def test_what_is_no_volume_sequence_is_refused():
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "empty")
    mixed = sequence([ramp()])
    mixed.SetDataNodeAtValue(slicer.vtkMRMLTransformNode(), "9")
    for node, part in ((None, "none is selected"), (add_volume(ramp()), "'head' is a"), (empty, "is empty"),
                       (mixed, "Frame 1 of 'series'")):
        with pytest.raises(InputError, match=part):
            verbs.register_sequence(node)
    one = sequence([blobs().scalar_data])
    with pytest.raises(InputError, match="at least two frames"):
        verbs.register_sequence(one)
    with pytest.raises(InputError, match="is the input"):
        verbs.register_sequence(one, correctedSequence=one)
    with pytest.raises(InputError, match="filled twice"):
        verbs.register_sequence(one, transformSequence=empty, correctedSequence=empty)


# --- the whole way ---


def test_motion_becomes_a_sequence_of_transforms_under_which_the_frames_agree():
    source = drifting()
    node = verbs.register_sequence(source, QUICK, device="cpu")
    corrected = node.GetNodeReference(verbs.WARPED_ROLE)
    for filled in (node, corrected):
        assert [filled.GetNthIndexValue(n) for n in range(3)] == ["0", "2.5", "5"]
        assert filled.GetIndexUnit() == "s"
    for number, shift in enumerate(SHIFTS):
        moved = node.GetNthDataNode(number).GetTransformFromParent().TransformPoint(1.0, 2.0, 3.0)
        np.testing.assert_allclose(moved, np.array([1.0, 2.0, 3.0]) + shift, atol=0.3)
    frames = [frame.scalar_data.astype(float) for frame in sequences.volumes_from_sequence(corrected)]
    raw = [frame.scalar_data.astype(float) for frame in sequences.volumes_from_sequence(source)]
    middle = (slice(6, -6),) * 3
    assert np.abs(frames[2] - raw[0])[middle].mean() < 0.4 * np.abs(raw[2] - raw[0])[middle].mean()
    assert len(verbs.report_of(node)["framewise_displacement_mm"]) == 3
    browser = sequences.browser_of(source)
    assert browser is not None and browser.GetMasterSequenceNode() is source
    assert sequences.browser_of(node) is browser and sequences.browser_of(corrected) is browser

    again = verbs.register_sequence(source, QUICK, reference=2, transformSequence=node, correctedSequence=corrected,
                                   device="cpu")
    assert again is node and browser.GetNumberOfSynchronizedSequenceNodes(True) == 3
    kept = node.GetNthDataNode(2).GetTransformFromParent().TransformPoint(1.0, 2.0, 3.0)
    np.testing.assert_allclose(kept, (1, 2, 3), atol=1e-9)
    assert companions(node) == [corrected]
    undo(node)
    assert not slicer.mrmlScene.IsNodePresent(corrected) and slicer.mrmlScene.IsNodePresent(source)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 1


def test_a_canceled_run_leaves_the_scene_as_it_was():
    source = drifting()
    before = scene_contents()
    task = verbs.register_sequence(source, device="cpu", wait=False)
    process_events(lambda: task.state == "running" or task.done)
    task.cancel()
    with pytest.raises(Cancelled):
        task.result(20)
    process_events(seconds=0.2)
    assert scene_contents() == before


def test_to_the_mean_the_corrected_frames_keep_the_grid_of_the_frames():
    source = sequence([blobs().scalar_data, blobs((2, 0, 0)).scalar_data])
    opened("MedDLRegister")
    logic = slicer.util.getModuleLogic("MedDLRegister")
    node = logic.registerSequence(source, config=QUICK, reference="mean", device="cpu")
    frames = sequences.volumes_from_sequence(node.GetNodeReference(verbs.WARPED_ROLE))
    assert all(frame.grid.same_as(nodes.volume_from_node(source.GetNthDataNode(0)).grid) for frame in frames)
    first, second = (np.array(node.GetNthDataNode(n).GetTransformFromParent().TransformPoint(0, 0, 0))
                     for n in range(2))
    np.testing.assert_allclose(second - first, (2, 0, 0), atol=0.3)
