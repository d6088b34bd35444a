"""A branch of the subject hierarchy, and a sequence, are segmented volume by volume, with one table."""

import math

import numpy as np
import pytest
import slicer
from bridge_cards import install_card
from bridge_scene import (
    add_linear_transform,
    add_volume,
    centered,
    phantom,
    process_events,
    scene_contents,
    turned,
)
from channel_images import blobs, three
from sequence_nodes import sequence
from small_models import EXACT, models  # noqa: F401
from volume_folders import folder, hierarchy, networks, put  # noqa: F401

import host
import meddl
from meddl.core.config import SegmentConfig, SuperResolveConfig
from meddl.core.errors import Cancelled, GeometryError, InputError
from meddl_slicer.mrml import nodes, sequences
from meddl_slicer.runs import many_volumes, verbs


@pytest.fixture
def thresholding(clean, monkeypatch, tmp_path):
    """A small segmenter in place of the network, for a model of a card alone."""
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    install_card(tmp_path, "dim")
    return tmp_path










def column(table, title) -> list:
    array = table.GetTable().GetColumnByName(title)
    return [array.GetValue(row) for row in range(array.GetNumberOfTuples())]


def segmentations():
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def add(volume, name):
    return add_volume(volume.scalar_data, volume.affine, name)


# --- branches ---


def test_all_volumes_below_a_folder_are_segmented_and_one_that_fails_does_not_stop_the_rest(thresholding):
    outer = folder("cohort")
    inner = folder("second", outer)
    heads = [add_volume(phantom(), centered(np.eye(3)), f"head {n}") for n in range(3)]
    heads[1].SetAndObserveTransformNodeID(add_linear_transform(turned()).GetID())
    put(heads[0], outer)
    put(heads[1], inner)
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it")
    put(empty, inner)
    labels = add_volume(phantom(), centered(np.eye(3)), "labels", "vtkMRMLLabelMapVolumeNode")
    put(labels, outer)
    told = []
    table = many_volumes.segment_branch(outer, "dim", onProgress=lambda *words: told.append(words))
    assert sorted(column(table, "Case")) == ["head 0", "head 1", "nothing in it"]
    states = dict(zip(column(table, "Case"), column(table, "State")))
    assert states == {"head 0": "done", "head 1": "done", "nothing in it": "failed"}
    place = column(table, "Case").index("nothing in it")
    assert "has no image" in column(table, "Error")[place]
    ml = column(table, "dim [ml]")
    assert math.isnan(ml[place]) and ml[column(table, "Case").index("head 0")] > 0
    assert sorted(node.GetName() for node in segmentations()) == ["head 0 segmentation", "head 1 segmentation"]
    made = slicer.util.getNode("head 1 segmentation")
    assert hierarchy().GetItemParent(hierarchy().GetItemByDataNode(made)) == inner
    assert made.GetTransformNodeID() == heads[1].GetTransformNodeID()
    assert hierarchy().GetItemParent(hierarchy().GetItemByDataNode(table)) == outer
    assert any("of 3, head 0: " in words for _, words in told)
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)


def test_the_item_of_a_volume_and_an_empty_folder(thresholding):
    head = add_volume(phantom(), centered(np.eye(3)))
    table = many_volumes.segment_branch(hierarchy().GetItemByDataNode(head), "dim")
    assert column(table, "State") == ["done"]
    again = many_volumes.segment_branch(hierarchy().GetSceneItemID(), "dim", tableNode=table)
    assert again is table and column(table, "State") == ["done"]
    with pytest.raises(InputError, match="no volume under 'bare'"):
        many_volumes.segment_branch(folder("bare"), "dim")


def test_a_cancel_keeps_what_was_made_and_says_what_was_not(thresholding, monkeypatch):
    for n in range(3):
        add_volume(phantom(), centered(np.eye(3)), f"head {n}")
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:slow_threshold")
    batch = many_volumes.segment_branch(hierarchy().GetSceneItemID(), "dim", wait=False)
    process_events(lambda: batch.progress[1].startswith("2 of 3"))
    batch.cancel()
    assert batch.done and batch.state == "cancelled"
    with pytest.raises(Cancelled):
        batch.result()
    (table,) = slicer.util.getNodesByClass("vtkMRMLTableNode")[-1:]
    assert sorted(column(slicer.util.getNode("Scene segmentations"), "State")) == ["cancelled", "cancelled", "done"]
    assert len(segmentations()) == 1


