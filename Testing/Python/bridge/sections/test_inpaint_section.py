"""The section Inpaint, clicked through on volumes and sequences, in the worker."""

import numpy as np
import pytest
import slicer
from bridge_scene import finished, opened, process_events
from sequence_nodes import sequence

import host
import meddl
from meddl.core.errors import InputError
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.nodes import create_volume_node, volume_from_node
from meddl_slicer.mrml.sequences import browser_of, volumes_from_sequence
from meddl_slicer.runs import verbs

AFFINE = np.diag([3.0, 3.0, 4.0, 1.0])
SHAPE = (24, 20, 16)
INSIDE = np.zeros(SHAPE, bool)
INSIDE[8:13, 6:11, 5:9] = True
HARMONIC = meddl.InpaintConfig(method="harmonic")


def image():
    axes = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return (200 + 5 * axes[0] - 3 * axes[1] + axes[2] ** 2).astype(np.int16)


def label_map(inside=INSIDE, affine=AFFINE):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "lesion")
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(inside.astype(np.uint8).T))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    return node


@pytest.fixture
def section(clean):
    section = opened("MedDLSuperRes").widget.inpaint
    section.button.collapsed = False
    yield section
    section.button.collapsed = True


def test_a_volume_is_filled_and_what_was_synthesized_is_marked(section):
    node, mask = create_volume_node(Volume.scalar(image(), AFFINE), "head"), None
    section._selectors["input"].setCurrentNode(node)
    assert "Choose a mask" in section.ui.applyButton.toolTip and not section.memoryLabel.text
    mask = label_map()
    section._selectors["mask"].setCurrentNode(mask)
    assert "GB of memory" in section.memoryLabel.text
    section.keepConfig(HARMONIC)
    section.update()
    section.ui.applyButton.click()
    finished(section, limit=60)
    assert not host.errors()
    made = slicer.util.getNode("head inpainted (voxels synthesized)")
    marked = made.GetNodeReference(verbs.INVENTED_ROLE)
    assert marked.IsA("vtkMRMLLabelMapVolumeNode") and marked.GetName() == f"{made.GetName()} mask"
    (warning,) = verbs.invented_warnings([None, marked, made])  # of a later segmentation of it
    assert made.GetName() in warning and "not measured" in warning
    np.testing.assert_array_equal(volume_from_node(marked).scalar_data > 0, INSIDE)
    expected = meddl.inpaint(Volume.scalar(image(), AFFINE), Volume.scalar(INSIDE.astype(np.uint8), AFFINE), HARMONIC)
    np.testing.assert_array_equal(volume_from_node(made).data, expected.volume.data)
    assert "100 voxels" in section.readingLabel.text and not section.banner.label.isHidden()
    assert verbs.report_of(made)["filled_voxels"] == 100
    section._selectors["output"].setCurrentNode(made)
    section.ui.applyButton.click()
    finished(section, limit=60)
    assert made.GetNodeReference(verbs.INVENTED_ROLE) is marked


def test_a_sequence_is_filled_frame_by_frame_in_step(section):
    frames = np.stack([image(), image() + 50, image() + 90]).astype(np.float32)
    node = sequence(frames, AFFINE, "cine")
    section._selectors["input"].setCurrentNode(node)
    section._selectors["mask"].setCurrentNode(label_map())
    section._selectors["output"].setCurrentNode(node)
    assert "overwrite" in section.ui.applyButton.toolTip
    section._selectors["output"].setCurrentNode(None)
    section.keepConfig(HARMONIC)
    section.update()
    section.ui.applyButton.click()
    finished(section, limit=60)
    (made,) = [one for one in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if one is not node]
    assert "synthesized" in made.GetName() and browser_of(made) is browser_of(node)
    found = np.concatenate([one.data for one in volumes_from_sequence(made)])
    np.testing.assert_array_equal(found[:, ~INSIDE], frames[:, ~INSIDE])
    assert (found != frames)[:, INSIDE].any(axis=1).all()
    assert made.GetNodeReference(verbs.INVENTED_ROLE) is not None


def test_a_mask_is_read_where_it_is_seen_and_bad_ones_are_refused(clean):
    node = create_volume_node(Volume.scalar(image(), AFFINE), "head")
    moved = AFFINE.copy()
    moved[:3, 3] = -30, 0, 0
    mask = label_map(affine=moved)
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 30
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    mask.SetAndObserveTransformNodeID(shift.GetID())
    host.load_module("MedDLSuperRes")
    logic = slicer.util.getModuleLogic("MedDLSuperRes")
    made = logic.inpaint(node, mask, HARMONIC, device="cpu")
    np.testing.assert_array_equal(volume_from_node(made.GetNodeReference(verbs.INVENTED_ROLE)).scalar_data > 0, INSIDE)
    for inside, text in ((np.zeros(SHAPE, bool), "empty"), (np.ones(SHAPE, bool), "covers the whole volume")):
        with pytest.raises(InputError, match=text):
            logic.inpaint(node, label_map(inside), HARMONIC, device="cpu")
    with pytest.raises(InputError, match="overwrite"):
        logic.inpaint(node, mask, outputNode=node)


def test_a_run_is_cancelled_and_nothing_is_left(section):
    big = np.random.default_rng(0).normal(100, 20, (96, 96, 60)).astype(np.float32)
    inside = np.zeros(big.shape, bool)
    inside[2:-2, 2:-2, 2:-2] = True
    section._selectors["input"].setCurrentNode(create_volume_node(Volume.scalar(big, AFFINE), "large"))
    section._selectors["mask"].setCurrentNode(label_map(inside))
    section.keepConfig(meddl.InpaintConfig(method="biharmonic"))
    section.update()
    section.ui.applyButton.click()
    process_events(lambda: section.ui.progressBar.value > 3, limit=120)
    section.ui.applyButton.click()
    process_events(lambda: not section.run.running, limit=60)
    assert not [one for one in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if "inpainted" in one.GetName()]
