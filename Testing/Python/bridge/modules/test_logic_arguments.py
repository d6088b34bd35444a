"""The verbs of the modules' logics refuse what they cannot use before they start, and say all of themselves in help."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, opened, ramp, scene_contents, turned
from sequence_nodes import sequence

from meddl.core.errors import InputError
from meddl.preparation.steps import N4, Normalize
from meddl_slicer.mrml.nodes import volume_from_node

VERBS = {"MedDLSeg": ("segment", "segmentBranch", "segmentSequence"), "MedDLRegister": ("register", "registerBranch",
         "registerSequence"), "MedDLSuperRes": ("superResolve", "superResolveBranch")}


def logic(name):
    opened(name)
    return slicer.util.getModuleLogic(name)


@pytest.mark.parametrize("name", VERBS)
def test_a_node_of_another_kind_and_no_node_are_refused_by_name(name):
    transform = add_linear_transform(turned())
    verb = getattr(logic(name), VERBS[name][0])
    arguments = 2 if name == "MedDLRegister" else 1
    for wrong, said in ((transform, f"'{transform.GetName()}' is a"), ("head", "slicer.util.getNode"),
                        (None, "none is selected")):
        with pytest.raises(InputError, match=said):
            verb(*[wrong, add_volume(ramp())][:arguments])


def test_a_volume_is_not_registered_to_itself_or_compared_with_itself():
    volume, other = add_volume(ramp()), add_volume(ramp(), name="other")
    with pytest.raises(InputError, match="registered to itself"):
        logic("MedDLRegister").register(volume, volume)
    with pytest.raises(InputError, match="is an input"):
        logic("MedDLRegister").register(volume, other, warpedNode=other)
    with pytest.raises(InputError, match="is the input"):
        logic("MedDLSuperRes").superResolve(volume, outputNode=volume)
    with pytest.raises(InputError, match="compared with itself"):
        logic("MedDLSuperRes").superResolve(volume, referenceNode=volume)


def test_outputs_of_another_kind_are_refused():
    volume, other, transform = add_volume(ramp()), add_volume(ramp(), name="other"), add_linear_transform(turned())
    with pytest.raises(InputError, match="transformNode is a vtkMRMLTransformNode"):
        logic("MedDLRegister").register(volume, other, transformNode=add_volume(ramp()))
    with pytest.raises(InputError, match="segmentationNode is a vtkMRMLSegmentationNode"):
        logic("MedDLSeg").segment(volume, segmentationNode=transform)
    with pytest.raises(InputError, match="outputNode is a vtkMRMLVolumeNode"):
        logic("MedDLSuperRes").superResolve(volume, outputNode=transform)


SECTIONS = {  # verb: what is read, its further arguments, the output and its class
    "prepare": ("MedDLSuperRes", add_volume, lambda: ([N4()],), "outputNode", "vtkMRMLVolumeNode"),
    "inpaint": ("MedDLSuperRes", add_volume, lambda: (lesion(),), "outputNode", "vtkMRMLVolumeNode"),
    "synthesizeContrast": ("MedDLSuperRes", add_volume, lambda: ("t2",), "outputNode", "vtkMRMLVolumeNode"),
    "denoiseSequence": ("MedDLSuperRes", lambda array: sequence([array]), tuple, "outputSequence",
                        "vtkMRMLSequenceNode"),
    "explain": ("MedDLSeg", add_volume, lambda: ("brain", "Brain stem"), "mapNode", "vtkMRMLVolumeNode"),
    "findLandmarks": ("MedDLSeg", add_volume, tuple, "markupsNode", "vtkMRMLMarkupsFiducialNode"),
}


def lesion():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "lesion")
    slicer.util.updateVolumeFromArray(node, np.ones((4, 4, 4), np.uint8))
    return node


@pytest.mark.parametrize("verb", SECTIONS)
def test_a_verb_of_a_section_fills_no_node_of_another_kind_and_not_its_input(verb, clean):
    module, made, more, output, kind = SECTIONS[verb]
    run, node, arguments = getattr(logic(module), verb), made(ramp()), more()
    transform = add_linear_transform(turned())
    before = scene_contents()
    for wrong, said in ((transform, f"{output} is a {kind}"), ("head", "got str"),
                        (node, "is the input|is a vtkMRMLMarkupsFiducialNode|overwrite")):
        with pytest.raises(InputError, match=said):
            run(node, *arguments, **{output: wrong})
    for wrong in (None, "head", transform):
        with pytest.raises(InputError, match="expected|Choose|got str"):
            run(wrong, *arguments)
    assert scene_contents() == before


@pytest.mark.parametrize(("verb", "wrong"), [("prepare", 0), ("inpaint", 0), ("inpaint", 1), ("classify", 0),
                                             ("findLandmarks", 0), ("explain", 0), ("synthesizeContrast", 0)])
def test_a_node_without_image_data_is_refused(verb, wrong, clean):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    arguments = {"prepare": [None, [N4()]], "inpaint": [add_volume(ramp()), lesion()], "classify": [None, "none"],
                 "findLandmarks": [None], "explain": [None, "brain", "Brain stem"], "synthesizeContrast": [None]}[verb]
    if wrong == 1:
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "empty")
    arguments[wrong] = empty
    module = "MedDLSeg" if verb in ("classify", "findLandmarks", "explain") else "MedDLSuperRes"
    with pytest.raises(InputError, match="'empty' has no image"):
        getattr(logic(module), verb)(*arguments)


@pytest.mark.parametrize("verb", ["denoiseSequence", "inpaint"])
def test_a_sequence_with_an_empty_item_is_refused_with_its_number(verb, clean):
    node = sequence([ramp(), ramp()])
    node.SetDataNodeAtValue(slicer.vtkMRMLScalarVolumeNode(), "9")
    with pytest.raises(InputError, match="Frame 2 of .* has no image"):
        getattr(logic("MedDLSuperRes"), verb)(node, *([lesion()] if verb == "inpaint" else []))


def test_a_box_is_no_mask_to_inpaint(clean):
    box = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    with pytest.raises(InputError, match="A mask is a segmentation or a label map"):
        logic("MedDLSuperRes").inpaint(add_volume(ramp()), box)


def test_what_is_no_node_is_told_where_two_are_compared(clean):
    with pytest.raises(InputError, match="'str' and 'head' are of different kinds"):
        logic("MedDLSeg").compare("a", add_volume(ramp()))
    with pytest.raises(InputError, match="'str' is no scalar volume"):
        logic("MedDLRegister").change(add_volume(ramp()), "b")


def test_a_result_without_a_display_node_is_filled_and_lies_where_its_input_does(clean):
    node, output = add_volume(ramp((10, 9, 8))), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "out")
    node.RemoveAllDisplayNodeIDs()
    transform = add_linear_transform(turned())
    node.SetAndObserveTransformNodeID(transform.GetID())
    made = logic("MedDLSuperRes").prepare(node, [Normalize()], outputNode=output, device="cpu")
    assert made is output and made.GetDisplayNode() is not None
    assert made.GetTransformNodeID() == transform.GetID()
    np.testing.assert_allclose(volume_from_node(made).affine, volume_from_node(node).affine, atol=1e-9)


def test_a_preset_is_named_in_any_case_and_an_unknown_one_refused():
    volume, other = add_volume(ramp((24, 24, 24))), add_volume(ramp((24, 24, 24)), name="other")
    register = logic("MedDLRegister").register
    with pytest.raises(InputError, match="Similar: Deformable"):
        register(volume, other, preset="deformabel")
    with pytest.raises(InputError, match="`config` is a meddl.RegisterConfig"):
        register(volume, other, config="deformable")


@pytest.mark.parametrize(("name", "verb"), [(name, verb) for name, verbs in VERBS.items() for verb in verbs])
def test_help_of_a_verb_says_arguments_result_and_errors(name, verb):
    text = getattr(logic(name), verb).__doc__
    assert all(f"{section}:" in text for section in ("Args", "Returns", "Raises")), text
