"""The section Prepare, clicked through, and the verb on nodes."""

import numpy as np
import pytest
import qt
import slicer
from bridge_scene import OBLIQUE, add_linear_transform, add_volume, opened, process_events, scene_contents, turned
from comparison_nodes import is_shown

import host
import meddl
from meddl.preparation.steps import N4, Crop, Normalize, Reorient, Resample, chain_from_text
from meddl.spatial.volume import Volume
from meddl_slicer.runs import verbs
from meddl_slicer.sections.preparation.verb import CHAIN_ATTRIBUTE


def image():
    array = np.random.default_rng(0).random((24, 20, 16)) * 4 + 1
    array[5:19, 4:16, 3:13] += 100
    return array.astype(np.float32)


@pytest.fixture
def volume(clean):
    return add_volume(image(), OBLIQUE, "MR")


@pytest.fixture
def section(volume):
    section = opened("MedDLSuperRes").widget.prepare
    section.button.collapsed = False
    section._selectors["volume"].setCurrentNode(volume)
    yield section
    section.button.collapsed = True


def run(section):
    assert section.ui.applyButton.enabled, section.ui.stageLabel.text
    section.ui.applyButton.click()
    process_events(lambda: not section.run.running)


def items(section):
    return [section.list.item(row).text() for row in range(section.list.count)]


def test_the_verb_gives_what_meddl_prepare_gives_where_the_node_is_seen(volume):
    volume.SetAndObserveTransformNodeID(add_linear_transform(turned(20)).GetID())
    steps = [Crop(margin_mm=1.0), Resample(spacing_mm=(2.0,)), Normalize(), Reorient(codes="LPS")]
    host.load_module("MedDLSuperRes")
    node = slicer.util.getModuleLogic("MedDLSuperRes").prepare(volume, steps)
    expected = meddl.prepare(Volume.scalar(image(), turned(20) @ OBLIQUE), steps).volume
    assert np.allclose(slicer.util.arrayFromVolume(node).T, expected.scalar_data, atol=1e-4)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID()
    assert chain_from_text(node.GetAttribute(CHAIN_ATTRIBUTE)) == tuple(steps)
    assert [entry["step"] for entry in verbs.report_of(node)["steps"]] == ["crop", "resample", "normalize", "reorient"]
    assert np.array_equal(slicer.util.arrayFromVolume(volume).T, image())


def test_removing_the_result_undoes_the_preparation(volume):
    def contents():
        return [line for line in scene_contents() if "Display" not in line]

    before = contents()
    host.load_module("MedDLSuperRes")
    node = slicer.util.getModuleLogic("MedDLSuperRes").prepare(volume, [Normalize()])
    assert contents() != before
    slicer.mrmlScene.RemoveNode(node)
    assert contents() == before


def test_a_chain_is_built_by_buttons_and_run(section, volume):
    assert items(section) == ["1. N4 bias field correction", "2. Normalize intensities: z-score"]
    section.list.setCurrentRow(1)
    section.onAdd("crop")
    assert items(section)[2] == "3. Crop: Body"
    section.upButton.click()
    assert items(section)[1] == "2. Crop: Body" and section.list.currentRow == 1
    section.list.setCurrentRow(0)
    section.removeButton.click()
    assert section.steps == (Crop(), Normalize())
    run(section)
    node = section._faded[1]
    assert node.GetName() == "MR prepared" and verbs.report_of(node)["steps"][0]["step"] == "crop"
    assert "Done in" in section.ui.stageLabel.text and is_shown(section._row)
    section._slider.value = 30
    view = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert view.GetForegroundVolumeID() == node.GetID() and view.GetForegroundOpacity() == pytest.approx(0.3)
    run(section)
    assert section._faded[1] is node


def test_options_of_the_chosen_step_are_shown_and_kept(section):
    section.list.setCurrentRow(1)
    page = section._forms[Normalize][0]
    assert is_shown(page) and not is_shown(section._forms[N4][0])
    combo = page.findChild(qt.QComboBox, "methodWidget")
    combo.currentIndex = 3
    assert section.steps[1] == Normalize(method="window") and "window" in items(section)[1].lower()
    combo.currentIndex = 2
    assert is_shown(section._selectors["reference"]) and "histogram" in section.ui.stageLabel.text
    opened("MedDLSeg")
    again = opened("MedDLSuperRes").widget.prepare
    assert again.steps[1] == Normalize(method="match")


def test_a_chain_is_saved_and_loaded(section, tmp_path):
    section.setSteps((Resample(spacing_mm=(1.0, 1.0, 2.0)),), 0)
    host.answer(str(tmp_path / "chain.json"))
    section.saveButton.click()
    section.setSteps((Normalize(),), 0)
    host.answer(str(tmp_path / "chain.json"))
    section.loadButton.click()
    assert items(section) == ["1. Resample: spacing mm 1 × 1 × 2"]
    (tmp_path / "broken.json").write_text("{}")
    host.answer(str(tmp_path / "broken.json"))
    section.loadButton.click()
    assert "chain is JSON" in host.errors()[-1].text
    host.take_unhandled()


def test_no_step_and_no_volume_say_what_to_do(section):
    while section.steps:
        section.onRemove()
    assert "Add a step" in section.ui.stageLabel.text and not section.removeButton.enabled
    section.onAdd("n4")
    section._selectors["volume"].setCurrentNode(None)
    assert not section.ui.applyButton.enabled
