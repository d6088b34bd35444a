"""MedDLSeg with a model of several volumes: the panel asks for each, and all of them go to the run."""

import pytest
import slicer
from bridge_scene import add_volume, finished, opened
from channel_images import three
from small_models import models  # noqa: F401
from volume_folders import networks  # noqa: F401

import host
import meddl
from meddl_slicer.runs import verbs


@pytest.fixture
def widget(networks):
    widget = opened("MedDLSeg").widget
    widget.updateModels()  # the panel may have been open when these models came
    yield widget
    widget.run.cancel()


def test_each_volume_is_asked_for_by_name_and_goes_to_the_run(widget):
    first, second, third = three()
    head, other, _ = (add_volume(v.scalar_data, v.affine, name)
                      for v, name in ((first, "head"), (third, "other"), (second, "third")))
    widget.ui.inputSelector.setCurrentNode(head)
    widget._parameterNode.model = "one"
    assert widget._channels.nodes() == () and widget.ui.applyButton.enabled
    widget._parameterNode.model = "two"
    assert widget.ui.inputLabel.text == "T1:"
    assert not widget.ui.applyButton.enabled and "Choose the volume for T2." in widget.ui.applyButton.toolTip
    widget._channels._selectors["T2"].setCurrentNode(head)
    assert "'head' is chosen for two channels" in widget.ui.applyButton.toolTip
    widget._channels._selectors["T2"].setCurrentNode(other)
    assert widget.ui.applyButton.enabled
    widget._parameterNode.device = "cpu"
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    (node,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    expected = meddl.segment(first, "two", others=[third], device="cpu").report["volumes_ml"]
    assert verbs.report_of(node)["volumes_ml"] == expected
    assert widget.ui.outputSelector.currentNode() is node
    widget._channels._selectors["T2"].setCurrentNode(slicer.util.getNode("third"))
    assert widget.ui.outputSelector.currentNode() is None  # another input: another result


def test_the_logic_offers_branches_and_sequences(widget):
    first = three()[0]
    add_volume(first.scalar_data, first.affine, "head")
    logic = slicer.util.getModuleLogic("MedDLSeg")
    table = logic.segmentBranch(slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID(), "one", device="cpu")
    assert table.GetTable().GetColumnByName("State").GetValue(0) == "done"
    with pytest.raises(meddl.MedDLError, match="none is selected"):
        logic.segmentSequence(None, "one")


def test_all_volumes_of_the_folder_run_with_one_click(widget):
    for number, volume in enumerate(three()[:2]):
        add_volume(volume.scalar_data, volume.affine, f"head {number}")
    widget.ui.inputSelector.setCurrentNode(slicer.util.getNode("head 0"))
    widget._parameterNode.model, widget._parameterNode.device = "one", "cpu"
    assert not widget._scope.combo.isHidden()
    widget._scope.combo.currentIndex = widget._scope.combo.findData("folder")
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 2
    assert widget.ui.stageLabel.text.startswith("Done in ")
    table = slicer.util.getNode("Scene segmentations")
    assert [table.GetTable().GetColumnByName("State").GetValue(row) for row in range(2)] == ["done", "done"]
    assert widget.ui.resultsTable.model().rowCount() == 2
    assert widget.ui.outputSelector.currentNode() is None
