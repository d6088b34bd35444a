"""The embedded heads come from the Sample Data module without any download."""

import pytest
import slicer
from bridge_scene import bridge_worker, clean, opened  # noqa: F401

import host
from meddl.paths import resources_folder
from meddl_slicer import sample_data
from meddl_slicer.nodes import volume_from_node


@pytest.fixture(autouse=True)
def shipped(clean):  # noqa: F811
    if not (resources_folder() / "Samples" / "head_labels.nii.gz").is_file():
        pytest.skip("the sample head is not in Resources/MedDL/Samples")


def test_a_click_renders_the_head_into_the_scene_and_the_slice_views():
    opened("MedDLSeg")
    source = next(s for s in slicer.modules.sampleDataSources["MedDL"] if s.sampleName == "MedDLHeadT2")
    (node,) = source.customDownloader(source)
    assert node.GetName() == "MedDLHeadT2"
    assert volume_from_node(node).data.std() > 0
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetBackgroundVolumeID() == node.GetID()
    assert not host.errors()


def test_the_truth_comes_on_wish_and_lies_over_the_head():
    node = sample_data.load("T1", truth=True)
    truth = slicer.util.getNode("MedDLHeadT1 truth")
    assert truth.GetSegmentation().GetNumberOfSegments() > 20
    assert truth.GetNodeReference(truth.GetReferenceImageGeometryReferenceRole()) is node
