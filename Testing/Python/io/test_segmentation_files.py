"""Segmentations in files: label maps, and Slicer's own format."""

import numpy as np
import pytest
import SimpleITK as sitk
from volume_files import AFFINES, FORMATS, volume_of

import meddl.io as io
from meddl.core.errors import FileFormatError
from meddl.io.images import affine_of
from meddl.results import Segment, Segmentation
from meddl.spatial.segmentation import terminology_entry
from meddl.spatial.volume import Volume

BRAIN = {"category": ["SCT", "123037004", "Anatomical Structure"], "type": ["SCT", "119406000", "Thalamus"],
         "modifier": ["SCT", "7771000", "Left"]}


def segmentation_of(dtype=np.uint8, affine=None):
    labels = np.zeros((9, 10, 11), dtype)
    labels[1:3, 2:5, 3:9] = 10
    labels[4:8, 5:6, 1:2] = 49 if dtype == np.uint8 else 1049
    segments = (Segment(10, "left thalamus", (0.0, 0.5, 0.25), BRAIN),
                Segment(int(labels.max()), "Größe: | ^ ~", (1.0, 0.25, 0.0), None),
                Segment(77, "absent", (0.1, 0.2, 0.3), BRAIN | {"modifier": None}))
    return Segmentation(labels, AFFINES["oblique left-handed"] if affine is None else affine, segments)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_label_map_keeps_values_and_grid(tmp_path, suffix, dtype):
    segmentation = segmentation_of(dtype)
    io.save_segmentation(segmentation, tmp_path / f"a{suffix}")
    image = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    assert np.array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), segmentation.labels)
    assert np.allclose(affine_of(image), segmentation.affine, atol=1e-4)
    back = io.load_segmentation(tmp_path / f"a{suffix}")
    assert back.labels.dtype == dtype
    assert [segment.value for segment in back.segments] == sorted({*np.unique(segmentation.labels)} - {0})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_slicer_segmentation_comes_back_the_same(tmp_path, dtype):
    segmentation = segmentation_of(dtype)
    io.save_segmentation(segmentation, tmp_path / "a.seg.nrrd")
    back = io.load_segmentation(tmp_path / "a.seg.nrrd")
    assert np.array_equal(back.labels, segmentation.labels)
    assert np.allclose(back.affine, segmentation.affine, atol=1e-6)
    assert back.segments == segmentation.segments


@pytest.mark.parametrize("name", AFFINES)
def test_slicer_itself_reads_the_segmentation(tmp_path, name):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    segmentation = segmentation_of(affine=AFFINES[name])
    path = tmp_path / "a.seg.nrrd"
    io.save_segmentation(segmentation, path)
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    read = node.GetSegmentation()
    assert read.GetNumberOfSegments() == 3
    seen = np.zeros_like(segmentation.labels)
    for n, expected in enumerate(segmentation.segments):
        segment = read.GetNthSegment(n)
        assert segment.GetName() == expected.name
        assert np.allclose(segment.GetColor(), expected.color, atol=1e-5)
        assert segment.GetLabelValue() == expected.value
        if expected.terminology:
            assert expected.terminology["type"][2] in segment.GetTerminology()
            assert segment.GetTerminology() == terminology_entry(expected.terminology)
        labelmap = segment.GetRepresentation("Binary labelmap")
        low_i, high_i, low_j, high_j, low_k, high_k = labelmap.GetExtent()
        assert high_i >= low_i, "all segments lie in one layer, also an empty one"
        array = vtk_to_numpy(labelmap.GetPointData().GetScalars())
        array = array.reshape(high_k - low_k + 1, high_j - low_j + 1, high_i - low_i + 1).transpose(2, 1, 0)
        seen[low_i:high_i + 1, low_j:high_j + 1, low_k:high_k + 1][array == expected.value] = expected.value
        matrix = vtk.vtkMatrix4x4()
        labelmap.GetImageToWorldMatrix(matrix)
        world = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
        assert np.allclose(world, segmentation.affine, atol=1e-4)
    assert np.array_equal(seen, segmentation.labels)


