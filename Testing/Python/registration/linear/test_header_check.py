"""A header that is mirrored or turned by half a turn is told, with both values, and a right one never."""

import re

import numpy as np
import pytest
import torch
from registration_phantoms import box, rigid, rotation
from registration_pictures import picture

import meddl
from meddl.core.config import REGISTER_PRESETS, RegisterConfig
from meddl.core.paths import data_folder
from meddl.registration import register
from meddl.registration.images.registration_image import prepare_image
from meddl.registration.linear.align import fitted_levels_mm
from meddl.registration.linear.header_check import Flip, flips_of
from meddl.spatial.grid import centered_grid
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

QUICK = RegisterConfig(levels_mm=(8.0, 4.0), samples=30_000, estimate_quality=False)
OBLIQUE = rotation(15, (1, 1, 2))


def mirrored(volume: Volume, axis: int) -> Volume:
    """The volume whose header mirrors this axis of its array."""
    return Volume(np.flip(volume.data, axis + 1), volume.affine)


def turned(volume: Volume, axis: int) -> Volume:
    """The volume whose header turns it by 180 degrees about this axis of its array."""
    return Volume(np.flip(volume.data, [other + 1 for other in range(3) if other != axis]), volume.affine)


def told(found) -> list[str]:
    """What is said of the header; that alternatives compete is another warning."""
    return [text for text in found.report["warnings"] if "NMI" in text and not text.startswith("Not sure")]


def values(text: str) -> tuple[float, float]:
    better, worse = re.search(r"NMI (\d\.\d+) instead of (\d\.\d+)", text).groups()
    return float(better), float(worse)


@pytest.mark.parametrize(("axis", "directions"), [
    (0, np.eye(3)), (1, OBLIQUE), *(pytest.param(axis, directions, marks=pytest.mark.slow) for axis, directions in (
        (1, np.eye(3)), (2, np.eye(3)), (0, OBLIQUE), (2, OBLIQUE)))])
def test_a_mirrored_header_is_told(axis, directions):
    moving = picture(box(directions=directions), np.linalg.inv(rigid(6, (1, 2, 3), (5, -4, 3))))
    text, = told(register(picture(box()), mirrored(moving, axis), QUICK, device="cpu"))
    assert "mirrored along its " + "RAS"[axis] in text
    assert ("left and right", "front and back", "top and bottom")[axis] in text
    better, worse = values(text)
    assert better > worse + 0.05


@pytest.mark.parametrize("axis", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_a_header_that_is_turned_leads_to_large_motion(axis):
    moving = turned(picture(box(directions=OBLIQUE), np.eye(4), True), axis)
    text, = told(register(picture(box()), moving, QUICK, device="cpu"))
    assert "180°" in text and "RAS"[axis] + " axis" in text and "Large motion" in text
    better, worse = values(text)
    assert better > worse + 0.012
    assert told(register(picture(box()), moving, REGISTER_PRESETS["Large motion"], device="cpu")) == []


def test_nothing_is_checked_where_the_caller_gave_the_start():
    moving = mirrored(picture(box()), 0)
    assert told(register(picture(box()), moving, QUICK, initial=np.eye(4), device="cpu")) == []


@pytest.mark.parametrize(("angle", "shift", "other_contrast"), [
    (0, (0, 0, 0), False), (0, (0, 0, 0), True), (25, (0, 0, 10), False), (12, (15, -8, 6), True),
    (0, (-40, 25, 10), True)])
def test_a_right_answer_is_not_doubted(angle, shift, other_contrast):
    moving = picture(box(), np.linalg.inv(rigid(angle, (1, 2, 3), shift)), other_contrast)
    assert told(register(picture(box()), moving, QUICK, device="cpu")) == []


def test_a_symmetric_object_is_not_doubted():
    grid = box()
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in grid.shape), indexing="ij")
    egg = Volume.scalar(np.clip(1.2 - i ** 2 - 1.5 * j ** 2 - 2 * k ** 2, 0, 1).astype(np.float32), grid.affine)
    noisy = Volume(egg.data + np.random.default_rng(0).normal(0, 0.02, egg.data.shape).astype(np.float32), egg.affine)
    assert told(register(egg, noisy, QUICK, device="cpu")) == []


