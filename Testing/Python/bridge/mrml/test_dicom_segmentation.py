"""A result has what DICOM SEG export asks for: codes of every segment, who made it, the images, patient and study."""

import bridge_targets
import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, phantom
from dicom_studies import hierarchy, item_of, segments_of, with_a_voxel_each

from meddl.models.store.store import ModelStore
from meddl.results import Segment
from meddl_slicer.mrml import segmentations
from meddl_slicer.mrml.registration_nodes import RegistrationOutputs, companions
from meddl_slicer.runs import verbs

UIDS = "1.2.826.0.1.3680043.1 1.2.826.0.1.3680043.2"
REFERENCED = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMReferencedInstanceUIDsAttributeName()






def study_of(node) -> str:
    level = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy()
    return hierarchy().GetItemName(hierarchy().GetItemAncestorAtLevel(item_of(node), level))


def patient_of(node) -> str:
    level = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelPatient()
    return hierarchy().GetItemName(hierarchy().GetItemAncestorAtLevel(item_of(node), level))


def from_dicom(name="head", patient="Doe", uids=UIDS):
    """A volume as Slicer has it after it was loaded from DICOM: with its images, in the study of its patient."""
    node = add_volume(phantom(), centered(np.eye(3)), name)
    node.SetAttribute("DICOM.instanceUIDs", uids)
    study = hierarchy().CreateStudyItem(
        hierarchy().CreateSubjectItem(hierarchy().GetSceneItemID(), patient), f"study of {patient}")
    hierarchy().SetItemParent(item_of(node), study)
    return node


def entry_of(segment):
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(segment.GetTerminology(), entry)
    return entry


def code_of(part) -> list:
    return [part.GetCodingSchemeDesignator(), part.GetCodeValue(), part.GetCodeMeaning()]


def tag(segment, name):
    import vtk

    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else None






@pytest.mark.parametrize("model", ["brain"])
def test_every_segment_of_a_shipped_model_has_its_codes(clean, model):
    card = ModelStore().card(model)
    found = with_a_voxel_each(card.segments, model)
    node = segmentations.create_segmentation_node(found, add_volume(found.labels.astype(np.int16), np.eye(4)))
    expected = {label.name: label.terminology for label in card.labels}
    assert len(segments_of(node)) == len(expected) == 32
    for segment in segments_of(node):
        entry, terminology = entry_of(segment), expected[segment.GetName()]
        assert code_of(entry.GetCategoryObject()) == terminology["category"]
        assert code_of(entry.GetTypeObject()) == terminology["type"]
        if terminology["modifier"]:
            assert code_of(entry.GetTypeModifierObject()) == terminology["modifier"]


def test_a_structure_without_codes_is_tissue_as_in_slicer(clean):
    found = with_a_voxel_each([Segment(1, "Label 1", (1.0, 0.0, 0.0), None)], "imported")
    (segment,) = segments_of(segmentations.create_segmentation_node(
        found, add_volume(found.labels.astype(np.int16), np.eye(4))))
    entry = entry_of(segment)
    assert code_of(entry.GetCategoryObject()) == code_of(entry.GetTypeObject()) == ["SCT", "85756007", "Tissue"]


def test_every_segment_says_that_a_program_made_it_and_which(clean):
    found = with_a_voxel_each([Segment(1, "a", (1.0, 0.0, 0.0))], "a-model-of-a-very-long-name-" + 60 * "x")
    source = add_volume(found.labels.astype(np.int16), np.eye(4))
    (segment,) = segments_of(segmentations.create_segmentation_node(found, source))
    assert tag(segment, "DICOM.SegmentAlgorithmType") == "AUTOMATIC"
    name = tag(segment, "DICOM.SegmentAlgorithmName")
    assert name.startswith("MedDL a-model") and len(name) == 64


def test_what_no_program_found_does_not_say_so(clean):
    found = with_a_voxel_each([Segment(1, "a", (1.0, 0.0, 0.0))], "")
    source = add_volume(found.labels.astype(np.int16), np.eye(4))
    (segment,) = segments_of(segmentations.create_segmentation_node(found, source))
    assert tag(segment, "DICOM.SegmentAlgorithmType") is None