def test_a_segmentation_that_slicer_wrote_is_read(tmp_path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    first = segmentation_of()
    io.save_segmentation(first, tmp_path / "a.seg.nrrd")
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "a.seg.nrrd"))
    storage.ReadData(node)
    storage.SetFileName(str(tmp_path / "b.seg.nrrd"))
    assert storage.WriteData(node) == 1
    back = io.load_segmentation(tmp_path / "b.seg.nrrd")
    assert [s.name for s in back.segments] == [s.name for s in first.segments]
    for ours, theirs in zip(first.segments, back.segments, strict=True):
        if ours.terminology:  # Slicer gives the others its default, "Tissue"
            assert theirs.terminology == ours.terminology
    for segment in first.segments:  # Slicer may crop: compare the places in the world
        ours = first.grid.points_mm(np.argwhere(first.labels == segment.value))
        theirs = back.grid.points_mm(np.argwhere(back.labels == segment.value))
        assert np.allclose(ours, theirs, atol=1e-3)


def write_layers(path, layers, entries):
    image = sitk.GetImageFromArray(np.stack(layers, axis=-1), isVector=True)
    for n, fields in enumerate(entries):
        for key, value in fields.items():
            image.SetMetaData(f"Segment{n}_{key}", str(value))
    sitk.WriteImage(image, str(path))


def test_layers_are_laid_on_one_another_with_new_values(tmp_path):
    one, two = np.zeros((2, 4, 5, 6), np.uint8)
    one[0, 0, 0] = two[1, 1, 1] = 1
    write_layers(tmp_path / "a.seg.nrrd", [one, two], [
        {"ID": "a", "Name": "first", "Layer": 0, "LabelValue": 1, "Color": "1 0 0"},
        {"ID": "b", "Name": "second", "Layer": 1, "LabelValue": 1, "Color": "0 1 0"}])
    back = io.load_segmentation(tmp_path / "a.seg.nrrd")
    values = [segment.value for segment in back.segments]
    assert len(set(values)) == 2
    assert back.labels[0, 0, 0] == values[0]
    assert back.labels[1, 1, 1] == values[1]


def test_overlapping_segments_are_refused(tmp_path):
    one = np.ones((4, 5, 6), np.uint8)
    write_layers(tmp_path / "a.seg.nrrd", [one, one], [
        {"ID": "a", "Layer": 0, "LabelValue": 1}, {"ID": "b", "Name": "second", "Layer": 1, "LabelValue": 1}])
    with pytest.raises(FileFormatError, match="'second' overlaps"):
        io.load_segmentation(tmp_path / "a.seg.nrrd")


@pytest.mark.parametrize("entry", [{"Layer": "x"}, {"LabelValue": "0"}, {"Color": "1 2"}, {"Layer": "7"}])
def test_a_damaged_segment_header_is_refused(tmp_path, entry):
    write_layers(tmp_path / "a.seg.nrrd", [np.ones((4, 5, 6), np.uint8)] * 2,
                 [{"ID": "a", "Layer": 0, "LabelValue": 1} | entry])
    with pytest.raises(FileFormatError, match="segment 0 is damaged"):
        io.load_segmentation(tmp_path / "a.seg.nrrd")


def test_an_image_is_no_label_map(tmp_path):
    for values in (0.5, -3, 1e6, np.nan):
        data = np.full((1, 4, 5, 6), values, np.float32)
        io.save(Volume(data, np.eye(4)), tmp_path / "a.nrrd")
        with pytest.raises(FileFormatError, match="no label map"):
            io.load_segmentation(tmp_path / "a.nrrd")


def test_whole_floats_are_a_label_map(tmp_path):
    io.save(volume_of(np.float64), tmp_path / "a.nrrd")
    assert np.array_equal(io.load_segmentation(tmp_path / "a.nrrd").labels, volume_of(np.uint8).data[0])
