"""The panel asks for each further volume of a model by its name, and remembers what was chosen."""

import types

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, phantom

from meddl_slicer.panels.inputs.channel_selectors import ROLE, ChannelSelectors

NAMES = ("T1", "T2", "FLAIR")


@pytest.fixture
def panel(clean):
    """A form with a label, the selectors, a parameter node and what was told."""
    import qt

    widget = qt.QWidget()
    form = qt.QFormLayout(widget)
    label = qt.QLabel("Volume:")
    form.addRow(label, qt.QLabel("selector"))
    told = []
    selectors = ChannelSelectors(form, label, lambda: told.append(True))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")
    wrapper = types.SimpleNamespace(parameterNode=node)
    yield types.SimpleNamespace(selectors=selectors, label=label, parameters=wrapper, told=told, widget=widget)


def volumes(*names):
    return [add_volume(phantom(), centered(np.eye(3)), name) for name in names]


def test_a_model_of_one_volume_has_none(panel):
    panel.selectors.update(("volume",), panel.parameters)
    assert panel.label.text == "Volume:" and panel.selectors.nodes() == ()
    assert panel.selectors.whyNotReady(None) is None


def test_each_further_channel_has_a_selector_and_a_volume_of_its_name_is_suggested(panel):
    first, second, odd = volumes("head T1", "head_t2", "other")
    panel.selectors.update(NAMES, panel.parameters)
    assert panel.label.text == "T1:"
    assert panel.selectors.nodes() == (second, None)
    assert panel.selectors.whyNotReady(first) == "Choose the volume for FLAIR."
    panel.selectors._selectors["FLAIR"].setCurrentNode(odd)
    assert panel.told and panel.selectors.nodes() == (second, odd)
    assert panel.selectors.whyNotReady(first) is None
    assert panel.parameters.parameterNode.GetNodeReference(ROLE + "FLAIR") is odd
    assert "'other' is chosen for two" in panel.selectors.whyNotReady(odd)


def test_what_was_chosen_is_remembered_by_the_channel_s_name(panel):
    first, second, odd = volumes("a", "b", "c")
    panel.selectors.update(NAMES, panel.parameters)
    panel.selectors._selectors["T2"].setCurrentNode(second)
    panel.selectors.update(("volume",), panel.parameters)
    assert panel.selectors.nodes() == () and panel.label.text == "Volume:"
    panel.selectors.update(("CT", "T2"), panel.parameters)
    assert panel.selectors.nodes() == (second,)
    slicer.mrmlScene.RemoveNode(second)  # no other volume takes its place
    assert panel.selectors.nodes() == (None,)
    panel.selectors.update(("CT", "T2"), panel.parameters)
    assert panel.selectors.nodes() == (None,)


def test_an_unusable_volume_is_told(panel):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "no image T2")
    first, = volumes("a")
    panel.selectors.update(("T1", "T2"), panel.parameters)
    assert panel.selectors.nodes() == (empty,)
    assert "has no image" in panel.selectors.whyNotReady(first)
