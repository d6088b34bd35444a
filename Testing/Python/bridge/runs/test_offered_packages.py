"""Whoever starts a run is offered the packages that are missing: the console's verbs as the panels' buttons."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, finished, opened, phantom, scene_contents

import host
from meddl.core.errors import DependencyError
from meddl.preparation.steps import Normalize
from meddl_slicer.runs import verbs
from meddl_slicer.sections.comparison.verb import ComparisonVerbs
from meddl_slicer.sections.preparation.restoration_verbs import RestorationVerbs

QUESTION = "MedDL - Install Python Packages"
VERBS = {
    ("MedDLSeg", "segment"): lambda verb, node: verb(node),
    ("MedDLSeg", "segmentBranch"): lambda verb, node: verb(item_of(node)),
    ("MedDLSeg", "segmentSequence"): lambda verb, node: verb(sequence_of(node)),
    ("MedDLRegister", "register"): lambda verb, node: verb(node, add_volume(phantom(), name="other")),
    ("MedDLRegister", "registerBranch"): lambda verb, node: verb(
        item_of(node), add_volume(phantom(), name="other")),
    ("MedDLRegister", "registerSequence"): lambda verb, node: verb(sequence_of(node)),
    ("MedDLSuperRes", "superResolve"): lambda verb, node: verb(node),
    ("MedDLSuperRes", "superResolveBranch"): lambda verb, node: verb(item_of(node)),
    ("MedDLSuperRes", "prepare"): lambda verb, node: verb(node, [Normalize()]),
    ("MedDLSuperRes", "denoiseSequence"): lambda verb, node: verb(sequence_of(node)),
    ("MedDLSuperRes", "inpaint"): lambda verb, node: verb(node, mask()),
    ("MedDLSuperRes", "synthesizeContrast"): lambda verb, node: verb(node),
    ("MedDLSuperRes", "deidentify"): lambda verb, node: verb("files", "new files"),
    **{(module, "compare"): lambda verb, node: verb(node, add_volume(phantom(), name="other"))
       for module in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")},
}


def item_of(node):
    """The item of a node in the subject hierarchy."""
    return slicer.mrmlScene.GetSubjectHierarchyNode().GetItemByDataNode(node)


def sequence_of(node):
    """A sequence of two frames that are this volume."""
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "frames")
    for index in "01":
        sequence.SetDataNodeAtValue(node, index)
    return sequence


def mask():
    """A label map over the phantom, with its brighter voxels."""
    return add_volume((phantom() > 100).astype(np.uint8), name="other mask", kind="vtkMRMLLabelMapVolumeNode")


@pytest.fixture
def head(clean):
    return add_volume(phantom())


def test_all_verbs_are_here():
    known = set()
    for name in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
        logic = type(opened(name).widget.logic)
        owners = {logic, ComparisonVerbs, RestorationVerbs} & set(logic.__mro__)
        known |= {(name, verb) for owner in owners for verb in vars(owner)
                  if not verb.startswith("_") and verb != "getParameterNode"}
    assert known == set(VERBS)


@pytest.mark.parametrize("lacking", ["torch", "monai"])
@pytest.mark.parametrize("module, verb", VERBS)
def test_a_verb_offers_what_is_missing_once_and_does_nothing_without(head, module, verb, lacking):
    logic = opened(module).widget.logic
    host.hide_package(lacking)
    call, before = VERBS[module, verb], scene_contents()
    with pytest.raises(DependencyError, match=f"(?i){lacking}"):
        call(getattr(logic, verb), head)
    assert [dialog.kind for dialog in host.dialogs] == ["question"]
    kept = [text for text in scene_contents() if "frames" not in text and "other" not in text]
    assert set(kept) <= set(before)


@pytest.mark.parametrize("lacking", ["torch", "safetensors"])
def test_a_verb_goes_on_after_the_installation_that_was_accepted(head, lacking):
    host.hide_package(lacking)
    host.answer("Ok")
    host.python_runs.succeed()
    node = opened("MedDLSuperRes").widget.logic.superResolve(head)
    assert node.IsA("vtkMRMLScalarVolumeNode")
    assert len([dialog for dialog in host.dialogs if "estart" not in dialog.title]) == 1


@pytest.mark.parametrize("module, verb", VERBS)
def test_in_testing_mode_a_verb_fails_with_the_reason_and_installs_nothing(head, module, verb):
    logic = opened(module).widget.logic
    host.hide_package("torch", "monai")
    host.python_runs.succeed()
    slicer.app.set_testing_enabled(True)
    with pytest.raises(DependencyError, match=r"torch.*monai.*--testing"):
        VERBS[module, verb](getattr(logic, verb), head)
    assert not host.python_runs.runs


@pytest.mark.parametrize("module", ["MedDLSeg", "MedDLSuperRes", "MedDLRegister"])
def test_apply_asks_once_without_a_wait_cursor_and_then_runs(head, module, monkeypatch):
    if module == "MedDLRegister":
        add_volume(phantom(), name="other")
    for target in ("SEGMENT", "REGISTER", "SUPER_RESOLVE"):
        monkeypatch.setattr(verbs, target, "bridge_targets:bad_threshold")
    widget = opened(module).widget
    host.hide_package("safetensors")
    host.answer("Ok")
    host.python_runs.succeed()
    widget.ui.applyButton.click()
    finished(widget)
    assert [dialog.title for dialog in host.dialogs if "Install " in dialog.title] == [QUESTION]
    assert [dialog.text for dialog in host.errors()] == ["The volume is empty. Load another one."]
    assert not host.under_wait_cursor()


def test_entering_a_module_asks_nothing(head):
    host.hide_package("torch", "monai")
    for name in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
        opened(name)
    assert not host.dialogs
    assert not host.python_runs.runs
