"""MedDLRegister and MedDLSuperRes on all volumes of a folder, clicked through."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, finished, opened, phantom, process_events
from registration_panel import registrations
from superres_panel import THICK, thick, widget  # noqa: F401
from volume_folders import folder, hierarchy, put

import host
from meddl.core.config import SuperResolveConfig
from meddl_slicer.panels.config_form import config_to_text
from meddl_slicer.panels.run_scope import FOLDER, FOLLOW_UPS
from meddl_slicer.runs import verbs


def states(table) -> list[str]:
    array = table.GetTable().GetColumnByName("State")
    return [array.GetValue(row) for row in range(array.GetNumberOfTuples())]


@pytest.fixture
def subjects(clean, monkeypatch):
    """Two patients with two visits each; a quick registration in place of the real one; MedDLRegister's panel."""
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    heads = []
    for patient in ("Miller", "Meyer"):
        place = folder(patient)
        for visit in (2019, 2021):
            affine = centered(np.eye(3))
            affine[0, 3] += visit - 2019
            heads.append(add_volume(phantom(), affine, f"{patient} {visit}"))
            put(heads[-1], place)
    panel = opened("MedDLRegister").widget
    panel.ui.fixedSelector.setCurrentNode(heads[0])
    panel.ui.movingSelector.setCurrentNode(heads[1])
    yield panel, heads
    panel.run.cancel()
    process_events(seconds=0.1)


def choose_scope(panel, key) -> None:
    panel._scope.combo.currentIndex = panel._scope.combo.findData(key)


def test_all_volumes_are_registered_to_the_fixed_one_with_one_click(subjects):
    panel, heads = subjects
    assert [panel._scope.combo.itemText(n) for n in range(panel._scope.combo.count)] == [
        "This volume", "All 3 volumes of 'Scene'", "Each follow-up in 'Scene' to its baseline (2)"]
    assert panel.ui.helpCollapsibleButton.enabled
    choose_scope(panel, FOLDER)
    assert not panel.ui.helpCollapsibleButton.enabled and not panel.ui.outputSelector.enabled
    assert panel.ui.fixedSelector.enabled and panel.ui.applyButton.enabled
    panel.ui.applyButton.click()
    finished(panel, 60)
    assert not host.errors()
    assert states(slicer.util.getNode("Scene registrations")) == ["done"] * 3
    assert sorted(registrations()) == [
        f"{name} to Miller 2019" for name in ("Meyer 2019", "Meyer 2021", "Miller 2021")]
    assert sum(" on Miller 2019" in node.GetName() for node in
               slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 3
    assert panel.ui.stageLabel.text.startswith("Done in ")
    assert panel.ui.resultsTable.rowCount == 3 and not panel.ui.resultsTable.isHidden()
    assert panel.ui.reportBrowser.isHidden() and panel.ui.fadeSlider.isHidden()
    assert panel.ui.outputSelector.currentNode() is None
    panel.ui.fixedSelector.setCurrentNode(None)
    assert not panel.ui.applyButton.enabled


def test_each_follow_up_is_registered_to_its_baseline_with_one_click(subjects):
    panel, heads = subjects
    choose_scope(panel, FOLLOW_UPS)
    panel.ui.fixedSelector.setCurrentNode(None)  # each subject has its own
    assert panel.ui.applyButton.enabled and not panel.ui.fixedSelector.enabled
    panel.ui.warpCheckBox.checked = False
    panel.ui.applyButton.click()
    finished(panel, 60)
    assert not host.errors()
    assert sorted(registrations()) == [
        "Meyer 2021 to Meyer 2019", "Miller 2021 to Miller 2019"]
    assert not any(" on " in node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
    choose_scope(panel, "volume")
    assert panel.ui.fixedSelector.enabled and not panel.ui.applyButton.enabled


def test_cancel_in_the_panel_keeps_the_finished_ones(subjects, monkeypatch):
    panel, _heads = subjects
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:slow_shift")
    choose_scope(panel, FOLDER)
    panel.ui.applyButton.click()
    process_events(lambda: panel.ui.stageLabel.text.startswith("2 of 3"))
    panel.ui.applyButton.click()
    finished(panel)
    assert len(registrations()) == 1
    assert sorted(states(slicer.util.getNode("Scene registrations"))) == ["cancelled", "cancelled", "done"]
    assert panel.ui.applyButton.text == "Apply" and panel.ui.applyButton.enabled and not host.errors()


def test_a_time_series_has_no_folder(subjects):
    panel, _heads = subjects
    choose_scope(panel, FOLDER)
    panel.ui.presetComboBox.currentText = "Time series"
    assert panel._scope.single and panel._scope.combo.isHidden()
    panel.ui.presetComboBox.currentText = "Rigid"
    assert not panel._scope.single


def test_all_volumes_of_a_folder_become_sharp_and_are_left_out_the_next_time(widget, thick):
    second = add_volume(phantom(), centered(THICK), "second")
    place = folder("cohort")
    for node in (thick, second):
        put(node, place)
    widget._parameterNode.options = config_to_text(SuperResolveConfig(method="cubic"))
    for _ in range(2):
        widget.ui.inputSelector.setCurrentNode(thick)
        choose_scope(widget, FOLDER)
        assert widget._scope.combo.currentText == "All 2 volumes of 'cohort'"
        assert not widget.ui.referenceSelector.enabled
        widget.ui.applyButton.click()
        finished(widget, 60)
        assert not host.errors()
    sharp = slicer.util.getNode("second sharp")
    assert sharp.GetSpacing() == pytest.approx((1, 1, 1))
    assert hierarchy().GetItemParent(hierarchy().GetItemByDataNode(sharp)) == place
    table = slicer.util.getNode("cohort super-resolutions")
    assert states(table) == ["done", "done"]
    assert widget.ui.resultsTable.rowCount == 2 and not widget.ui.resultsTable.isHidden()
    assert widget.ui.outputSelector.currentNode() is None and widget.ui.fadeSlider.isHidden()
    choose_scope(widget, "volume")
    assert widget.ui.referenceSelector.enabled
    widget.ui.applyButton.click()
    finished(widget, 60)
    assert not widget.ui.fadeSlider.isHidden() and widget.ui.resultsTable.isHidden()
    assert widget.ui.outputSelector.currentNode() is not None
