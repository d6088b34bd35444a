"""Files in, files out: the same voxels in the same place, or a clear error and nothing half-written."""

import gzip
import struct
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

import meddl.io as io
from meddl.core.errors import FileFormatError, GeometryError, InputError
from meddl.io import nifti
from meddl.io.files import replacing_folder
from meddl.io.images import affine_of
from meddl.results import Segment, Segmentation
from meddl.spatial.segmentation import terminology_entry
from meddl.spatial.volume import Volume

FORMATS = [".nii.gz", ".nii", ".nrrd", ".mha"]
FLIP = np.diag([-1.0, -1.0, 1.0])


def rotation(*degrees):
    x, y, z = np.radians(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return rz @ ry @ rx


def affine_from(directions, spacing=(0.8, 1.1, 2.5), origin=(-12.5, 31.25, 7.0)):
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing)
    affine[:3, 3] = origin
    return affine


AFFINES = {
    "straight": affine_from(np.eye(3)),
    "oblique": affine_from(rotation(10, -20, 35)),
    "left-handed": affine_from(np.diag([-1.0, 1.0, 1.0])),
    "oblique left-handed": affine_from(rotation(-15, 5, 80) @ np.diag([1.0, 1.0, -1.0])),
}


def volume_of(dtype=np.float32, shape=(5, 6, 7), affine=None, channels=1):
    values = np.arange(channels * np.prod(shape)) % 251
    return Volume(values.astype(dtype).reshape(channels, *shape), AFFINES["oblique"] if affine is None else affine)


