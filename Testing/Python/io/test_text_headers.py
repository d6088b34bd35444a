"""NRRD and MetaImage files are read without ITK, as ITK reads them, in all their layouts; what is odd is refused."""

import bz2
import gzip
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from meddl.core.errors import FileFormatError, FileWarning, InputError, MedDLError
from meddl.io import from_sitk, is_whole, load, time_step

ARRAY = (np.arange(210) % 100 - 40).astype("<i2").reshape(7, 6, 5)
RAW = ARRAY.tobytes()
TEXT = " ".join(map(str, ARRAY.ravel())).encode()
NRRD = ("NRRD0004\n# made by hand\ntype: short\ndimension: 3\nsizes: 5 6 7\nspace: {space}\n"
        "space directions: (0.8,0.1,0) (-0.1,0.8,0) (0,0,2.5)\nspace origin: (1,-2,3.5)\nendian: little\n"
        "encoding: {code}\n")
META = ("ObjectType = Image\nNDims = 3\nBinaryData = {binary}\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = {packed}\nTransformMatrix = 0 1 0 -1 0 0 0 0 1\nOffset = 1 -2 3.5\n"
        "ElementSpacing = 0.8 1.1 2.5\nDimSize = 5 6 7\nElementType = MET_SHORT\n")


def written(path: Path, header: str, data: bytes = b"") -> Path:
    path.write_bytes(header.encode() + data)
    return path


def nrrd(path: Path, space="left-posterior-superior", code="raw", more="", data=RAW, **exchanged) -> Path:
    header = NRRD.format(space=space, code=code) + more
    for old, new in exchanged.values():
        assert old in header
        header = header.replace(old, new)
    return written(path, header + "\n", data)


def meta(path: Path, binary=True, packed=False, data=RAW, file="LOCAL", more="", exchanged=(("", ""),)) -> Path:
    header = META.format(binary=binary, packed=packed) + more + f"ElementDataFile = {file}\n"
    for old, new in exchanged:
        assert old in header
        header = header.replace(old, new)
    return written(path, header, data)


def same_as_itk(path: Path, component="all") -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FileWarning)
        found = load(path, component)
    expected = from_sitk(sitk.ReadImage(str(path)), component)
    assert found.data.dtype == expected.data.dtype
    assert np.array_equal(found.data, expected.data)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-9)


# --- NRRD ---


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior", "left-anterior-superior",
                                   "LPS", "RAS", "scanner-xyz", "3D-right-handed"])
def test_every_space_of_nrrd_is_that_of_itk(tmp_path, space):
    same_as_itk(nrrd(tmp_path / "a.nrrd", space))


@pytest.mark.parametrize(("code", "data"), [
    ("raw", RAW), ("gzip", gzip.compress(RAW)), ("gz", gzip.compress(RAW)), ("text", TEXT), ("ascii", TEXT),
    ("txt", TEXT.replace(b" ", b"\n"))])
def test_every_encoding_of_nrrd_is_read(tmp_path, code, data):
    same_as_itk(nrrd(tmp_path / "a.nrrd", code=code, data=data))


@pytest.mark.parametrize(("code", "data"), [("bzip2", bz2.compress(RAW)), ("hex", RAW.hex().encode())])
def test_encodings_that_itk_lacks_are_read_too(tmp_path, code, data):
    assert np.array_equal(load(nrrd(tmp_path / "a.nrrd", code=code, data=data)).data[0], ARRAY.T)


def test_bytes_and_lines_before_the_voxels_are_skipped(tmp_path):
    same_as_itk(nrrd(tmp_path / "a.nrrd", more="line skip: 2\nbyte skip: 3\n", data=b"one\ntwo\nxyz" + RAW))
    same_as_itk(nrrd(tmp_path / "b.nrrd", more="byte skip: -1\n", data=b"whatever is before" + RAW))


def test_the_voxels_of_nrrd_lie_in_other_files(tmp_path):
    (tmp_path / "a.raw").write_bytes(RAW)
    same_as_itk(nrrd(tmp_path / "a.nhdr", more="data file: a.raw\n", data=b""))
    (tmp_path / "a.gz").write_bytes(gzip.compress(RAW))
    same_as_itk(nrrd(tmp_path / "b.nhdr", code="gzip", more="data file: a.gz\n", data=b""))
    for k in range(7):
        (tmp_path / f"s{k:02d}.raw").write_bytes(ARRAY[k].tobytes())
    same_as_itk(nrrd(tmp_path / "c.nhdr", more="data file: s%02d.raw 0 6 1\n", data=b""))
    names = "".join(f"s{k:02d}.raw\n" for k in range(7))
    same_as_itk(written(tmp_path / "d.nhdr", NRRD.format(space="LPS", code="raw") + "data file: LIST\n" + names))