def test_a_volume_that_leaves_the_scene_is_passed_by_and_a_closed_scene_ends_the_batch(thresholding, monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:slow_threshold")
    heads = [add_volume(phantom(), centered(np.eye(3)), f"head {n}") for n in range(3)]
    batch = many_volumes.segment_branch(hierarchy().GetSceneItemID(), "dim", wait=False)
    process_events(lambda: batch.progress[1].startswith("1 of 3"))
    slicer.mrmlScene.RemoveNode(heads[0])
    slicer.mrmlScene.RemoveNode(heads[2])
    table = batch.result(30)
    assert column(table, "State") == ["failed", "done", "failed"]
    batch = many_volumes.segment_branch(hierarchy().GetSceneItemID(), "dim", wait=False)
    process_events(lambda: batch.state == "running")
    host.clear_scene()
    assert batch.state == "cancelled"
    process_events(seconds=0.3)
    assert not segmentations()


def test_a_branch_is_super_resolved_and_a_cancel_keeps_what_was_made(clean, monkeypatch):
    place = folder("cohort")
    thick = np.diag([-1.0, 1.0, 4.0])
    for number in range(2):
        put(add_volume(phantom(), centered(thick), f"head {number}"), place)
    put(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it"), place)
    config = SuperResolveConfig(method="cubic")
    table = many_volumes.super_resolve_branch(place, config, device="cpu")
    assert column(table, "State") == ["done", "done", "failed"] and table.GetName() == "cohort super-resolutions"
    assert column(table, "Volume")[:2] == ["head 0 sharp", "head 1 sharp"]
    assert column(table, "Voxels after [mm]")[0] == "1 x 1 x 1" and "has no image" in column(table, "Error")[2]
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("head 1 sharp"))
    monkeypatch.setattr(verbs, "SUPER_RESOLVE", "bridge_targets:slow_sharpen")
    batch = many_volumes.super_resolve_branch(place, config, tableNode=table, device="cpu", wait=False)
    process_events(lambda: batch.progress[1].startswith("2 of 3, head 1"))  # results of the first run are no inputs
    batch.cancel()
    assert batch.state == "cancelled" and column(table, "State") == ["done", "cancelled", "cancelled"]
    assert not [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
                if node.GetName().startswith("head 1 ")]
    with pytest.raises(InputError, match="no volume under 'bare'"):
        many_volumes.super_resolve_branch(folder("bare"))


# --- several channels ---


def test_further_nodes_are_channels_where_they_are_seen(networks):
    first, second, third = three()
    nodes_ = [add(first, "a T1"), add(third, "a T2")]
    back = np.linalg.inv(turned())
    nodes_[1].SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(back @ third.affine))
    nodes_[1].SetAndObserveTransformNodeID(add_linear_transform(turned()).GetID())
    found = verbs.segment_node(nodes_[0], "two", EXACT, otherNodes=nodes_[1:], device="cpu")
    expected = meddl.segment(first, "two", EXACT, others=[third], device="cpu")
    assert verbs.report_of(found)["volumes_ml"] == pytest.approx(expected.report["volumes_ml"], rel=0.01)
    named = verbs.segment_node(nodes_[0], "two", EXACT, otherNodes={"T2": nodes_[1]}, device="cpu")
    assert verbs.report_of(named)["volumes_ml"] == verbs.report_of(found)["volumes_ml"]
    with pytest.raises(InputError, match="takes 2 channels"):
        verbs.segment_node(nodes_[0], "two", EXACT, device="cpu")
    with pytest.raises(InputError, match="given for two channels"):
        verbs.segment_node(nodes_[0], "two", EXACT, otherNodes=[nodes_[0]], device="cpu")


def test_a_folder_of_channels_is_one_case_by_the_names_of_its_volumes(networks):
    first, second, _ = three()
    good, bad = folder("patient 1"), folder("patient 2")
    for volume, name, place in ((second, "p1_t2", good), (first, "p1_T1", good), (first, "x", bad), (second, "y", bad)):
        put(add(volume, name), place)
    table = many_volumes.segment_branch(hierarchy().GetSceneItemID(), "two", EXACT, device="cpu")
    rows = dict(zip(column(table, "Case"), column(table, "State")))
    assert rows == {"patient 1": "done", "patient 2": "failed"}
    assert "Which volume is T1?" in column(table, "Error")[column(table, "Case").index("patient 2")]
    expected = meddl.segment(first, "two", EXACT, others=[second], device="cpu").report["volumes_ml"]
    assert column(table, "liver [ml]")[column(table, "Case").index("patient 1")] == pytest.approx(expected["liver"])