# --- reading and writing ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", AFFINES)
def test_a_saved_volume_comes_back_the_same(tmp_path, suffix, name):
    volume = volume_of(affine=AFFINES[name])
    io.save(volume, tmp_path / f"a{suffix}")
    back = io.load(tmp_path / f"a{suffix}")
    assert np.array_equal(back.data, volume.data)
    assert back.data.dtype == volume.data.dtype
    assert np.allclose(back.affine, volume.affine, atol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"], "no temporary file is left"


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"])
def test_every_number_type_is_kept(tmp_path, suffix, dtype):
    volume = volume_of(dtype)
    io.save(volume, tmp_path / f"a{suffix}")
    back = io.load(tmp_path / f"a{suffix}")
    assert back.data.dtype == np.dtype(dtype)
    assert np.array_equal(back.data, volume.data)


@pytest.mark.parametrize(("given", "stored"), [("?", "u1"), ("f2", "f4"), (">i2", "i2")])
def test_types_that_files_do_not_have_are_widened(tmp_path, given, stored):
    volume = volume_of(given)
    io.save(volume, tmp_path / "a.nrrd")
    back = io.load(tmp_path / "a.nrrd")
    assert back.data.dtype == np.dtype(stored)
    assert np.array_equal(back.data, volume.data.astype(stored))


@pytest.mark.parametrize("suffix", FORMATS)
def test_strided_data_is_written_right(tmp_path, suffix):
    volume = volume_of().reorient("SPL")
    io.save(volume, tmp_path / f"a{suffix}")
    back = io.load(tmp_path / f"a{suffix}")
    assert np.array_equal(back.data, volume.data)
    assert np.allclose(back.affine, volume.affine, atol=1e-4)


@pytest.mark.parametrize("suffix", FORMATS)
def test_channels_survive_as_a_vector_image(tmp_path, suffix):
    volume = volume_of(channels=3)
    io.save(volume, tmp_path / f"v{suffix}")
    assert np.array_equal(io.load(tmp_path / f"v{suffix}", component="all").data, volume.data)
    assert np.array_equal(io.load(tmp_path / f"v{suffix}", component=1).data, volume.data[1:2])
    with pytest.raises(InputError, match=r"holds 3 .*component=0 to component=2"):
        io.load(tmp_path / f"v{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_one_slice_is_a_volume(tmp_path, suffix):
    volume = volume_of(shape=(5, 6, 1))
    io.save(volume, tmp_path / f"a{suffix}")
    back = io.load(tmp_path / f"a{suffix}")
    assert back.shape == (5, 6, 1)
    assert np.allclose(back.affine, volume.affine, atol=1e-4)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_sheared_grid_keeps_its_shear(tmp_path, suffix):
    shear = np.array([[1, 0.3, 0], [0, 1, -0.2], [0, 0, 1.0]])
    volume = volume_of(np.int16, affine=affine_from(rotation(5, 0, 20) @ shear, spacing=(1, 1, 2)))
    io.save(volume, tmp_path / f"a{suffix}")
    back = io.load(tmp_path / f"a{suffix}")
    assert np.allclose(back.affine, volume.affine, atol=1e-4)
    assert np.array_equal(back.data, volume.data)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_a_sheared_time_series_is_chosen_from_by_component(tmp_path):
    path = tmp_path / "t.nii"
    series = sitk.JoinSeries([io.to_sitk(volume_of(np.int16)) + n for n in range(3)])
    sitk.WriteImage(series, str(path))
    sheared = affine_from(np.array([[1, 0.4, 0], [0, 1, 0], [0, 0, 1.0]]))
    nifti.write_sform(path, sheared)
    back = io.load(path, component=2)
    assert np.allclose(back.affine, sheared, atol=1e-5)
    assert np.array_equal(back.data, volume_of(np.int16).data + 2)
    with pytest.raises(InputError, match="3 time points"):
        io.load(path)


def test_a_volume_of_simpleitk_has_its_points():
    image = io.to_sitk(volume_of())
    volume = io.from_sitk(image)
    for index in [(0, 0, 0), (4, 0, 0), (1, 5, 6)]:
        assert np.allclose(FLIP @ image.TransformIndexToPhysicalPoint(index), volume.grid.points_mm(index))
        assert image.GetPixel(index) == volume.data[0][index]


def test_a_volume_outlives_the_file_it_came_from(tmp_path):
    io.save(volume_of(), tmp_path / "a.nii")
    back = io.load(tmp_path / "a.nii")
    (tmp_path / "a.nii").unlink()
    assert back.data.sum() == volume_of().data.sum()
    assert back.data.flags.writeable


# --- what cannot be read ---------------------------------------------------------------------------------------

def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        io.load(tmp_path / "none.nii.gz")


@pytest.mark.parametrize("suffix", [*FORMATS, ".seg.nrrd"])
def test_an_empty_file_says_so(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.touch()
    reader = io.load_segmentation if suffix == ".seg.nrrd" else io.load
    with pytest.raises(FileFormatError, match="empty"):
        reader(path)


@pytest.mark.parametrize("suffix", [*FORMATS, ".seg.nrrd", ".dcm"])
def test_text_under_the_name_of_a_volume_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("hello " * 200)
    reader = io.load_segmentation if suffix == ".seg.nrrd" else io.load
    with pytest.raises(FileFormatError):
        reader(path)


def test_an_unknown_format_names_the_known_ones(tmp_path):
    (tmp_path / "a.stl").write_bytes(b"x" * 500)
    with pytest.raises(FileFormatError, match="NIfTI.*NRRD.*MetaImage.*DICOM"):
        io.load(tmp_path / "a.stl")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    random = np.random.default_rng(0).normal(size=(1, 20, 20, 20)).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    io.save(Volume(random, np.eye(4)), path)
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * share)])
    with pytest.raises(FileFormatError):
        io.load(path)


def test_damage_inside_a_compressed_nifti_is_noticed(tmp_path):
    path = tmp_path / "a.nii.gz"
    raw = bytearray(gzip.compress(_nifti_bytes(tmp_path), compresslevel=0))
    raw[-200] ^= 0xFF  # one voxel, deflate stream still readable: only the CRC tells
    path.write_bytes(raw)
    with pytest.raises(FileFormatError, match="damaged or was cut off"):
        io.load(path)


def _nifti_bytes(tmp_path):
    io.save(volume_of(), tmp_path / "plain.nii")
    return (tmp_path / "plain.nii").read_bytes()


@pytest.mark.parametrize(("offset", "layout", "numbers"), [
    (40, "<8h", (3, 30000, 30000, 30000, 1, 1, 1, 1)),   # a size that no disk holds
    (40, "<8h", (3, -5, 6, 7, 1, 1, 1, 1)),
    (40, "<8h", (9, 5, 6, 7, 1, 1, 1, 1)),
])
def test_an_absurd_nifti_header_is_refused(tmp_path, offset, layout, numbers):
    raw = bytearray(_nifti_bytes(tmp_path))
    struct.pack_into(layout, raw, offset, *numbers)
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises(FileFormatError, match="cut off|damaged"):
        io.load(tmp_path / "a.nii")


