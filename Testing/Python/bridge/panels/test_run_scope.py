"""The panel offers to apply a run to all volumes of a folder, or to all frames of a sequence, where there are any."""

import types

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, phantom
from sequence_nodes import sequence
from volume_folders import folder, put

from meddl_slicer.mrml.sequences import show_in_step
from meddl_slicer.panels import run_scope
from meddl_slicer.panels.run_scope import FOLDER, FOLLOW_UPS, SEQUENCE, VOLUME, RunScope


@pytest.fixture
def panel(clean):
    import qt

    widget = qt.QWidget()
    form = qt.QFormLayout(widget)
    told = []
    scope = RunScope(form, lambda: told.append(True))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")
    yield types.SimpleNamespace(scope=scope, parameters=types.SimpleNamespace(parameterNode=node), told=told,
                                widget=widget)


def choices(scope) -> list[str]:
    return [scope.combo.itemData(index) for index in range(scope.combo.count)]


def head(name="head"):
    return add_volume(phantom(), centered(np.eye(3)), name)


def test_a_volume_by_itself_leaves_no_choice(panel):
    panel.scope.update(None, panel.parameters)
    assert choices(panel.scope) == [VOLUME] and panel.scope.count == 1
    panel.scope.update(head(), panel.parameters)
    assert choices(panel.scope) == [VOLUME]
    assert panel.scope.combo.isHidden()


def test_volumes_of_one_folder_can_be_done_together(panel):
    place = folder("cohort")
    heads = [head(f"head {n}") for n in range(3)]
    for node in heads[:2]:
        put(node, place)
    panel.scope.update(heads[0], panel.parameters)
    assert choices(panel.scope) == [VOLUME, FOLDER, f"{FOLDER} 2"] and panel.scope.chosen == VOLUME
    assert panel.scope.combo.itemText(1) == "All 2 volumes of 'cohort'"
    assert panel.scope.combo.itemText(2) == "All 3 volumes of 'Scene'"
    panel.scope.combo.currentIndex = 1
    assert panel.told and (panel.scope.chosen, panel.scope.count, panel.scope.item) == (FOLDER, 2, place)
    panel.scope.update(heads[1], panel.parameters)
    assert panel.scope.chosen == FOLDER
    panel.scope.update(heads[2], panel.parameters)  # of the scene, which holds all three
    assert panel.scope.count == 3


def test_a_folder_above_is_offered_where_it_holds_more_and_can_be_chosen_by_its_item(panel):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    patient = folder("patient")
    study = hierarchy.CreateStudyItem(patient, "study")
    series = hierarchy.CreateFolderItem(study, "series")
    heads = [head(f"head {n}") for n in range(3)]
    for node, place in zip(heads, (series, series, patient)):
        put(node, place)
    panel.scope.update(heads[0], panel.parameters)
    assert choices(panel.scope) == [VOLUME, FOLDER, f"{FOLDER} 2"]  # the study holds no more than the series
    for item, count in ((patient, 3), (study, 2), (series, 2), (hierarchy.GetSceneItemID(), 3), (None, 1)):
        panel.scope.choose(item)
        panel.scope.update(heads[0], panel.parameters)
        assert panel.scope.count == count
    panel.scope.choose(patient)
    panel.scope.update(heads[0], panel.parameters)
    assert panel.scope.item == patient
    panel.scope.update(heads[2], panel.parameters)  # its own folder is the patient: no folder above holds more
    assert choices(panel.scope) == [VOLUME, FOLDER] and panel.scope.single


def test_the_frames_of_a_sequence_can_be_done_together(panel):
    source = sequence([phantom(), phantom()], centered(np.eye(3)))
    browser = show_in_step(source, ())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    shown = browser.GetProxyNode(source)
    panel.scope.update(shown, panel.parameters)
    assert SEQUENCE in choices(panel.scope)
    panel.scope.combo.currentIndex = choices(panel.scope).index(SEQUENCE)
    assert panel.scope.count == 2 and panel.scope.sequence is source
    assert run_scope.sequence_of(head()) is None


def test_a_registration_leaves_out_the_fixed_volume_and_offers_follow_ups(clean):
    import qt

    widget = qt.QWidget()
    scope = RunScope(qt.QFormLayout(widget), lambda: None, "register")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")
    parameters = types.SimpleNamespace(parameterNode=node)
    place = folder("Miller")
    heads = [head(f"head {n}") for n in range(3)]
    for one in heads[:2]:
        put(one, place)
    scope.update(heads[0], parameters, heads[2])
    assert choices(scope) == [VOLUME, FOLDER, FOLLOW_UPS]
    assert [scope.combo.itemText(n) for n in (1, 2)] == [
        "All 2 volumes of 'Miller'", "Each follow-up in 'Scene' to its baseline (1)"]
    scope.combo.currentIndex = 1
    assert scope.nodes == [(heads[2], heads[0]), (heads[2], heads[1])] and scope.count == 2 and not scope.followUps
    scope.combo.currentIndex = 2
    assert scope.nodes == [(heads[0], heads[1])] and scope.count == 1 and scope.followUps and not scope.single
    scope.update(heads[0], parameters, heads[2], possible=False)
    assert choices(scope) == [VOLUME] and scope.single
    scope.update(heads[0], parameters, heads[1])  # the fixed volume is not registered to itself
    assert "All 2 volumes of 'Scene'" in [scope.combo.itemText(n) for n in range(scope.combo.count)]
