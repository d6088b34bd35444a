"""What a volume looks like is seen before a run where it can be told honestly, and nothing is said where it cannot."""

import time

import numpy as np
import pytest

import meddl
from meddl import samples
from meddl.models.catalog.catalog import VolumeMetadata
from meddl.models.catalog.volume_check import look_at, reasons_to_doubt
from meddl.models.listing import find_model
from meddl.models.volume_metadata import metadata_of_volume


@pytest.fixture(scope="module")
def brain():
    return find_model("brain")


def doubts(volume, model=None):
    facts = metadata_of_volume(volume)
    return " ".join(reasons_to_doubt(look_at(volume.scalar_data.transpose(2, 1, 0), facts.modality), facts, model))


def noise(shape=(40, 40, 40), low=0, high=1000):
    return np.random.default_rng(0).integers(low, high, shape).astype(np.int16)


def said(array, spacing=(5.0, 5.0, 5.0), model=None, modality=None):
    facts = VolumeMetadata(spacing, array.shape[::-1], modality)
    return " ".join(reasons_to_doubt(look_at(array, modality), facts, model))


def test_heads_of_any_contrast_and_ct_are_not_doubted(brain, data_folder):
    for contrast in ("T1", "T2", "CT"):
        assert doubts(samples.head(contrast, 2.0)[0], brain) == ""
    for name in ("brain/chris_t1", "brain_multimodal/T2w", "ms/ms07_flair"):
        assert doubts(meddl.load(data_folder / f"{name}.nii.gz"), brain) == ""


@pytest.mark.parametrize(("name", "expected"), [
    ("body/chest_ct.nrrd", "looks like a CT of the chest"),
    ("body/aorta_cta.nii.gz", "looks like a CT of the chest"),
    ("body/abdomen_mr.nii.gz", "volumes of the head; this one is 351 mm wide"),
    ("body/abdomen_ct.nii.gz", "volumes of the head; this one is 366 mm wide"),
    ("brain/ecog_aseg.nii.gz", "looks like a segmentation: 40 whole numbers"),
    ("ms/ms07_lesions.nii.gz", "looks like a segmentation: 1 whole number in"),
    ("spine/mt_mt0.nii.gz", "only 5 slices"),
])
def test_clear_mismatches_are_told(brain, data_folder, name, expected):
    assert expected in doubts(meddl.load(data_folder / name), brain)


def test_without_a_model_only_the_volume_itself_is_doubted(data_folder):
    assert doubts(meddl.load(data_folder / "body" / "chest_ct.nrrd")) == ""
    assert "segmentation" in doubts(meddl.load(data_folder / "brain" / "ecog_aseg.nii.gz"))


def test_values_that_hold_nothing_are_told():
    assert "the same value, 7" in said(np.full((30, 30, 30), 7, np.int16))
    assert "finite" in said(np.full((30, 30, 30), np.nan, np.float32))
    half = noise().astype(np.float32)
    half[:20] = np.inf
    assert "50.0 % of its values are not finite" in said(half)
    assert "neither CT nor MR" in said(noise(low=-4096, high=4096))


def test_a_model_of_ct_asks_for_hounsfield_units():
    trunk = find_model("totalsegmentator-total")
    assert "Hounsfield" in said(noise(), (12.0,) * 3, trunk)
    assert "Hounsfield" not in said(noise(low=-1000), (12.0,) * 3, trunk, "CT")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_large_volume_is_looked_at_in_50_ms(order):
    array = np.zeros((512, 400, 512), np.int16)
    array[::3, ::5] = 40
    view = array.transpose(order)
    look_at(view, "CT")
    begin = time.process_time()
    look_at(view, "CT")
    assert time.process_time() - begin < 0.05