def test_the_result_belongs_to_the_patient_study_and_images_of_its_source(clean, monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    source = from_dicom()
    node = verbs.segment_node(source)
    assert (study_of(node), patient_of(node)) == ("study of Doe", "Doe")
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is source
    assert hierarchy().GetItemAttribute(item_of(node), REFERENCED) == UIDS
    assert node.GetAttribute("DICOM.instanceUIDs") is None  # it is no DICOM object itself
    assert {tag(segment, "DICOM.SegmentAlgorithmName") for segment in segments_of(node)} == {"MedDL brain"}


def test_a_result_that_is_renewed_from_another_volume_moves_to_its_images(clean, monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    node = verbs.segment_node(from_dicom())
    other = from_dicom("other", "Roe", "1.2.3")
    verbs.segment_node(other, segmentationNode=node)
    assert patient_of(node) == "Roe" and hierarchy().GetItemAttribute(item_of(node), REFERENCED) == "1.2.3"
    verbs.segment_node(add_volume(phantom(), centered(np.eye(3)), "plain"), segmentationNode=node)
    assert not hierarchy().HasItemAttribute(item_of(node), REFERENCED)


def test_a_carried_segmentation_belongs_to_the_images_that_it_now_lies_on(clean, monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    fixed, moving = from_dicom("fixed", "Doe"), from_dicom("moving", "Roe", "1.2.3")
    source = verbs.segment_node(moving)
    transform = verbs.register_nodes(fixed, moving, outputs=RegistrationOutputs(nodesToTransform=(source,)), warp=True)
    (carried,) = [node for node in companions(transform) if node.IsA("vtkMRMLSegmentationNode")]
    assert carried.GetNodeReference(carried.GetReferenceImageGeometryReferenceRole()) is fixed
    assert patient_of(carried) == "Doe" and hierarchy().GetItemAttribute(item_of(carried), REFERENCED) == UIDS
    before = {segment.GetName(): segment.GetTerminology() for segment in segments_of(source)}
    assert {segment.GetName(): segment.GetTerminology() for segment in segments_of(carried)} == before
    assert len(before) == len([s for s in bridge_targets.SEGMENTS if s.name != "never there"])


def test_volumes_that_are_made_do_not_claim_to_be_the_images_of_their_source(clean, monkeypatch):
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    source = from_dicom()
    sharp = verbs.super_resolve_node(source)
    warped = verbs.register_nodes(source, from_dicom("moving", "Roe"), warp=True).GetNodeReference(verbs.WARPED_ROLE)
    assert patient_of(sharp) == "Doe" and study_of(sharp) == "study of Doe"
    assert sharp.GetAttribute("DICOM.instanceUIDs") is None and warped.GetAttribute("DICOM.instanceUIDs") is None


def test_a_file_that_meddl_wrote_says_the_same_in_slicer(clean, tmp_path):
    from meddl.io import save_segmentation

    hippocampus = next(segment for segment in bridge_targets.SEGMENTS if segment.name == "left hippocampus")
    found = with_a_voxel_each([hippocampus, Segment(1, "plain", (1.0, 0.0, 0.0))], "brain")
    save_segmentation(found, tmp_path / "found.seg.nrrd")
    node = slicer.util.loadSegmentation(str(tmp_path / "found.seg.nrrd"))
    named = {segment.GetName(): segment for segment in segments_of(node)}
    assert code_of(entry_of(named["left hippocampus"]).GetTypeObject()) == hippocampus.terminology["type"]
    assert code_of(entry_of(named["plain"]).GetTypeObject())[2] == "Tissue"
    for segment in named.values():
        assert tag(segment, "DICOM.SegmentAlgorithmType") == "AUTOMATIC"
        assert tag(segment, "DICOM.SegmentAlgorithmName") == "MedDL brain"
