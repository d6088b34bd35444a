"""The values of DICOM slices: slopes, types, unused bits, JPEG-LS; where a tilted gantry puts them."""

import base64

import numpy as np
import pytest
from dicom_files import DISTANCE, header, position, save, stack, write_slices
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from meddl import io
from meddl.spatial.resample import resample

# Slices of 7 x 9 voxels as JPEG-LS, as CharLS writes them, and the formula of their values.
JPEG_LS = (
    "|JeWc01FHN2LK5H0TBTI+5iXv0RR910FI|sn#Ag}SgX>Kk`a**kUu30$7Q0)V6Ijwj>jUINTN_DlZmCE=u0IMNd$5+6tWJ(ve9I)S1T1qU;x~xQz"
    ";Zm1oClc|Je",
    "|JeWc01FHN2LK5H0TBTI+5iXv0RR9100EThby=)c>eX7MDKRlIF)=YQXkI)mmWw5VxmbEQl}d#&kwl<RE{8I4G?+^z5=jNnbqEXP;^}a<S_l9ExoEO"
    "jE0v0+LjeET",
    "|JeWc01FHN2LK5H0TBTI+5iXv0RR9100076)n>6*t5s^1I#P0ilA^N0(@?yAUM`mlWunOZax9h#<zlH&reF?*GLb}}PbU*hAnX#E3}zz<fW8ud17iV"
    "vyj?C9%SK@T*#")


def values_of(volume):
    return volume.data[0].transpose(2, 1, 0)


def test_each_slice_has_its_own_slope(tmp_path):
    """The first slope is 1, as PET scanners may write it: the type is not to be taken from it."""
    values, slopes = stack(5), np.array([1, 0.5, 0.25, 1.5, 0.37])
    write_slices(tmp_path, values, each=lambda k: {"RescaleSlope": slopes[k], "RescaleIntercept": 0})
    volume = io.load(tmp_path)
    assert volume.data.dtype == np.float32
    assert np.allclose(values_of(volume), values * slopes[:, None, None], rtol=1e-6)


@pytest.mark.parametrize(("stored", "intercept", "slope", "expected"), [
    (np.uint16, -1024, 1, np.int32), (np.int16, 0, 1, np.int16), (np.uint8, -100, 1, np.int16),
    (np.uint16, 0, 1, np.uint16), (np.int16, -1024, 1, np.int32), (np.uint8, 0, 3, np.uint16),
    (np.int16, 0.5, 1, np.float32)])
def test_values_keep_a_type_that_holds_them(tmp_path, stored, intercept, slope, expected):
    values = (stack(3) % 250).astype(stored)
    write_slices(tmp_path, values, RescaleSlope=slope, RescaleIntercept=intercept)
    volume = io.load(tmp_path)
    assert volume.data.dtype == expected
    assert np.array_equal(values_of(volume), values.astype(float) * slope + intercept)


def test_twelve_bits_of_ct_are_int16_and_an_overlay_above_them_is_no_value(tmp_path):
    values = stack(4)
    write_slices(tmp_path, values | 0x8000, BitsStored=12, HighBit=11, RescaleSlope=1, RescaleIntercept=-1024)
    volume = io.load(tmp_path)
    assert volume.data.dtype == np.int16
    assert np.array_equal(values_of(volume), values.astype(int) - 1024)


def test_jpeg_ls_is_decoded(tmp_path):
    row, column = np.mgrid[:7, :9]
    values = np.stack([(row * row * 37 + column * 91 + k * 211 + row * column * k) % 4000 for k in range(3)])
    for k, text in enumerate(JPEG_LS):
        data_set = header(values[k].astype(np.uint16), InstanceNumber=k, ImagePositionPatient=position(k),
                          ImageOrientationPatient=[0.8, 0.6, 0, -0.6, 0.8, 0], PixelSpacing=[1.25, 0.75])
        data_set.PixelData = encapsulate([base64.b85decode(text)])
        data_set["PixelData"].VR, data_set["PixelData"].is_undefined_length = "OB", True
        data_set.file_meta.TransferSyntaxUID = JPEGLSLossless
        save(data_set, tmp_path / f"{k}.dcm")
    assert np.array_equal(values_of(io.load(tmp_path)), values)


def test_colors_are_components(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (3, 7, 9, 3)).astype(np.uint8)
    for k, one in enumerate(values):
        data_set = header(one[..., 0], InstanceNumber=k, ImagePositionPatient=position(k), PixelSpacing=[1.25, 0.75],
                          ImageOrientationPatient=[0.8, 0.6, 0, -0.6, 0.8, 0])
        data_set.SamplesPerPixel, data_set.PhotometricInterpretation, data_set.PlanarConfiguration = 3, "RGB", 0
        data_set.PixelData = one.tobytes() + b"\0"
        save(data_set, tmp_path / f"{k}.dcm")
    assert np.array_equal(io.load(tmp_path, "all").data, values.transpose(3, 2, 1, 0))
    assert np.array_equal(values_of(io.load(tmp_path, 1)), values[..., 1])


def test_slices_of_a_tilted_gantry_show_what_is_at_their_place(tmp_path):
    """A function of the place is written on tilted slices, and found at its place by resampling to a straight grid."""
    def at(points):
        return 500 + 8 * points[..., 0] - 5 * points[..., 1] + 6 * points[..., 2]

    rows, columns = np.mgrid[:24, :20]
    row, column, tilt = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, -0.6, 0])
    values = []
    for k in range(12):
        place = np.array([0, 0, DISTANCE * k]) + k * tilt
        values.append(np.round(at(place + columns[..., None] * 0.75 * row + rows[..., None] * 1.25 * column)))
    write_slices(tmp_path, np.array(values).astype(np.uint16), ImageOrientationPatient=[*row, *column],
                 each=lambda k: {"ImagePositionPatient": (np.array([0, 0, DISTANCE * k]) + k * tilt).tolist()})
    volume = io.load(tmp_path)
    straight = volume.grid.affine.copy()
    straight[:3, :3] = np.diag([-1.0, -1.0, 2.0])
    straight[:3, 3] = [-3.0, -2.0, 4.0]
    grid = type(volume.grid)((8, 12, 9), straight)
    found = resample(volume, grid).data[0]
    index = np.stack(np.mgrid[:8, :12, :9], axis=-1)
    points = (index @ straight[:3, :3].T + straight[:3, 3]) * [-1, -1, 1]
    assert np.abs(found - at(points)).max() < 1.0
