"""The samples come from the Sample Data module, by its button and by scripts, without any download."""

from pathlib import Path

import numpy as np
import pytest
import slicer
from bridge_scene import opened

import host
from meddl.core.paths import resources_folder
from meddl_slicer.mrml.nodes import volume_from_node
from meddl_slicer.runs import sample_data

NAMES = tuple(sample_data.SAMPLES)


@pytest.fixture(autouse=True)
def registered(clean):
    """The modules loaded, the samples registered and none of them rendered."""
    if not (resources_folder() / "Samples" / "head_labels.nii.gz").is_file():
        pytest.skip("the sample head is not in Resources/MedDL/Samples")
    opened("MedDLSeg")
    for path in cached():
        path.unlink()


def cached() -> list[Path]:
    """The files in Slicer's cache."""
    folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())
    return [path for path in folder.rglob("*") if path.is_file()]


def names_of_volumes() -> list[str]:
    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]


def click(name: str) -> None:
    """The button of a sample, in a panel of the Sample Data module as it would be made now."""
    import qt
    from SampleData import SampleDataLogic, SampleDataWidget

    panel = qt.QWidget()
    layout = qt.QVBoxLayout(panel)
    SampleDataWidget.setCategoriesFromSampleDataSources(layout, slicer.modules.sampleDataSources, SampleDataLogic())
    slicer.util.findChild(panel, f"{name}PushButton").click()
    panel.delete()


def test_registering_again_changes_nothing_and_renders_nothing():
    before = list(slicer.modules.sampleDataSources[sample_data.CATEGORY])
    sample_data.register()
    assert slicer.modules.sampleDataSources[sample_data.CATEGORY] == before
    assert [source.sampleName for source in before] == list(NAMES)
    assert not cached()


@pytest.mark.parametrize("name", NAMES)
def test_a_script_gets_the_nodes_of_every_sample(name):
    import SampleData

    first = SampleData.downloadSample(name)
    assert names_of_volumes() == list(sample_data.SAMPLES[name].nodes)
    assert first.GetName() == names_of_volumes()[0]
    assert volume_from_node(first).data.std() > 50
    assert not host.errors()


@pytest.mark.parametrize("name", ["MedDLHeadT2", "MedDLHeadPair"])
def test_a_click_gets_the_same_and_shows_it(name):
    click(name)
    assert names_of_volumes() == list(sample_data.SAMPLES[name].nodes)
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID()).GetName() == names_of_volumes()[-1]
    assert not host.errors()


def test_a_source_is_downloaded_in_every_way_that_sample_data_has():
    from SampleData import SampleDataLogic

    logic = SampleDataLogic()
    source = logic.sourceForSampleName("MedDLHeadCT")
    (path,) = logic.downloadSourceIntoCache(source)
    assert Path(path).name == source.fileNames[0]
    for nodes in (logic.downloadFromSource(source), logic.downloadFromSource(source, forceDownload=True),
                  logic.downloadSamples("MedDLHeadCT"), [logic.downloadSample("MedDLHeadCT")]):
        assert volume_from_node(nodes[0]).data.min() == -1000


def test_a_sample_is_rendered_once(monkeypatch):
    import SampleData

    from meddl import samples

    first = volume_from_node(SampleData.downloadSample("MedDLHeadT1"))
    monkeypatch.setattr(samples, "head_image", None)
    again = volume_from_node(SampleData.downloadSample("MedDLHeadT1"))
    assert np.array_equal(first.data, again.data)
    assert len(cached()) == 2, "as rendered, and as Sample Data copied it"


def test_a_node_is_the_image_that_was_rendered():
    import SampleData

    from meddl.samples import head_image

    node, image = volume_from_node(SampleData.downloadSample("MedDLHeadT2Thick")), head_image("T2", (1, 1, 5))
    assert np.array_equal(node.data, image.data)
    assert node.grid.same_as(image.grid)


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path):
    manager = slicer.mrmlScene.GetCacheManager()
    usual = manager.GetRemoteCacheDirectory()
    (tmp_path / "file").write_text("no folder")
    manager.SetRemoteCacheDirectory(str(tmp_path / "file"))
    try:
        with pytest.raises(OSError, match="file"):
            sample_data.rendered_address("meddl:MedDLHeadT1")
    finally:
        manager.SetRemoteCacheDirectory(usual)


def test_other_addresses_stay_as_they_are():
    assert sample_data.rendered_address("https://example.org/meddl:x") == "https://example.org/meddl:x"


def test_the_truth_comes_on_wish_and_lies_over_the_head():
    node = sample_data.load("T1", truth=True)
    truth = slicer.util.getNode("MedDLHeadT1 truth")
    assert truth.GetSegmentation().GetNumberOfSegments() > 20
    assert truth.GetNodeReference(truth.GetReferenceImageGeometryReferenceRole()) is node