def test_big_numbers_come_first_or_last(tmp_path):
    same_as_itk(nrrd(tmp_path / "a.nrrd", data=ARRAY.astype(">i2").tobytes(), order=("endian: little", "endian: big")))


def test_spacing_alone_states_no_axes(tmp_path):
    header = ("NRRD0001\ntype: short\ndimension: 3\nsizes: 5 6 7\nspacings: 0.8 1.1 2.5\naxis mins: 1 2 3\n"
              "endian: little\nencoding: raw\n\n")
    path = written(tmp_path / "a.nrrd", header, RAW)
    with pytest.warns(FileWarning, match="does not state its axes"):
        found = load(path)
    np.testing.assert_allclose(found.spacing_mm, [0.8, 1.1, 2.5])
    np.testing.assert_allclose(found.affine[:3, :3], np.diag([-0.8, -1.1, 2.5]))


def test_channels_lie_at_either_end(tmp_path):
    vectors = np.arange(3 * 24, dtype="<f4")
    first = NRRD.format(space="LPS", code="raw").replace("short", "float").replace("dimension: 3", "dimension: 4")
    for name, sizes, directions, kinds in (
            ("a", "3 4 3 2", "none (1,0,0) (0,1,0) (0,0,2)", "vector domain domain domain"),
            ("b", "4 3 2 3", "(1,0,0) (0,1,0) (0,0,2) none", "domain domain domain list")):
        header = first.replace("5 6 7", sizes).replace("(0.8,0.1,0) (-0.1,0.8,0) (0,0,2.5)", directions)
        path = written(tmp_path / f"{name}.nrrd", header + f"kinds: {kinds}\n\n", vectors.tobytes())
        same_as_itk(path)
        assert load(path, 2).data.shape == (1, 4, 3, 2)


@pytest.mark.parametrize("exchanged", [
    ("sizes: 5 6 7", "sizes: 5 6 99999999999999"), ("sizes: 5 6 7", "sizes: 5 6 -7"), ("sizes: 5 6 7", "sizes: 5 6"),
    ("dimension: 3", "dimension: 2147483648"), ("dimension: 3", "dimension: nan"), ("type: short", "type: block"),
    ("(0,0,2.5)", "(0,0,inf)"), ("(0,0,2.5)", "(0,0,0)"), ("(0,0,2.5)", "(0,0"), ("encoding: raw", "encoding: lzma"),
    ("endian: little", "endian: middle"), ("space origin: (1,-2,3.5)", "space origin: (1,nan,2)"),
    ("space origin: (1,-2,3.5)", "space origin: (1,-2)"), ("space origin: (1,-2,3.5)", "space origin: ()"),
    ("# made", "made"), ("NRRD0004", "NRRD9999"), ("endian: little", "byte skip: -7\nendian: little"),
    ("endian: little", "line skip: 1e9\nendian: little"), ("endian: little", "data file: /nowhere\nendian: little"),
    ("endian: little", "data file: %99999999d 1 3 1\nendian: little"),
    ("endian: little", "data file: s%d 0 999999999 1\nendian: little")])
def test_an_odd_nrrd_header_is_refused(tmp_path, exchanged):
    with pytest.raises(MedDLError, match=r"a\.nrrd|affine"):
        load(nrrd(tmp_path / "a.nrrd", odd=exchanged))


def test_damaged_and_cut_voxels_are_noticed(tmp_path):
    packed = gzip.compress(RAW)
    for data in (packed[:-9], packed[:-8] + bytes(4) + packed[-4:], b"", b"\0" * 40):
        path = nrrd(tmp_path / "a.nrrd", code="gzip", data=data)
        assert not is_whole(path)
        with pytest.raises(FileFormatError):
            load(path)
    assert not is_whole(nrrd(tmp_path / "b.nrrd", data=RAW[:-1]))
    assert not is_whole(nrrd(tmp_path / "c.nrrd", code="text", data=TEXT[:-9]))
    assert is_whole(nrrd(tmp_path / "d.nrrd"))


# --- MetaImage ---


@pytest.mark.parametrize(("binary", "packed", "data"), [
    (True, False, RAW), (True, True, zlib.compress(RAW)), (False, False, TEXT + b"\n")])
def test_every_encoding_of_metaimage_is_read(tmp_path, binary, packed, data):
    same_as_itk(meta(tmp_path / "a.mha", binary, packed, data, more=f"CompressedDataSize = {len(data)}\n"))
    if packed:  # ITK reads other values where the size is not stated
        found = load(meta(tmp_path / "b.mha", binary, packed, data))
        assert np.array_equal(found.data[0], ARRAY.T)


