"""The tutorial of training: its page is done on the panels with a tiny training, from paint to the second round."""

import pytest
import slicer
from bridge_scene import opened
from comparison_nodes import column
from painted_samples import paint_all, paint_three_slices, ventricles_of
from tutorial_steps import MODULES, Reader, items_of, steps_of

import host
from meddl.measures.overlap import dice
from meddl.models.store.store import ModelStore
from meddl.training.config import TrainConfig
from meddl_slicer.sections.training import curve


@pytest.fixture
def section(clean, own_worker, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    for name in MODULES.values():
        host.load_module(name)
    section = opened("MedDLSeg").widget.train
    section.keepConfig(TrainConfig(network="unet", patch_voxels=(32, 32, 32), batch=1, steps=1))
    yield section
    section.run.cancel()
    section.button.collapsed = True
    monkeypatch.undo()
    opened("MedDLSeg").widget.updateModels()


def test_every_item_of_the_page_is_a_step_that_is_done():
    assert len(items_of("train")) >= 10 and all(items_of("train"))


@pytest.mark.slow
def test_the_steps_of_the_page_lead_to_a_model_of_two_rounds(section):
    reader = Reader(paint_three_slices, paint_all)
    for step in steps_of("train"):
        reader.do(step)
        if step.control == "Apply":  # what was painted has become the whole structure
            node, volume = reader.widget.editor.segmentationNode(), reader.widget.editor.sourceVolumeNode()
            found = slicer.util.arrayFromSegmentBinaryLabelmap(node, node.GetSegmentation().GetNthSegmentID(0), volume)
            assert dice((found > 0).transpose(2, 1, 0), ventricles_of(volume), [1])[0] > 0.8
    assert column(section._table, curve.STEP) == [1]
    training = ModelStore().card("ventricles").training
    assert training.round_cases == (1, 2) and "Dice by round" in section.resultLabel.text
    assert not host.errors()
