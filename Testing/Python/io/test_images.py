"""Files in, files out: the same voxels in the same place, or a clear error and nothing half-written."""

import gzip
import struct
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from volume_files import AFFINES, FORMATS, affine_from, rotation, volume_of

import meddl.io as io
from meddl.core.errors import FileFormatError, GeometryError, InputError
from meddl.io.files import replacing_folder
from meddl.io.formats import nifti
from meddl.spatial.volume import Volume

FLIP = np.diag([-1.0, -1.0, 1.0])


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


@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_file_is_refused(tmp_path, suffix, fraction):
    random = np.random.default_rng(0).normal(size=(1, 20, 20, 20)).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    io.save(Volume(random, np.eye(4)), path)
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * fraction)])
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


# --- odd files and folders -------------------------------------------------------------------------------------


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
