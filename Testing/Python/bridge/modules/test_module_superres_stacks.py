"""Several stacks into one volume, on nodes: the panel's selectors, parent transforms, reports and refusals."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, finished, opened, process_events, turned
from stack_phantoms import FACTOR, SIZE, SPACING, textured_ellipsoid, three_stacks

import host
import meddl
from meddl.core.errors import InputError
from meddl.superres.stacks import resolve
from meddl_slicer.mrml.nodes import volume_from_node
from meddl_slicer.panels.inputs import stack_selectors
from meddl_slicer.runs import verbs

QUICK = meddl.SuperResolveConfig(method="cubic")


@pytest.fixture
def stacks(clean):
    made = zip(("axial", "coronal", "sagittal"), three_stacks(textured_ellipsoid()), strict=True)
    return [add_volume(stack.scalar_data, stack.affine, name) for name, stack in made]


@pytest.fixture
def widget(stacks):
    widget = opened("MedDLSuperRes").widget
    widget.ui.inputSelector.setCurrentNode(stacks[0])
    widget.ui.methodComboBox.currentText = "Cubic"
    yield widget
    widget.run.cancel()
    process_events(seconds=0.1)


def selectors(widget):
    process_events(seconds=0.05)
    return widget.stacks._selectors


def choose(widget, *nodes):
    for number, node in enumerate(nodes):
        selectors(widget)[number].setCurrentNode(node)
    return selectors(widget)


def test_the_panel_combines_what_is_chosen(widget, stacks):
    assert [one.currentNode() for one in choose(widget, *stacks[1:])] == [*stacks[1:], None]
    assert widget.ui.applyButton.enabled, widget.ui.applyButton.toolTip
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    made = widget.ui.outputSelector.currentNode()
    assert made.GetName() == "axial sharp" and made not in stacks
    assert made.GetSpacing() == pytest.approx((SPACING,) * 3)
    assert min(made.GetImageData().GetDimensions()) >= SIZE
    assert [one["axis"] for one in verbs.report_of(made)["stacks"]] == [2, 1, 0]
    text = widget.ui.reportBrowser.plainText
    assert "Stack 1:" in text and "Stack 3:" in text and "× the noise" in text
    choose(widget, None)  # the row goes, and with it the result is one of other inputs
    assert [one.currentNode() for one in selectors(widget)] == [stacks[2], None]
    assert widget.ui.outputSelector.currentNode() is None


def test_no_row_where_there_is_no_other_direction(clean):
    stack = three_stacks(textured_ellipsoid())[0]
    first = add_volume(stack.scalar_data, stack.affine, "axial")
    add_volume(stack.scalar_data, stack.affine, "axial again")
    add_volume(stack.scalar_data[:, :, :4], np.eye(4), "isotropic")
    widget = opened("MedDLSuperRes").widget
    widget.ui.inputSelector.setCurrentNode(first)
    assert widget.stacks._box.isHidden() and not widget.stacks._selectors
    other = three_stacks(textured_ellipsoid())[1]
    add_volume(other.scalar_data, other.affine, "coronal")
    process_events(seconds=0.1)
    assert not widget.stacks._box.isHidden() and len(widget.stacks._selectors) == 1


def test_what_cannot_be_combined_is_told_before_apply(widget, stacks):
    choose(widget, stacks[1])
    assert widget.whyNotReady() is None
    widget.ui.methodComboBox.currentText = "Denoise"
    assert "is for one volume" in widget.ui.applyButton.toolTip and not widget.ui.applyButton.enabled
    widget.ui.methodComboBox.currentText = "Cubic"
    widget.ui.factorSpinBox.value = 2
    assert "equal voxel sizes" in widget.ui.applyButton.toolTip and not widget.ui.applyButton.enabled
    widget.ui.factorSpinBox.value = widget.ui.factorSpinBox.minimum
    choose(widget, stacks[0])
    assert "chosen twice" in widget.ui.applyButton.toolTip
    choose(widget, stacks[1])
    widget.ui.outputSelector.setCurrentNode(stacks[1])
    assert "overwrite" in widget.ui.applyButton.toolTip


def test_the_panel_knows_the_methods_that_combine():
    assert stack_selectors.METHODS == resolve.METHODS


def test_a_run_on_several_stacks_is_expected_to_take_longer(widget, stacks):
    def seconds():
        process_events(lambda: "GB" in widget.ui.statusLabel.text)
        return widget.guess()()[0]

    alone = seconds()
    choose(widget, *stacks[1:])
    process_events(lambda: widget.guess()() is not None)
    assert seconds() > 2 * alone


def test_what_is_chosen_is_kept_with_the_scene(widget, stacks):
    choose(widget, *stacks[1:])
    widget.exit()
    widget.enter()
    assert [one.currentNode() for one in selectors(widget)] == [*stacks[1:], None]
    slicer.mrmlScene.RemoveNode(stacks[1])
    assert [one.currentNode() for one in selectors(widget)] == [stacks[2], None]
    slicer.mrmlScene.Clear(0)
    process_events(seconds=0.05)
    assert widget.stacks._box.isHidden()


def test_stacks_under_transforms_are_combined_in_world_space(stacks):
    logic = slicer.util.getModuleLogic("MedDLSuperRes")
    plain = logic.superResolve(stacks[0], config=QUICK, otherNodes=stacks[1:])
    common = add_linear_transform(turned(30))
    inverse = np.linalg.inv(turned(30))
    for node in stacks[:2]:
        node.SetAndObserveTransformNodeID(common.GetID())
    matrix = inverse  # the third lies there by its own header alone
    affine = np.linalg.inv(matrix) @ volume_from_node(stacks[2]).affine
    stacks[2].SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.ascontiguousarray(affine)))
    made = logic.superResolve(stacks[0], config=QUICK, otherNodes=stacks[1:])
    assert made.GetParentTransformNode() is common
    assert volume_from_node(made).affine == pytest.approx(turned(30) @ volume_from_node(plain).affine, abs=0.3)
    both = [slicer.util.arrayFromVolume(node).astype(float) for node in (plain, made)]
    assert both[0].shape == both[1].shape
    assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.995


def test_a_stack_elsewhere_and_another_contrast_are_refused(stacks):
    logic, before = slicer.util.getModuleLogic("MedDLSuperRes"), slicer.mrmlScene.GetNumberOfNodes()
    data = slicer.util.arrayFromVolume(stacks[1])
    inverted = add_volume(np.where(data > 50, 1200 - data, 0).transpose(2, 1, 0),
                          volume_from_node(stacks[1]).affine, "inverted")
    with pytest.raises(InputError, match="does not show what"):
        logic.superResolve(stacks[0], config=QUICK, otherNodes=[inverted])
    away = np.eye(4)
    away[0, 3] = FACTOR * SIZE * SPACING
    stacks[1].SetAndObserveTransformNodeID(add_linear_transform(away).GetID())
    with pytest.raises(InputError, match="does not overlap"):
        logic.superResolve(stacks[0], config=QUICK, otherNodes=[stacks[1]])
    with pytest.raises(InputError, match="given twice"):
        logic.superResolve(stacks[0], config=QUICK, otherNodes=[stacks[0]])
    slicer.mrmlScene.RemoveNode(inverted)
    assert not [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if "sharp" in node.GetName()]
    assert before