def test_a_gain_that_gives_up_overlap_does_not_count():
    assert Flip(True, 0, 1.3, 1.1, 1.0).is_better
    assert not Flip(True, 0, 1.3, 1.1, 0.6).is_better
    assert not Flip(False, 2, 1.11, 1.1, 1.0).is_better


# --- real volumes ---


def volume(name: str, spacing_mm: float = 3.0) -> Volume:
    read = meddl.load(data_folder() / name)
    return resample(read, centered_grid(read.grid, np.maximum(read.spacing_mm, spacing_mm)), clamp=True)


PAIRS = {"head, T1 and T2": ("ms/ms07_t1.nii.gz", "ms/ms07_t2.nii.gz"),
         "head, T1 and PD": ("brain/chris_t1.nii.gz", "brain/chris_PD.nii.gz"),
         "two heads": ("brain/ecog_t1.nii.gz", "brain/chris_t1.nii.gz"),
         "abdomen, MR": ("body/abdomen_mr.nii.gz", "body/abdomen_mr.nii.gz"),
         "two brains": ("brain/ecog_t1_stripped.nii.gz", "brain/vm_t1_stripped.nii.gz"),
         "two more brains": ("brain/fsaverage_t1_stripped.nii.gz", "brain/vm_t1_stripped.nii.gz"),
         "chest, CT": ("body/chest_ct.nrrd", "body/chest_ct_oblique.nrrd"),
         "limb, CT and MR": ("sarcoma/sts01_ct.nii.gz", "sarcoma/sts01_mr.nii.gz"),
         "limb, CT and PET": ("sarcoma/sts01_ct.nii.gz", "sarcoma/sts01_pet.nii.gz"),
         "another limb, CT and MR": ("sarcoma/sts03_ct.nii.gz", "sarcoma/sts03_mr.nii.gz"),
         "another limb, CT and PET": ("sarcoma/sts03_ct.nii.gz", "sarcoma/sts03_pet.nii.gz")}


@pytest.fixture
def pair(request):
    if not (data_folder() / PAIRS[request.param][0]).exists():
        pytest.skip("no real volumes: set MEDDL_DATA")
    return tuple(map(volume, PAIRS[request.param]))


def flips(fixed: Volume, moving: Volume) -> list[Flip]:
    """What is found after a registration from the headers' alignment."""
    levels = fitted_levels_mm(fixed, moving, RegisterConfig().levels_mm)
    images = [prepare_image(name, one, None).levels(levels, torch.device("cpu"))
              for name, one in (("fixed", fixed), ("moving", moving))]
    found = register(fixed, moving, REGISTER_PRESETS["Rigid"], initial=np.eye(4), device="cpu")
    return flips_of(*images, found.affine, RegisterConfig())


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_a_real_pair_with_right_headers_is_far_from_a_warning(pair):
    assert not any(flip.is_better for flip in flips(*pair))
    assert max((flip.value - flip.found for flip in flips(*pair) if flip.overlap > 0.9), default=0) < 0.003


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["head, T1 and T2", "abdomen, MR", "chest, CT", "limb, CT and MR"], indirect=True)
def test_a_real_pair_with_a_mirrored_header_is_told(pair):
    fixed, moving = pair
    best = max((flip for flip in flips(fixed, mirrored(moving.reorient("RAS"), 0)) if flip.is_better),
               key=lambda flip: flip.value)
    assert best.mirrored


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["head, T1 and T2", "head, T1 and PD", "two heads", "abdomen, MR"], indirect=True)
def test_a_real_pair_with_a_turned_header_is_told(pair):
    fixed, moving = pair
    best = max((flip for flip in flips(fixed, turned(moving.reorient("RAS"), 2)) if flip.is_better),
               key=lambda flip: flip.value)
    assert (best.mirrored, best.axis) == (False, 2)


@pytest.mark.slow
def test_two_abdomens_that_share_nothing_before_are_not_doubted():
    """CT and MR of two persons, in two worlds: all that could be compared is a doubtful answer."""
    fixed, moving = volume("body/abdomen_ct.nii.gz"), volume("body/abdomen_mr.nii.gz")
    assert flips(fixed, moving) == []
    assert told(register(fixed, moving, REGISTER_PRESETS["Rigid"], device="cpu")) == []
