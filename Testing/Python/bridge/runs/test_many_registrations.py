"""All volumes of a branch of the subject hierarchy are registered to one, or each follow-up to its baseline."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, phantom, process_events, scene_contents
from registration_panel import MOTION, from_parent, largest_error_mm, lobes, registrations
from volume_folders import folder, hierarchy, put

import host
from meddl.core.errors import Cancelled, InputError
from meddl_slicer.mrml.registration_nodes import RegistrationOutputs
from meddl_slicer.runs import many_registrations, verbs
from meddl_slicer.runs.many_registrations import pairs_below


@pytest.fixture
def shifting(clean, monkeypatch):
    """A quick registration in place of the real one."""
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")


def head(name, shift_mm=0.0, place=None):
    affine = centered(np.eye(3))
    affine[0, 3] += shift_mm
    node = add_volume(phantom(), affine, name)
    if place is not None:
        put(node, place)
    return node


def column(table, title) -> list:
    array = table.GetTable().GetColumnByName(title)
    return [array.GetValue(row) for row in range(array.GetNumberOfTuples())]


def study(patient, name, date=""):
    item = hierarchy().CreateStudyItem(patient, name)
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMStudyDateAttributeName()
    hierarchy().SetItemAttribute(item, attribute, date)
    return item


def test_all_volumes_below_a_folder_are_registered_to_one_with_the_real_registration(clean):
    cohort = folder("cohort")
    affine = centered(np.diag([2.0, 2.0, 2.0]), (48, 44, 40))
    fixed = add_volume(lobes(), affine, "fixed")
    moving = [add_volume(lobes(), matrix @ affine, f"moving {n}") for n, matrix in enumerate(
        (MOTION, np.linalg.inv(MOTION)))]
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it")
    for node in (fixed, *moving, empty):
        put(node, cohort)
    told = []
    table = many_registrations.register_branch(cohort, fixed, warp=True, device="cpu",
                                               outputs=RegistrationOutputs(inverse=True),
                                               onProgress=lambda *words: told.append(words))
    assert column(table, "Case") == ["moving 0", "moving 1", "nothing in it"]
    assert column(table, "State") == ["done", "done", "failed"]
    assert "has no image" in column(table, "Error")[2]
    assert column(table, "Transform")[:2] == ["moving 0 to fixed", "moving 1 to fixed"]
    after = column(table, "Metric after")
    assert after[0] > column(table, "Metric before")[0] and np.isnan(after[2])
    assert column(table, "Rotation [deg]")[0] == pytest.approx(8.0, abs=0.5)
    for number, matrix in enumerate((MOTION, np.linalg.inv(MOTION))):
        made = registrations()[f"moving {number} to fixed"]
        assert largest_error_mm(from_parent(made), matrix) < 1.0
        assert made.GetNodeReference(verbs.WARPED_ROLE).GetName() == f"moving {number} on fixed"
        assert hierarchy().GetItemParent(hierarchy().GetItemByDataNode(made)) == cohort
        assert slicer.util.getNode(f"fixed to moving {number}").IsLinear()
    assert table.GetName() == "cohort registrations"
    assert hierarchy().GetItemParent(hierarchy().GetItemByDataNode(table)) == cohort
    assert any("of 3, moving 1: " in words for _, words in told)
    assert [node.GetName() for _, node in pairs_below(cohort, fixed)] == ["moving 0", "moving 1", "nothing in it"]


def test_each_follow_up_goes_to_its_subject_s_first_study_by_date(shifting):
    first, second = (hierarchy().CreateSubjectItem(hierarchy().GetSceneItemID(), "patient") for _ in range(2))
    late, early = study(first, "a", "20210315"), study(first, "b", "20190301")
    nodes = {name: head(f"{name} T1", shift, place) for name, shift, place in (
        ("late", 5.0, late), ("early", 0.0, early))}
    flair = head("late FLAIR", 0.0, late)
    other = [head("T1", number, study(second, f"visit {number}")) for number in (10, 2)]
    top = hierarchy().GetSceneItemID()
    for node in nodes.values():
        node.SetName("T1")
    flair.SetName("FLAIR")
    assert set(pairs_below(top)) == {(nodes["early"], nodes["late"]), (other[1], other[0])}
    assert pairs_below(first) == [(nodes["early"], nodes["late"])]
    table = many_registrations.register_branch(top)
    assert column(table, "State") == ["done", "done"] and table.GetName() == "Scene registrations"
    shifts = sorted(from_parent(node)[0, 3] for node in registrations().values())
    assert shifts == pytest.approx([5.0, 8.0], abs=1e-6)
    with pytest.raises(InputError, match="no pair of volumes under"):
        many_registrations.register_branch(early)


def test_warped_volumes_and_maps_of_earlier_runs_are_not_registered(shifting):
    place = folder("cohort")
    fixed = head("fixed", 0.0, place)
    for number in range(2):
        head(f"head {number}", number, place)
    outputs = RegistrationOutputs(jacobian=True, checkerboard=True, difference=True)
    many_registrations.register_branch(place, fixed, warp=True, outputs=outputs)
    again = many_registrations.register_branch(place, fixed, warp=True)
    assert column(again, "Case") == ["head 0", "head 1"]


def test_a_cancel_keeps_what_was_made_and_leaves_nothing_half(shifting, monkeypatch):
    place = folder("cohort")
    fixed = head("fixed", 0.0, place)
    for number in range(3):
        head(f"head {number}", number, place)
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:slow_shift")
    batch = many_registrations.register_branch(place, fixed, warp=True, wait=False)
    process_events(lambda: batch.progress[1].startswith("2 of 3"))
    batch.cancel()
    with pytest.raises(Cancelled):
        batch.result()
    assert column(slicer.util.getNode("cohort registrations"), "State") == ["done", "cancelled", "cancelled"]
    assert list(registrations()) == ["head 0 to fixed"]
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    assert [name for name in names if " on " in name] == ["head 0 on fixed"]
    process_events(seconds=0.3)
    assert list(registrations()) == ["head 0 to fixed"]


def test_a_fixed_volume_that_leaves_the_scene_fails_the_rest_and_a_closed_scene_ends_the_batch(shifting, monkeypatch):
    fixed = head("fixed")
    for number in range(2):
        head(f"head {number}", number)
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:slow_shift")
    top = hierarchy().GetSceneItemID()
    batch = many_registrations.register_branch(top, fixed, wait=False)
    process_events(lambda: batch.progress[1].startswith("1 of 2"))
    slicer.mrmlScene.RemoveNode(fixed)
    table = batch.result(30)
    assert column(table, "State") == ["failed", "failed"] and not registrations()
    batch = many_registrations.register_branch(top, head("another"), wait=False)
    process_events(lambda: batch.state == "running")
    host.clear_scene()
    assert batch.state == "cancelled"


def test_what_cannot_be_registered_is_refused_before_the_first_pair(shifting):
    fixed, place = head("fixed"), folder("empty")
    before = scene_contents()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    with pytest.raises(InputError, match="fixedNode"):
        many_registrations.register_branch(place, model)
    slicer.mrmlScene.RemoveNode(model)
    with pytest.raises(InputError, match="no pair of volumes under 'empty'"):
        many_registrations.register_branch(place, fixed)
    with pytest.raises(InputError, match="belong to one moving volume"):
        many_registrations.register_branch(place, fixed, outputs=RegistrationOutputs(nodesToTransform=(fixed,)))
    with pytest.raises(InputError, match="Similar: Deformable"):
        many_registrations.register_branch(place, fixed, preset="deformabel")
    assert scene_contents() == before