def test_the_voxels_of_metaimage_lie_in_other_files(tmp_path):
    (tmp_path / "a.raw").write_bytes(RAW)
    same_as_itk(meta(tmp_path / "a.mhd", data=b"", file="a.raw"))
    (tmp_path / "a.zraw").write_bytes(zlib.compress(RAW))
    same_as_itk(meta(tmp_path / "b.mhd", packed=True, data=b"", file="a.zraw"))
    (tmp_path / "head.raw").write_bytes(b"some header" + RAW)
    same_as_itk(meta(tmp_path / "c.mhd", data=b"", file="head.raw", more="HeaderSize = -1\n"))
    same_as_itk(meta(tmp_path / "d.mhd", data=b"", file="head.raw", more="HeaderSize = 11\n"))
    for k in range(7):
        (tmp_path / f"s{k:02d}.raw").write_bytes(ARRAY[k].tobytes())
    same_as_itk(meta(tmp_path / "e.mhd", data=b"", file="s%02d.raw 0 6 1"))
    same_as_itk(meta(tmp_path / "f.mhd", file="LIST", data="".join(f"s{k:02d}.raw\n" for k in range(7)).encode()))


def test_metaimage_has_other_names_for_its_entries(tmp_path):
    same_as_itk(meta(tmp_path / "a.mha", exchanged=(("TransformMatrix", "Orientation"), ("Offset", "Position"))))
    same_as_itk(meta(tmp_path / "b.mha", data=ARRAY.astype(">i2").tobytes(),
                     exchanged=(("BinaryDataByteOrderMSB = False", "ElementByteOrderMSB = True"),)))
    same_as_itk(meta(tmp_path / "c.mha", exchanged=(("ElementSpacing", "ElementSize"),)))


def test_channels_and_times_of_metaimage(tmp_path):
    image = sitk.GetImageFromArray(np.arange(360).reshape(5, 4, 6, 3).astype(np.float32), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "v.mha"))
    same_as_itk(tmp_path / "v.mha")
    times = sitk.JoinSeries([sitk.GetImageFromArray(ARRAY), sitk.GetImageFromArray(ARRAY + 1)], 0.0, 2.5)
    for suffix in (".mha", ".nrrd"):
        sitk.WriteImage(times, str(tmp_path / f"t{suffix}"))
        same_as_itk(tmp_path / f"t{suffix}")
        assert time_step(tmp_path / f"t{suffix}") == 2.5


def test_metaimage_without_axes_is_warned_about(tmp_path):
    path = meta(tmp_path / "a.mha", exchanged=(("TransformMatrix = 0 1 0 -1 0 0 0 0 1\n", ""),))
    with pytest.warns(FileWarning, match="no TransformMatrix"):
        load(path)
    same_as_itk(path)


@pytest.mark.parametrize("exchanged", [
    ("NDims = 3", "NDims = -1"), ("NDims = 3", "NDims = 1e308"), ("NDims = 3", "NDims = 2147483648"),
    ("NDims = 3", "NDims ="), ("NDims = 3", "NDims = 2147483648 skip -1 x"), ("NDims = 3", "NDims = 6"),
    ("DimSize = 5 6 7", "DimSize = 5 6 0"),
    ("DimSize = 5 6 7", "DimSize = 99999 99999 99999"), ("0.8 1.1 2.5", "0.8 0 2.5"), ("0.8 1.1 2.5", "0.8 -1 2.5"),
    ("0.8 1.1 2.5", "0.8 inf 2.5"), ("0 1 0 -1 0 0 0 0 1", "0 1 0 -1 0 0 0 0 nan"), ("Offset = 1", "Offset = 1 1"),
    ("MET_SHORT", "MET_STRING"), ("LOCAL", "nowhere.raw"), ("LOCAL", "a" * 5000), ("LOCAL", ""),
    ("BinaryData", "# Binary"), ("DimSize", "ElementNumberOfChannels = 1000000\nDimSize"),
    ("DimSize", "HeaderSize = -9\nDimSize")])
def test_an_odd_metaimage_header_is_refused(tmp_path, exchanged):
    with pytest.raises(MedDLError, match=r"a\.mha"):
        load(meta(tmp_path / "a.mha", exchanged=(exchanged,)))


def test_a_plane_is_not_a_volume(tmp_path):
    sitk.WriteImage(sitk.Image(8, 9, sitk.sitkUInt8), str(tmp_path / "a.mha"))
    with pytest.raises(InputError, match="2D image of 8 x 9"):
        load(tmp_path / "a.mha")
