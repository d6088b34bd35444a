"""Damaged DICOM files end in our own errors, and never take more memory than their size warrants."""

import contextlib
import functools
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from dicom_files import compress, dicom_seeds, header, save, stack, write_enhanced, write_slices
from places import SUPPORT
from pydicom import dcmread

from meddl import io
from meddl.core.errors import FileFormatError, MedDLError
from meddl.io.dicom import bounded_files, decoding
from meddl.io.dicom.headers import read_header
from meddl.worker import Worker


def replace_bytes(path, old, new):
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new, 1))


@pytest.mark.parametrize("tag", [b"\x08\x00\x60\x00CS", b"\x20\x00\x32\x00DS", b"\x20\x00\x0d\x00UI"])
def test_an_element_longer_than_the_file_is_refused(tmp_path, tag):
    write_slices(tmp_path, stack(5))
    content = (tmp_path / "2.dcm").read_bytes()
    place = content.index(tag)
    (tmp_path / "2.dcm").write_bytes(content[:place + 4] + b"UN\0\0" + struct.pack("<I", 0xFFFFFFF0)
                                     + content[place + 8:])
    with pytest.raises(FileFormatError, match="'2.dcm' is no whole DICOM file: an element claims 4294"):
        io.load(tmp_path)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"])
def test_numbers_that_are_none_are_refused_by_name(tmp_path, keyword):
    write_slices(tmp_path, stack(5), RescaleSlope=2, RescaleIntercept=0)
    path = tmp_path / "2.dcm"
    value = str(dcmread(path).get_item(keyword).value, "ascii")
    replace_bytes(path, value.encode(), ("x" + value[1:]).encode())
    with pytest.raises(FileFormatError, match=f"'2.dcm'.*{keyword}"):
        io.load(tmp_path)


def test_infinite_positions_and_crooked_directions_are_refused(tmp_path):
    write_slices(tmp_path / "a", stack(3), ImagePositionPatient=["1e999", "0", "0"], each=lambda k: {})
    write_slices(tmp_path / "b", stack(3), ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    with pytest.raises(FileFormatError, match="not orthonormal"):
        io.load(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        replace_bytes(path, b"1e999", b"inf  ")
    with pytest.raises(FileFormatError, match="ImagePositionPatient"):
        io.load(tmp_path / "a")


def test_files_that_end_early_are_refused_and_hidden_ones_are_passed_by(tmp_path):
    values = stack(4)
    write_slices(tmp_path, values)
    (tmp_path / "._1.dcm").write_bytes(bytes(82))
    assert np.array_equal(io.load(tmp_path / "1.dcm").data[0].transpose(2, 1, 0), values)
    last = tmp_path / "3.dcm"
    content = last.read_bytes()
    last.write_bytes(content[:content.index(b"\x28\x00\x02\x00US")])  # between two elements, before the image
    with pytest.raises(FileFormatError, match="'3.dcm' is no whole DICOM file: it ends before its image"):
        io.load(tmp_path)
    last.write_bytes(b"")
    with pytest.raises(FileFormatError, match="'3.dcm' is empty"):
        io.load(tmp_path)


def test_a_broken_file_spoils_its_series_alone(tmp_path):
    values = stack(4)
    write_slices(tmp_path / "good", values)
    write_slices(tmp_path / "bad", stack(4), series="1.2.3.5")
    path = tmp_path / "bad" / "1.dcm"
    path.write_bytes(path.read_bytes()[:300])
    assert io.load(tmp_path, series="1.2.3.4").shape == (9, 7, 4)
    assert np.array_equal(io.load(tmp_path / "good").data, io.load(tmp_path, series=0).data)


@pytest.mark.filterwarnings("ignore::meddl.core.errors.FileWarning")
@pytest.mark.parametrize("shape", [{"Rows": 60000, "Columns": 60000}, {"NumberOfFrames": 6000},
                                   {"NumberOfFrames": 1 << 30}])
@pytest.mark.parametrize("packed", [False, True])
def test_pixels_that_are_not_there_take_no_memory(tmp_path, shape, packed):
    path = save(header(stack(4), NumberOfFrames=4), tmp_path / "a.dcm")
    if packed:
        compress(path, "JPEG2000")
    data_set = dcmread(path)
    for keyword, value in shape.items():
        setattr(data_set, keyword, value)
    save(data_set, path)
    with pytest.raises(FileFormatError, match="is not complete|is said to hold|cannot be decoded"):
        io.load(path)


@pytest.mark.parametrize(("target", "why"), [("abort", "was killed|SIGABRT|ended"), ("swell_decoder", "more memory")])
def test_a_decoder_that_crashes_or_swells_is_an_error_of_its_file(tmp_path, monkeypatch, target, why):
    path = save(header(stack(4), NumberOfFrames=4), tmp_path / "a.dcm")
    compress(path, "JPEG2000")
    monkeypatch.setattr(decoding, "_TARGET", f"limited_targets:{target}")
    monkeypatch.setattr(decoding, "_BYTES", 64 << 20)
    monkeypatch.setattr(decoding, "Worker", functools.partial(
        Worker, allowed=("limited_targets.", "meddl."), paths=[SUPPORT]))
    with pytest.raises(FileFormatError, match=rf"'a.dcm' cannot be decoded.*({why})"):
        io.load(path)


def test_a_deflated_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded_files, "_INFLATED_BYTES", 4 << 20)
    path = write_enhanced(tmp_path / "a.dcm", stack(1), (0,), deflated=True, PixelData=bytes(24 << 20))
    assert path.stat().st_size < 40_000
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="unpacks to more than 4 MB"):
            io.load(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_what_stands_behind_the_pixels_does_no_harm(tmp_path):
    values = stack(3)
    write_slices(tmp_path, values)
    for n, rest in enumerate((bytes(512), b"\xff" * 300, bytes(range(256)))):
        path = tmp_path / f"{n}.dcm"
        path.write_bytes(path.read_bytes() + rest)
    assert np.array_equal(io.load(tmp_path).data[0].transpose(2, 1, 0), values)


def test_without_pydicom_the_package_is_named(tmp_path, monkeypatch):
    write_slices(tmp_path, stack(2))
    for name in {"pydicom", *(name for name in sys.modules if name.startswith("pydicom."))}:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match="pydicom"):
        io.load(tmp_path)


def test_files_without_an_image_are_no_series(tmp_path):
    data_set = header(stack(1)[0], "1.2.840.10008.5.1.4.1.1.88.11")
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(data_set, keyword)
    save(data_set, tmp_path / "report.dcm")
    assert read_header(tmp_path / "report.dcm") == ()
    with pytest.raises(FileFormatError, match="holds no DICOM series"):
        io.load(tmp_path)
    with pytest.raises(FileFormatError, match="holds no DICOM image"):
        io.load(tmp_path / "report.dcm")


@pytest.mark.filterwarnings("ignore::meddl.core.errors.FileWarning")
def test_mutants_are_read_or_refused(tmp_path):
    """Some fifty damaged files: cut, overwritten, swapped. All end in a volume or in an error of our own."""
    random = np.random.default_rng(0)
    for path in filter(Path.is_file, dicom_seeds(tmp_path)):
        content = path.read_bytes()
        for _ in range(8):
            bad = bytearray(content)
            for place in random.integers(132, len(bad), random.integers(1, 6)):
                bad[place] = random.integers(256)
            path.write_bytes(bad[:random.integers(140, len(bad))] if random.random() < 0.2 else bad)
            with contextlib.suppress(MedDLError):
                io.load(path)
