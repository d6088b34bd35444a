"""The section Synthesize a contrast, clicked through; what is invented says so, also as a channel of a model."""

import numpy as np
import pytest
import slicer
from bridge_scene import finished, opened

import host
import meddl
from meddl.core.errors import InputError
from meddl.samples import head_image
from meddl_slicer.mrml.nodes import create_volume_node, read_node
from meddl_slicer.runs import verbs
from meddl_slicer.sections.contrast_synthesis.verb import INVENTED_ATTRIBUTE


def volume_node(contrast="T1", name="head"):
    return create_volume_node(head_image(contrast, 4.0), name, None)


@pytest.fixture
def section(clean):
    section = opened("MedDLSuperRes").widget.synthesizeContrast
    section.button.collapsed = False
    yield section
    section.button.collapsed = True


def test_a_contrast_is_synthesized_in_one_click_and_marked(section):
    node = volume_node()
    assert not section.ui.applyButton.enabled and "head of MR" in section.ui.applyButton.toolTip
    section._selectors["volume"].setCurrentNode(node)
    section._selectors["output"].setCurrentNode(node)
    assert "overwrite" in section.ui.applyButton.toolTip
    section._selectors["output"].setCurrentNode(None)
    assert section.contrast() == "t2" and section.contrastComboBox.currentText == "T2"
    section.contrastComboBox.setCurrentIndex(2)
    assert section.contrast() == "flair" and "not measured" in section.inventedLabel.text
    section.ui.applyButton.click()
    finished(section, limit=120)
    assert not host.errors()
    (made,) = [one for one in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if one is not node]
    assert made.GetName() == "head FLAIR (invented)" and made.GetAttribute(INVENTED_ATTRIBUTE) == "FLAIR"
    expected = meddl.synthesize_contrast(head_image("T1", 4.0), "flair", device="cpu").volume
    np.testing.assert_allclose(read_node(made)[0].data, expected.data, atol=0.5)
    assert "not measured" in section.readingLabel.text
    assert "was not measured" in verbs.report_of(made)["warnings"][0]


def test_the_logic_takes_a_node_and_refuses_the_input_as_output(clean):
    node, output = volume_node("T2"), volume_node("T2", "measured")
    host.load_module("MedDLSuperRes")
    logic = slicer.util.getModuleLogic("MedDLSuperRes")
    with pytest.raises(InputError, match="is the input"):
        logic.synthesizeContrast(node, outputNode=node)
    with pytest.raises(InputError, match="got 'ct'"):
        logic.synthesizeContrast(node, "ct")
    made = logic.synthesizeContrast(node, "t1", outputNode=output, device="cpu")
    assert made is output and made.GetName() == "head T1 (invented)"
    assert verbs.invented_warnings((node, made)) == [
        "'head T1 (invented)' is invented, not measured: do not rely on what is found in it alone."]
