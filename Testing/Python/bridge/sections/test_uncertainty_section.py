"""The section Uncertainty of registration and super-resolution: the map, how to read it, warnings."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, finished, opened, phantom

import host
from meddl_slicer.runs import verbs
from meddl_slicer.sections.explanation.verb import RESIDUAL_ROLE, RESULT_ROLE


@pytest.fixture
def thick(clean):
    return add_volume(phantom() + np.random.default_rng(0).integers(0, 9, phantom().shape, np.int16),
                      centered(np.diag([1.0, 1.0, 4.0])), "thick")


def shown():
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    return composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()


def test_super_resolution_makes_map_result_and_residual(thick):
    widget = opened("MedDLSuperRes").widget
    widget.ui.inputSelector.setCurrentNode(thick)
    widget.ui.methodComboBox.currentText = "Cubic"
    section = widget.uncertainty
    section.runsSpinBox.value = 2
    section.ui.applyButton.click()
    finished(section, limit=120)
    assert not host.errors()
    (found,) = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
                if node.GetNodeReference(RESULT_ROLE)]
    assert shown() == (found.GetNodeReferenceID(RESULT_ROLE), found.GetID())
    assert found.GetNodeReference(RESIDUAL_ROLE).GetImageData().GetDimensions() == thick.GetImageData().GetDimensions()
    assert "Standard deviation over 2 runs" in section.readingLabel.text and "Mean" in section.readingLabel.text
    section.clear()
    assert section.readingLabel.text == "" and section.banner.label.isHidden()


def test_warnings_stand_in_the_banner_until_the_next_run(thick, monkeypatch):
    widget = opened("MedDLSuperRes").widget
    widget.ui.inputSelector.setCurrentNode(thick)
    section = widget.uncertainty
    node = add_volume(phantom(), centered(np.diag([1.0, 1.0, 4.0])), "map")
    verbs.keep_report(node, {"reading": "Spread.", "warnings": ["Look at the result."]})
    section.button.collapsed = False
    section._volumeNode = thick
    section.showResult(node)
    assert "Look at the result." in section.banner.label.text and not section.banner.label.isHidden()
    monkeypatch.setattr(section, "_start", lambda *_: 1 / 0)
    section.ui.applyButton.click()
    assert section.banner.label.isHidden() and host.dialogs and host.take_unhandled()
    section.button.collapsed = True


def test_what_cannot_run_is_said_as_in_the_panel(clean):
    widget = opened("MedDLRegister").widget
    section = widget.uncertainty
    section.update()
    assert not section.ui.applyButton.enabled and section.ui.stageLabel.text
    widget.ui.presetComboBox.currentText = "Time series"
    assert "single volume or pair" in section.ui.stageLabel.text
    widget.ui.presetComboBox.currentText = "Rigid"
    assert "single volume or pair" not in section.ui.stageLabel.text


@pytest.mark.slow
def test_registration_shows_the_spread_over_the_fixed_volume(thick):
    moving = add_volume(np.roll(slicer.util.arrayFromVolume(thick).T, 1, axis=0), centered(np.diag([1.0, 1.0, 4.0])),
                        "moving")
    widget = opened("MedDLRegister").widget
    widget.ui.fixedSelector.setCurrentNode(thick)
    widget.ui.movingSelector.setCurrentNode(moving)
    section = widget.uncertainty
    section.runsSpinBox.value = 2
    section.ui.applyButton.click()
    finished(section, limit=120)
    assert not host.errors() and shown()[0] == thick.GetID()
    assert "in mm" in section.readingLabel.text and "Mean" in section.readingLabel.text
