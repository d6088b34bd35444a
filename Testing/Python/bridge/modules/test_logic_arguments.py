"""The verbs of the modules' logics refuse what they cannot use before they start, and say all of themselves in help."""

import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, opened, ramp, turned

from meddl.core.errors import InputError

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