def test_a_singular_affine_is_refused(tmp_path):
    raw = bytearray(_nifti_bytes(tmp_path))
    struct.pack_into("<2h", raw, 252, 0, 1)
    struct.pack_into("<12f", raw, 280, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises((GeometryError, FileFormatError)):
        io.load(tmp_path / "a.nii")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii"])
def test_a_2d_image_is_refused(tmp_path, suffix):
    sitk.WriteImage(sitk.Image(8, 9, sitk.sitkUInt8), str(tmp_path / f"a{suffix}"))
    with pytest.raises(InputError, match="2D image of 8 x 9"):
        io.load(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("component", [-1, 3, 1.0, True, "red"])
def test_an_impossible_component_is_refused(tmp_path, component):
    io.save(volume_of(channels=3), tmp_path / "v.nrrd")
    with pytest.raises(InputError, match="from 0 to 2"):
        io.load(tmp_path / "v.nrrd", component=component)


def test_complex_numbers_are_read_by_part(tmp_path):
    parts = [io.to_sitk(volume_of(channels=1)), io.to_sitk(volume_of(channels=1)) * 2]
    sitk.WriteImage(sitk.RealAndImaginaryToComplex(*parts), str(tmp_path / "c.nii"))
    with pytest.raises(InputError, match="0 real, 1 imaginary"):
        io.load(tmp_path / "c.nii")
    assert np.array_equal(io.load(tmp_path / "c.nii", component=1).data, volume_of().data * 2)


def test_a_time_series_is_read_by_time_point(tmp_path):
    series = sitk.JoinSeries([io.to_sitk(volume_of()) + n for n in range(4)])
    for suffix in FORMATS:
        path = tmp_path / f"t{suffix}"
        sitk.WriteImage(series, str(path))
        assert np.array_equal(io.load(path, component=2).data, volume_of().data + 2)
        assert np.allclose(io.load(path, component=3).affine, volume_of().affine, atol=1e-4)
        assert io.load(path, component="all").channels == 4
        with pytest.raises(InputError, match="4 time points"):
            io.load(path)
        with pytest.raises(InputError, match="from 0 to 3"):
            io.load(path, component=4)


# --- what cannot be written ------------------------------------------------------------------------------------

def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.nrrd"
    io.save(volume_of(), path)
    before = path.read_bytes()

    def broken(image, name, **options):
        with open(name, "wb") as stream:  # noqa: PTH123
            stream.write(b"half")
        raise RuntimeError("ITK ERROR: disk full")

    monkeypatch.setattr(sitk, "WriteImage", broken)
    with pytest.raises(InputError, match="disk full"):
        io.save(volume_of(np.uint8), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nrrd"]


@pytest.mark.parametrize("name", ["a.png", "a", "a.nhdr", "a.seg.nrrd", "none/a.nrrd"])
def test_a_place_or_format_that_cannot_be_written_is_refused(tmp_path, name):
    with pytest.raises(InputError):
        io.save(volume_of(), tmp_path / name)


# --- DICOM -----------------------------------------------------------------------------------------------------

def write_series(folder, volume, uid="1.2.3.4", description="axial", skip=(), tilt=(0, 0, 0), thickness=None):
    """Slices of a volume as DICOM files, named against their order, as scanners do."""
    folder.mkdir(exist_ok=True)
    image = io.to_sitk(volume)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    directions = np.array(image.GetDirection()).reshape(3, 3)
    for k in range(image.GetDepth()):
        if k in skip:
            continue
        piece = image[:, :, k]
        place = np.array(image.TransformIndexToPhysicalPoint((0, 0, k))) + k * np.array(tilt)
        tags = {"0008|0060": "MR", "0020|000e": uid, "0020|000d": "1.2.3", "0008|0018": f"{uid}.{k + 1}",
                "0008|103e": description, "0020|0013": str(k), "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
                "0020|0032": "\\".join(f"{x:.6f}" for x in place),
                "0020|0037": "\\".join(f"{x:.8f}" for x in directions.T[:2].ravel()),
                "0028|0030": f"{image.GetSpacing()[1]:.6f}\\{image.GetSpacing()[0]:.6f}"}
        if thickness is not None:
            tags["0018|0050"] = f"{thickness:g}"
        for tag, text in tags.items():
            piece.SetMetaData(tag, text)
        writer.SetFileName(str(folder / f"{uid}_{99 - k:03d}.dcm"))
        writer.Execute(piece)


def test_a_dicom_series_is_read_in_order(tmp_path):
    volume = volume_of(np.int16, shape=(12, 10, 6))
    write_series(tmp_path / "series", volume)
    back = io.load(tmp_path / "series")
    # DICOM orders slices along the normal: the same world either way.
    assert back.shape == volume.shape
    assert np.allclose(np.abs(back.spacing_mm), volume.spacing_mm, atol=1e-4)
    assert np.array_equal(back.reorient("RAS").data, volume.reorient("RAS").data)
    assert np.allclose(back.reorient("RAS").affine, volume.reorient("RAS").affine, atol=1e-3)


def test_the_tilt_of_a_gantry_is_kept_as_shear(tmp_path):
    volume = volume_of(np.int16, shape=(12, 10, 6), affine=AFFINES["straight"])
    write_series(tmp_path / "series", volume, tilt=(0, -1.0, 0))
    back = io.load(tmp_path / "series")
    steps = back.affine[:3, 2] * np.sign(back.affine[2, 2])
    assert np.allclose(steps, [0, 1.0, 2.5], atol=1e-3)


def test_a_missing_slice_is_noticed(tmp_path):
    write_series(tmp_path / "series", volume_of(np.int16, shape=(12, 10, 8)), skip=(3,))
    with pytest.raises(FileFormatError, match="not evenly spaced"):
        io.load(tmp_path / "series")


def test_several_series_are_listed_and_chosen_from(tmp_path):
    first, second = volume_of(np.int16, (12, 10, 6)), volume_of(np.int16, (12, 10, 4))
    write_series(tmp_path / "study", first, "1.2.3.4", "axial T1")
    write_series(tmp_path / "study", second, "1.2.3.5", "axial T2")
    with pytest.raises(InputError, match=r"2 DICOM series.*axial T1, 6 slices.*axial T2, 4 slices"):
        io.load(tmp_path / "study")
    assert io.load(tmp_path / "study", series=1).shape[2] in (4, 6)
    with pytest.raises(InputError, match="is none of them"):
        io.load(tmp_path / "study", series="9.9")


def test_the_slice_thickness_is_what_the_series_states(tmp_path):
    write_series(tmp_path / "stated", volume_of(np.int16, (12, 10, 4)), thickness=1.75)
    write_series(tmp_path / "silent", volume_of(np.int16, (12, 10, 4)))
    assert io.slice_thickness_mm(tmp_path / "stated") == 1.75
    assert io.slice_thickness_mm(next((tmp_path / "stated").glob("*.dcm"))) == 1.75
    assert io.slice_thickness_mm(tmp_path / "silent") is None
    assert io.slice_thickness_mm(tmp_path) is None
    io.save(volume_of(), tmp_path / "a.nii.gz")
    assert io.slice_thickness_mm(tmp_path / "a.nii.gz") is None


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(FileFormatError, match="no DICOM series"):
        io.load(tmp_path)


# --- segmentations ---------------------------------------------------------------------------------------------

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


def test_the_crc_is_the_one_of_gzip(tmp_path):
    """The damage test above relies on it: an intact file of the same kind is read."""
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(_nifti_bytes(tmp_path), compresslevel=0))
    assert zlib.crc32(_nifti_bytes(tmp_path)) == int.from_bytes(path.read_bytes()[-8:-4], "little")
    assert np.array_equal(io.load(path).data, volume_of().data)


def test_a_compressed_file_beside_a_plain_one_of_its_name_is_read_as_itself(tmp_path):
    """ITK alone would take the voxels of a.nii."""
    one, two = (Volume.scalar(np.full((4, 5, 6), value, np.int16), np.eye(4)) for value in (1, 2))
    io.save(one, tmp_path / "a.nii")
    io.save(two, tmp_path / "a.nii.gz")
    assert (io.load(tmp_path / "a.nii").data == 1).all()
    assert (io.load(tmp_path / "a.nii.gz").data == 2).all()


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    for place in (tmp_path / "new", tmp_path / "empty"):
        if place.name == "empty":
            place.mkdir()
        with replacing_folder(place) as folder:
            (folder / "a.txt").write_text("a")
            assert not place.exists() or not any(place.iterdir())
        assert [path.name for path in place.iterdir()] == ["a.txt"]
        with pytest.raises(InputError, match="not an empty folder"), replacing_folder(place):
            pass
    with pytest.raises(KeyError), replacing_folder(tmp_path / "never") as folder:
        (folder / "b.txt").write_text("b")
        raise KeyError
    with pytest.raises(InputError, match="could not be written"), replacing_folder(tmp_path / "no" / "where"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new"]
