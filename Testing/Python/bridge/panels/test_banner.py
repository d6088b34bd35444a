"""What speaks against a run, and what to mind of the last one, is seen above Apply until it is over."""

import numpy as np
import pytest
from bridge_scene import add_volume, centered, finished, opened, phantom  # noqa: F401
from segmentation_panel import head, thresholding, widget  # noqa: F401

import meddl
from meddl_slicer.mrml import nodes
from meddl_slicer.panels.banner import Banner
from meddl_slicer.panels.inputs.volume_doubts import VolumeDoubts
from meddl_slicer.runs import verbs


@pytest.fixture
def banner(clean):
    import qt

    page = qt.QWidget()
    layout = qt.QVBoxLayout(page)
    button = qt.QPushButton("Apply")
    layout.addWidget(button)
    yield Banner(layout, button)
    page.delete()


def test_sections_come_and_go_by_themselves(banner):
    assert banner.label.isHidden()
    banner.show("before", "Check 'a & b'", ["It is < 3 slices."])
    banner.show("after", "Mind", ["One.", "Two."])
    assert not banner.label.isHidden()
    assert "Check &#x27;a &amp; b&#x27;" in banner.label.text and "It is &lt; 3 slices." in banner.label.text
    banner.clear("before")
    assert banner.label.text.count("<p") == 1  # no gap to another
    assert "slices" not in banner.label.text and "One.<br>Two." in banner.label.text
    banner.show("after", "Mind", [])
    assert banner.label.isHidden()


def test_it_stands_above_apply(widget):
    layout = widget.ui.applyButton.parent().layout()
    assert layout.indexOf(widget.banner.label) == layout.indexOf(widget.ui.applyButton) - 1


def test_a_chest_is_doubted_before_apply_and_can_be_segmented_all_the_same(widget, data_folder):
    chest = nodes.create_volume_node(meddl.load(data_folder / "body" / "chest_ct.nrrd"), "chest")
    widget.ui.inputSelector.setCurrentNode(chest)
    assert "Check 'chest' before Apply" in widget.banner.label.text.replace("&#x27;", "'")
    assert "looks like a CT of the chest" in widget.banner.label.text
    assert not widget.banner.label.isHidden() and widget.ui.applyButton.enabled
    widget.ui.inputSelector.setCurrentNode(None)
    assert widget.banner.label.isHidden()


def test_both_volumes_of_a_registration_are_looked_at(clean):
    labels, image = (np.kron(np.arange(64).reshape(4, 4, 4), np.ones((8, 8, 8))).astype(np.int16),
                     np.random.default_rng(0).integers(0, 500, (32, 32, 32)).astype(np.int16))
    for array, name in ((image, "image"), (labels, "labels")):
        add_volume(array, centered(np.diag([5.0, 5.0, 5.0]), array.shape), name)
    panel = opened("MedDLRegister").widget
    text = panel.banner.label.text
    assert "labels" in text and "looks like a segmentation" in text and "'image'" not in text.replace("&#x27;", "'")


def test_warnings_stay_until_the_next_run_and_are_not_said_twice(widget, head, monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:doubtful_threshold")
    widget.ui.applyButton.click()
    finished(widget)
    assert "looks unlike a head" in widget.banner.label.text and "looks unlike" not in widget.ui.stageLabel.text
    widget.ui.show3DCheckBox.checked = not widget.ui.show3DCheckBox.checked
    assert "looks unlike a head" in widget.banner.label.text
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    widget.ui.applyButton.click()
    assert "looks unlike a head" not in widget.banner.label.text
    finished(widget)
    assert "looks unlike a head" not in widget.banner.label.text


def test_a_volume_is_looked_at_once_and_anew_when_its_voxels_change(head, monkeypatch):
    import slicer

    from meddl_slicer.panels.inputs import volume_doubts

    looks = []
    real = volume_doubts.look_at
    monkeypatch.setattr(volume_doubts, "look_at", lambda *given: looks.append(given) or real(*given))
    doubts = VolumeDoubts()
    assert doubts.of(head) == doubts.of(head) and len(looks) == 1
    slicer.util.updateVolumeFromArray(head, np.full((20, 20, 20), 3, np.int16))
    assert doubts.of(head) == ("All its voxels have the same value, 3.",) and len(looks) == 2
    assert doubts.of(None) == ()
