"""The modality is told from the histogram's shape, and padding from the values that it sets apart."""

import numpy as np
import pytest

import meddl
from meddl import samples
from meddl.models.volume_metadata import metadata_of_volume, modality_of, padding_of

PADDINGS = (-1024, -2000, -3024, -32768)


@pytest.fixture(scope="module")
def heads():
    return {contrast: samples.head(contrast, 3.0)[0].data[0].astype(np.float32) for contrast in ("T1", "T2", "CT")}


def padded(values, padding):
    """Outside of a cylinder along the last axis, and in the outermost slices."""
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in values.shape[:2]), indexing="ij")
    result = values.copy()
    result[np.hypot(x, y) > 1] = padding
    result[:, :, :3] = padding
    return result


@pytest.mark.parametrize("padding", PADDINGS)
def test_ct_is_told_whatever_it_is_padded_with(heads, padding):
    assert modality_of(heads["CT"]) == "CT"
    assert modality_of(padded(heads["CT"], padding)) == "CT"


@pytest.mark.parametrize("contrast", ["T1", "T2"])
@pytest.mark.parametrize("offset", [-900, -1000, -1024, -2000, -3000])
@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0, 2.0, 5.0])
def test_mr_is_no_ct_whatever_its_unit(heads, contrast, offset, scale):
    head = heads[contrast]
    head = head / np.percentile(head, 99.5) * 1000
    assert modality_of(head * scale + offset) is None
    assert modality_of(padded(head * scale, offset)) is None


def test_real_volumes_are_told(data_folder):
    names = {"CT": ("body/abdomen_ct.nii.gz", "body/aorta_cta.nii.gz", "body/chest_ct.nrrd", "sarcoma/sts01_ct.nii.gz"),
             None: ("body/abdomen_mr.nii.gz", "sarcoma/sts01_mr.nii.gz", "ms/ms07_t1.nii.gz", "brain/chris_t1.nii.gz")}
    for modality, files in names.items():
        for name in files:
            values = meddl.load(data_folder / name).data[0].astype(np.float32)
            top = 1000 / np.percentile(values, 99.5)
            seen = [values, *(padded(values, padding) for padding in PADDINGS)] if modality else \
                [values, *(values * top * scale - 1000 for scale in (0.5, 1, 1.2, 1.5, 3))]
            assert [modality_of(one) for one in seen] == [modality] * len(seen), name
    volume = meddl.load(data_folder / "body" / "abdomen_ct.nii.gz")
    assert metadata_of_volume(volume).modality == "CT"
    assert metadata_of_volume(volume, "MR").modality == "MR"


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (0.01, 0), (1000, 0), (1, -1000)])
def test_padding_is_found_in_any_unit(heads, scale, offset):
    head = heads["T1"] + 20 * np.random.default_rng(0).random(heads["T1"].shape, np.float32)
    found = padding_of(padded(head, -2000.0) * scale + offset)
    assert found is not None
    assert np.isclose(found.highest, -2000.0 * scale + offset)
    assert found.background < np.percentile(head, 5) * scale + offset


@pytest.mark.parametrize("level", [0.1, 0.2, 0.3])
def test_a_background_that_was_cut_away_is_no_padding(heads, level):
    head = heads["T1"]
    assert padding_of(head) is None
    assert padding_of(np.where(head > level * np.percentile(head, 99.5), head, 0)) is None


def test_the_background_of_stripped_brains_is_no_padding(data_folder):
    for name in ("ms/ms07_t1", "brain/vm_t1_stripped", "brain/fsaverage_t1_stripped"):
        assert padding_of(meddl.load(data_folder / f"{name}.nii.gz").data[0]) is None, name


def test_constants_and_nan_are_taken():
    assert modality_of(np.zeros((4, 4, 4))) is None
    assert padding_of(np.full((4, 4, 4), -1024)) is None
    assert modality_of(np.full((4, 4, 4), np.nan)) is None
