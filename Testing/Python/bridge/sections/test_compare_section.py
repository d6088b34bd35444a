"""The section Compare of the three panels, clicked through."""

import numpy as np
import pytest
import qt
import slicer
from bridge_scene import add_linear_transform, add_volume, opened, process_events
from comparison_nodes import add_image, add_segmentation, column, is_shown, put_in_folder

import host


@pytest.fixture
def pair(clean):
    image = add_image()
    return add_segmentation(image, "mine", 2), add_segmentation(image, "theirs")


def section_of(name="MedDLSeg"):
    section = opened(name).widget.compare
    section.button.collapsed = False
    return section


def choose(section, **nodes):
    for key, node in nodes.items():
        section._selectors[key].setCurrentNode(node)


def run(section):
    assert section.ui.applyButton.enabled, section.ui.stageLabel.text
    section.ui.applyButton.click()
    assert section.run.running and section.ui.applyButton.text == "Cancel"
    process_events(lambda: not section.run.running)


def test_compare_is_pressed_and_the_figures_are_seen(pair):
    section = section_of()
    assert not section.ui.applyButton.enabled and "Choose what" in section.ui.stageLabel.text
    choose(section, result=pair[0], reference=pair[1])
    run(section)
    cells = [[section.table.item(row, col).text() for col in range(section.table.columnCount)] for row in range(2)]
    assert [row[:2] for row in cells] == [["Left kidney", "0.67"], ["Liver", "1.00"]]
    assert "Mean Dice 0.833" in section._label.text and is_shown(section._plot)
    assert section.ui.applyButton.text == "Compare"
    table = section._node
    run(section)
    assert section._node is table and len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 2
    choose(section, reference=None)
    assert not section.ui.applyButton.enabled


def test_choices_come_back_with_the_scene_and_after_another_module(pair):
    section = section_of()
    choose(section, result=pair[0], reference=pair[1])
    box = section._distances
    box.click()
    opened("MedDLSuperRes")
    section = section_of()
    assert section.node("result") is pair[0] and section._distances.checked
    slicer.mrmlScene.RemoveNode(pair[0])
    assert section.node("result") is None and not section.ui.applyButton.enabled
    slicer.mrmlScene.Clear(0)
    assert section.node("reference") is None


def test_a_region_in_the_body_asks_for_an_image(pair):
    section = section_of()
    choose(section, result=pair[0], reference=pair[1])
    combo = section.button.findChild(qt.QComboBox, "regionWidget")
    combo.currentIndex = 2
    assert "image" in section.ui.stageLabel.text and is_shown(section._selectors["image"])
    choose(section, image=slicer.util.getNode("CT"))
    run(section)
    assert "counted in: Body." in section._label.text
    combo.currentIndex = 0


def test_a_run_is_cancelled(pair, monkeypatch):
    from meddl_slicer.sections.comparison import verb

    monkeypatch.setattr(verb, "COMPARE", "bridge_targets:slow_comparison")
    section = section_of()
    choose(section, result=pair[0], reference=pair[1])
    section.ui.applyButton.click()
    process_events(lambda: section.ui.progressBar.value > 0)
    section.ui.applyButton.click()
    process_events(lambda: not section.run.running)
    assert "cancelled" in section.ui.stageLabel.text and not slicer.util.getNodesByClass("vtkMRMLTableNode")


def test_an_error_of_the_run_is_shown(pair):
    section = section_of()
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing")
    choose(section, result=pair[0], reference=empty)
    section.ui.applyButton.click()
    process_events(lambda: not section.run.running)
    assert "no segment" in host.errors()[-1].text
    host.take_unhandled()


def test_cases_of_two_folders(clean):
    images = [add_image(f"CT {number}") for number in range(3)]
    mine = [add_segmentation(image, f"{n} found", n) for n, image in enumerate(images)]
    theirs = [add_segmentation(image, f"{n}") for n, image in enumerate(images)]
    section = section_of()
    choose(section, result=mine[0], reference=theirs[0])
    assert not is_shown(section._cases)
    put_in_folder("found", *mine), put_in_folder("truth", *theirs)
    section.update()
    assert is_shown(section._cases)
    section._cases.click()
    run(section)
    assert column(section._node, "Case")[0] == "2 found" and "3 cases" in section._label.text
    section._cases.click()


def test_each_panel_offers_its_own_kinds(pair):
    assert "vtkMRMLSegmentationNode" in section_of("MedDLSeg")._selectors["reference"].nodeTypes
    first, second = add_volume(np.zeros((4, 4, 4), np.int16), name="a"), add_image("b")
    section = section_of("MedDLSuperRes")
    choose(section, result=first, reference=second)
    assert is_shown(section._selectors["mask"]) and not is_shown(section._selectors["transform"])
    section = section_of("MedDLRegister")
    choose(section, result=add_linear_transform(np.eye(4)), reference=add_linear_transform(np.eye(4)))
    assert is_shown(section._selectors["fixed"]) and not is_shown(section._selectors["mask"])
