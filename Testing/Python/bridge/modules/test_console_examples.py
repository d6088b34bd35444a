"""What the documents say to type into Slicer's Python console is typed, with small computations behind it."""

from pathlib import Path

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume
from documents import PAGES, blocks
from places import REPOSITORY
from registration_panel import pair  # noqa: F401
from segmentation_panel import thresholding  # noqa: F401
from sequence_nodes import drifting
from stack_phantoms import textured_ellipsoid, three_stacks

import host
import meddl.samples
from meddl_slicer.runs import verbs
from meddl_slicer.sections.classification import verb as classification
from meddl_slicer.sections.explanation import verb as explanation
from meddl_slicer.sections.landmarks import verb as landmarks
from meddl_slicer.sections.training.compression import verb as compression

CONSOLE = [(page, block) for page in PAGES for block in blocks(page, "python") if "slicer.util" in block]


def test_readme_and_the_page_on_scripting_have_examples():
    assert {page.relative_to(REPOSITORY).as_posix() for page, _ in CONSOLE} >= {"README.md", "docs/how-to/scripting.md"}


def names_for(page, pair):
    """What the examples of a page find in the console."""
    names = {"slicer": slicer, "fixedNode": pair[0], "movingNode": pair[1], "volumeNode": pair[0],
             "baselineNode": pair[0], "followUpNode": pair[1], "firstNode": None, "secondNode": None}
    if page == "stacks":
        stacks = zip(("axialNode", "coronalNode", "sagittalNode"), three_stacks(textured_ellipsoid()), strict=True)
        names |= {name: add_volume(stack.scalar_data, stack.affine, name) for name, stack in stacks}
    if page in ("landmarks", "synthesize"):
        head = meddl.samples.head_image("T1", 2.0)
        names["volumeNode"] = add_volume(head.scalar_data, head.affine, "head")
    if page == "inpaint":
        head = meddl.samples.head_image("T1", 3.0)
        names["volumeNode"] = add_volume(head.scalar_data, head.affine, "head")
        names["maskNode"] = label_map(head)
    if page == "series":
        names["sequenceNode"] = drifting()
    return names


def label_map(volume):
    """A label map of a small box in the middle of a volume."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "lesion")
    inside = np.zeros(volume.shape, np.uint8)
    inside[tuple(slice(n // 2, n // 2 + 3) for n in volume.shape)] = 1
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(inside.T))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.array(volume.affine)))
    return node


def check_deidentified(names):
    assert Path("SHARED_FROM_SLICER", "case_0001.nii.gz").is_file()


def check_inpainted(names):
    assert names["synthesizedNode"].IsA("vtkMRMLLabelMapVolumeNode")


def check_change(names):
    assert names["changeNode"].GetImageData() is not None


def check_series(names):
    assert names["quietSequence"].GetNumberOfDataNodes() == 3


def check_classified(names):
    assert names["volumeNode"].GetAttribute("MedDL.Class") == "T1"
    assert names["tableNode"].GetNumberOfColumns() == 2
    assert names["mapNode"].GetImageData() is not None


def check_smaller(names):
    assert verbs.report_of(names["tableNode"])["model"] == "my-tumors-small"


def check_contrast(names):
    assert names["t2Node"].GetName() == "head T2 (invented)"


def check_stacks(names):
    made = names["isotropicNode"]
    assert max(made.GetSpacing()) == pytest.approx(min(made.GetSpacing()))
    assert min(made.GetImageData().GetDimensions()) > 40


def check_nodes(names):
    """Whatever the examples of a page have made."""
    if "pointsNode" in names:
        assert names["pointsNode"].GetNumberOfControlPoints() == (12 if "transformNode" in names else 1)
        return
    assert names["segmentationNode"].GetSegmentation().GetNumberOfSegments()
    if "mapNode" in names:
        for name in ("mapNode", "uncertaintyNode", "spreadNode", "deviationNode"):
            assert names[name].GetDisplayNode().GetWindowLevelMin() == 0
        return
    assert names["transformNode"].IsLinear() and names["sharpNode"].GetImageData() is not None
    if "tableNode" in names:
        assert names["tableNode"].IsA("vtkMRMLTableNode")
        assert names["movingNode"].GetTransformNodeID() == names["transformNode"].GetID()
        assert names["gridNode"] is not names["transformNode"] and names["cubicNode"] is not names["sharpNode"]


CHECKS = {"deidentify": check_deidentified, "inpaint": check_inpainted, "change": check_change, "series": check_series,
          "classify": check_classified, "shrink-model": check_smaller, "synthesize": check_contrast,
          "stacks": check_stacks}


@pytest.mark.parametrize("page", sorted({page for page, _ in CONSOLE}), ids=lambda page: page.stem)
def test_the_examples_run_one_after_the_other(page, thresholding, pair, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    for name in ("EXPLAIN", "SEGMENT", "REGISTER", "SUPER_RESOLVE"):
        monkeypatch.setattr(explanation, name, f"bridge_targets:{name.lower()}_repeatedly")
    monkeypatch.setattr(classification, "CLASSIFY", "bridge_targets:classify")
    monkeypatch.setattr(compression, "SHRINK", "bridge_targets:shrink")
    for name in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
        host.load_module(name)
    if page.stem == "learn-landmarks":
        monkeypatch.setattr(landmarks, "FIND", "bridge_targets:find_own_landmarks")
    names = names_for(page.stem, pair)
    if page.stem == "deidentify":
        (tmp_path / "SCANS").mkdir()
        slicer.util.saveNode(pair[0], str(tmp_path / "SCANS" / "Jane Doe.nii.gz"))
    for one, block in CONSOLE:
        if one == page:
            exec(compile(block, str(page), "exec"), names)  # noqa: S102  the project's own text
    CHECKS.get(page.stem, check_nodes)(names)
    assert not host.errors()
