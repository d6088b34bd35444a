"""The tutorials: what their pages say is done on the panels, with small computations in place of the long ones."""

import pytest
import slicer
from segmentation_panel import thresholding  # noqa: F401
from tutorial_steps import MODULES, TUTORIALS, Reader, Step, items_of, steps_of

import host
from meddl_slicer.runs import verbs

PAGES = ("segmentation", "registration", "super-resolution")
OTHER_PAGES = ("train",)  # in a test file of its own
RESULTS = {"segmentation": "vtkMRMLSegmentationNode", "registration": "vtkMRMLTransformNode",
           "super-resolution": "vtkMRMLScalarVolumeNode"}


@pytest.fixture(autouse=True)
def quick(thresholding, monkeypatch):
    """Small computations; all modules are loaded and the samples registered, as in an application that has started."""
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    monkeypatch.setattr(verbs, "SUPER_RESOLVE", "bridge_targets:large_copy")
    for name in MODULES.values():
        host.load_module(name)


def test_every_module_has_a_page():
    assert sorted(path.stem for path in TUTORIALS.glob("*.md")) == sorted(PAGES + OTHER_PAGES)
    titles = [step.control for page in PAGES for step in steps_of(page) if step.action == "module"]
    assert sorted(set(titles) - {"Sample Data"}) == sorted(MODULES)


@pytest.mark.parametrize("page", PAGES)
def test_every_item_of_the_page_is_a_step_that_is_done(page):
    items = items_of(page)
    assert len(items) >= 6 and all(items)


@pytest.mark.parametrize("page", PAGES)
def test_the_steps_of_the_page_can_be_done_and_make_a_result(page):
    reader = Reader()
    steps = steps_of(page)
    assert {"module", "sample", "choose", "press", "see"} <= {step.action for step in steps}
    before = len(slicer.util.getNodesByClass(RESULTS[page]))
    for step in steps:
        reader.do(step)
    made = slicer.util.getNodesByClass(RESULTS[page])[before:]
    assert any(node.GetAttribute(verbs.REPORT_ATTRIBUTE) for node in made)
    assert not host.errors()


@pytest.mark.parametrize("step", [
    Step("see", "Outpits", None), Step("choose", "Volume", "no such volume"), Step("press", "Applied", None),
    Step("check", "Show in 4D", None), Step("sample", "MedDLHand", None), Step("press", "Apply", None)])
def test_a_step_that_the_panel_does_not_allow_is_seen(step):
    reader = Reader()
    reader.do(Step("module", "MedDL Segmentation", None))
    with pytest.raises(LookupError):
        reader.do(step)