def test_dicom_volumes_of_different_frames_of_reference_are_refused(thresholding):
    heads = [add_volume(phantom(), centered(np.eye(3)), f"head {n}") for n in range(2)]
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMFrameOfReferenceUIDAttributeName()
    for number, head in enumerate(heads):
        hierarchy().SetItemAttribute(hierarchy().GetItemByDataNode(head), name, f"1.2.{number}")
    with pytest.raises(GeometryError, match="different frames of reference"):
        verbs.segment_node(heads[0], "dim", otherNodes=[heads[1]])


# --- sequences ---


def test_every_frame_of_a_sequence_gets_the_segmentation_that_it_gets_alone(networks):
    volumes = [blobs((20, 18, 16), np.diag([-1.5, 1.5, 2.0, 1.0]), seed) for seed in (1, 2, 3)]
    source = sequence([volume.scalar_data for volume in volumes], volumes[0].affine)
    expected = [meddl.segment(volume, "one", EXACT, device="cpu") for volume in volumes]
    node = many_volumes.segment_sequence(source, "one", EXACT, device="cpu")
    assert [node.GetNthIndexValue(n) for n in range(3)] == ["0", "2.5", "5"]
    maps = many_volumes.segment_sequence(source, "one", EXACT, labelMaps=True, device="cpu")
    for number, found in enumerate(expected):
        frame = maps.GetNthDataNode(number)
        assert frame.IsA("vtkMRMLLabelMapVolumeNode")
        np.testing.assert_array_equal(nodes.volume_from_node(frame).scalar_data, found.labels)
        segmentation = node.GetNthDataNode(number).GetSegmentation()
        names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
        assert names == [name for name, ml in found.report["volumes_ml"].items() if ml > 0]
    browser = sequences.browser_of(source)
    assert sequences.browser_of(node) is browser and sequences.browser_of(maps) is browser
    for number in range(3):  # what the scene shows follows the browser
        browser.SetSelectedItemNumber(number)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        shown, volume = browser.GetProxyNode(node), browser.GetProxyNode(source)
        np.testing.assert_array_equal(nodes.volume_from_node(volume).scalar_data, volumes[number].scalar_data)
        segmentation = shown.GetSegmentation()
        for index in range(segmentation.GetNumberOfSegments()):
            segment = segmentation.GetNthSegment(index)
            array = slicer.util.arrayFromSegmentBinaryLabelmap(shown, segmentation.GetNthSegmentID(index), volume)
            np.testing.assert_array_equal(array.transpose(2, 1, 0) > 0,
                                          expected[number].labels == segment.GetLabelValue())
    table = node.GetNodeReference(verbs.TABLE_ROLE)
    assert column(table, "Case") == ["frame 0", "frame 2.5", "frame 5"]
    assert column(table, "liver [ml]") == [found.report["volumes_ml"]["liver"] for found in expected]
    again = many_volumes.segment_sequence(source, "one", EXACT, outputSequence=node, device="cpu")
    assert again is node and node.GetNodeReference(verbs.TABLE_ROLE) is table


def test_what_cannot_be_segmented_frame_by_frame_is_refused(thresholding, monkeypatch):
    source = sequence([phantom(), phantom()], centered(np.eye(3)))
    shorter = sequence([phantom()], centered(np.eye(3)), "short")
    with pytest.raises(InputError, match="'short' has 1"):
        many_volumes.segment_sequence(source, "dim", otherSequences=[shorter])
    with pytest.raises(InputError, match="is an input"):
        many_volumes.segment_sequence(source, "dim", outputSequence=source)
    with pytest.raises(InputError, match="none is selected"):
        many_volumes.segment_sequence(None, "dim")
    before = scene_contents()
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:bad_threshold")
    with pytest.raises(InputError, match="volume is empty"):
        many_volumes.segment_sequence(source, "dim")
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:slow_threshold")
    batch = many_volumes.segment_sequence(source, "dim", wait=False)
    process_events(lambda: batch.progress[1].startswith("1 of 2"))
    batch.cancel()
    assert batch.state == "cancelled" and scene_contents() == before


def test_a_structure_that_the_model_does_not_know_is_refused_before_the_first_volume(thresholding):
    item = folder("study")
    put(add_volume(phantom(), centered(np.eye(3)), "a"), item)
    series = sequence([phantom(), phantom()])
    wrong = SegmentConfig(structures=("dimm",))
    before = scene_contents()
    with pytest.raises(InputError, match="no structure 'dimm'. Similar: dim"):
        many_volumes.segment_branch(item, "dim", wrong)
    with pytest.raises(InputError, match="no structure 'dimm'"):
        many_volumes.segment_sequence(series, "dim", wrong)
    assert scene_contents() == before
