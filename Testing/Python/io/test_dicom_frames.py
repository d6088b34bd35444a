"""Enhanced multi-frame images: frames in order, told apart, none missing; other files of several frames."""

import numpy as np
import pytest
from dicom_files import (
    COLUMN,
    DISTANCE,
    NORMAL,
    ORIGIN,
    ROW,
    SPACING,
    compress,
    header,
    position,
    save,
    stack,
    write_enhanced,
)

from meddl import io
from meddl.core.errors import FileFormatError, FileWarning, InputError

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def expected_affine():
    lps = np.eye(4)
    lps[:3] = np.column_stack([ROW * SPACING[1], COLUMN * SPACING[0], NORMAL * DISTANCE, ORIGIN])
    return RAS @ lps


def values_of(volume):
    return volume.data[0].transpose(2, 1, 0)


@pytest.mark.parametrize("deflated", [False, True])
def test_frames_lie_where_they_say_in_whatever_order(tmp_path, deflated):
    values, order = stack(7), (3, 0, 6, 1, 5, 2, 4)
    path = write_enhanced(tmp_path / "a.dcm", values[list(order)], order, deflated=deflated)
    volume = io.load(path)
    assert np.array_equal(values_of(volume), values)
    assert np.allclose(volume.affine, expected_affine(), atol=1e-6)
    assert np.array_equal(io.load(tmp_path).data, volume.data)


def test_missing_frames_are_refused_with_their_number(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", stack(6), (0, 1, 4, 5, 6, 7))
    with pytest.raises(FileFormatError, match="2 slices are missing among 6, after the slice number 2"):
        io.load(path)


@pytest.mark.parametrize(("groups", "label"), [
    (lambda n: {"MREchoSequence": {"EffectiveEchoTime": (4.5, 9.0)[n]}}, "echo time 9 ms"),
    (lambda n: {"MRImageFrameTypeSequence": {"ComplexImageComponent": ("MAGNITUDE", "PHASE")[n]}}, "component PHASE"),
    (lambda n: {"MRDiffusionSequence": {"DiffusionBValue": 700.0 * n}}, "b-value 700 s/mm2"),
    (lambda n: {"FrameContentSequence": {"TemporalPositionIndex": n + 1}}, "time point 2"),
    (lambda n: {"FrameContentSequence": {"DimensionIndexValues": [n + 1, 1]}}, "dimension 1 2"),
])
def test_parts_of_one_image_are_told_apart_and_chosen(tmp_path, groups, label):
    one, two = stack(4), stack(4, seed=1)
    path = write_enhanced(tmp_path / "a.dcm", np.concatenate([one, two]), (*range(4), *range(4)),
                          each=lambda n: groups(n // 4))
    with pytest.raises(InputError, match=rf"1: {label} \(4 slices\)"):
        io.load(path)
    assert np.array_equal(values_of(io.load(path, 0)), one)
    assert np.array_equal(values_of(io.load(path, 1)), two)
    assert np.array_equal(io.load(path, "all").data[1], io.load(path, 1).data[0])


def test_each_frame_has_its_own_slope(tmp_path):
    values = stack(4)
    path = write_enhanced(tmp_path / "a.dcm", values, range(4), each=lambda n: {
        "PixelValueTransformationSequence": {"RescaleSlope": 1 + n / 2, "RescaleIntercept": -n}})
    volume = io.load(path)
    assert volume.data.dtype == np.float32
    assert np.allclose(values_of(volume), values * (1 + np.arange(4) / 2)[:, None, None] - np.arange(4)[:, None, None])


@pytest.mark.parametrize("compressor", ["JPEG2000", "JPEG"])
def test_compressed_frames_are_the_same(tmp_path, compressor):
    values, order = stack(5), (4, 0, 2, 1, 3)
    path = write_enhanced(tmp_path / "a.dcm", values[list(order)], order)
    before = io.load(path)
    compress(path, compressor)
    assert np.array_equal(io.load(path).data, before.data)
    assert np.array_equal(values_of(before), values)


def test_a_dose_grid_lies_by_its_offsets(tmp_path):
    values = stack(4)
    save(header(values, "1.2.840.10008.5.1.4.1.1.481.2", NumberOfFrames=4, ImagePositionPatient=position(0),
                ImageOrientationPatient=[*ROW, *COLUMN], PixelSpacing=list(SPACING),
                GridFrameOffsetVector=[0.0, -2.5, -5.0, -7.5]), tmp_path / "dose.dcm")
    volume = io.load(tmp_path / "dose.dcm")
    assert np.array_equal(values_of(volume), values[::-1])
    assert np.allclose((RAS @ volume.affine)[:3, 3], ORIGIN - 7.5 * NORMAL, atol=1e-6)


def test_captured_frames_without_geometry_are_read_with_a_warning(tmp_path):
    values = stack(4)
    path = save(header(values, "1.2.840.10008.5.1.4.1.1.7.3", NumberOfFrames=4), tmp_path / "a.dcm")
    with pytest.warns(FileWarning, match="does not state where its slices lie"):
        assert np.array_equal(values_of(io.load(path)), values)


def test_functional_groups_for_other_frames_are_refused(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", stack(5), range(4))
    with pytest.raises(FileFormatError, match="holds 5 frames and describes 4"):
        io.load(path)
