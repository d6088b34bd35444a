"""An imported model gives the same voxels in the world the same labels, however the volume is stored."""

import itertools

import numpy as np
import pytest
from nnunet_folder import write_cascade, write_nnunet
from scipy.ndimage import gaussian_filter

import meddl
from meddl.core.config import SegmentConfig
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

EXACT = SegmentConfig(float32=True)
ORIENTATIONS = ["".join(pair[side] for pair, side in zip(axes, sides, strict=True))
                for axes in itertools.permutations(("RL", "AP", "SI")) for sides in itertools.product((0, 1), repeat=3)]


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


def oblique(spacing, handedness: float = 1.0) -> np.ndarray:
    a, b = np.radians((12, -17))
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing * [handedness, 1, 1]
    affine[:3, 3] = (-30, 12, 55)
    return affine


def volume(shape=(14, 17, 12), spacing=(1.3, 1.1, 4.5), handedness: float = 1.0) -> Volume:
    """Smooth noise between two borders of zeros, which are cropped away."""
    data = 100 * gaussian_filter(np.random.default_rng(0).standard_normal((1, *shape)), (0, 2, 2, 1)) + 5
    data[:, :2] = data[..., -1:] = 0
    return Volume(data.astype(np.float32), oblique(spacing, handedness))


def test_all_48_orientations_have_one_answer(tmp_path, store):
    """With cropped borders, slices thick enough to be taken apart, and axes that no mirror can make up for."""
    store.import_model(write_nnunet(tmp_path / "model", mirror=(0,), spacing=(6.0, 1.5, 1.5), patch=(8, 16, 16)),
                       identifier="ras", orientation="RAS")
    given = volume()
    expected = meddl.segment(given, "ras", EXACT, device="cpu").labels
    assert len(np.unique(expected)) == 3
    assert len(set(ORIENTATIONS)) == 48
    for codes in ORIENTATIONS:
        turned = given.reorient(codes)
        found = meddl.segment(turned, "ras", EXACT, device="cpu")
        assert np.allclose(found.affine, turned.affine)
        back = Volume(found.labels[None], turned.affine).reorient("RAS")
        assert np.allclose(back.affine, given.affine) and (back.data[0] == expected).all(), codes


def test_left_handed_volumes_are_the_mirror_image_of_right_handed_ones_only_in_memory(tmp_path, store):
    store.import_model(write_nnunet(tmp_path / "model", mirror=None), identifier="ras", orientation="RAS")
    right = volume(spacing=(2.2, 1.7, 2.0))
    flip = np.eye(4)
    flip[0, 0], flip[0, 3] = -1, right.shape[0] - 1
    left = Volume(right.data[:, ::-1], right.affine @ flip)
    assert np.linalg.det(left.affine) < 0 < np.linalg.det(right.affine)
    found = meddl.segment(left, "ras", EXACT, device="cpu").labels
    assert (found[::-1] == meddl.segment(right, "ras", EXACT, device="cpu").labels).all()


def test_where_a_volume_lies_and_points_does_not_matter_to_nnunet(tmp_path, store):
    """nnU-Net sees voxels and spacings alone: the same voxels oblique and straight have the same labels."""
    store.import_model(write_nnunet(tmp_path / "model"), identifier="stored")
    slanted = volume(spacing=(2.2, 1.7, 2.0))
    straight = Volume(slanted.data, np.diag([2.2, 1.7, 2.0, 1.0]))
    found = [meddl.segment(one, "stored", EXACT, device="cpu") for one in (slanted, straight)]
    assert (found[0].labels == found[1].labels).all()
    assert np.allclose(found[0].affine, slanted.affine)


def test_both_stages_of_a_cascade_are_turned(tmp_path, store):
    write_cascade(tmp_path / "Dataset900_Small", mirror=None)
    store.import_model(tmp_path / "Dataset900_Small", identifier="cascade", orientation="RAS")
    given = volume(spacing=(2.2, 1.7, 2.4))
    expected = meddl.segment(given, "cascade", EXACT, device="cpu").labels
    assert len(np.unique(expected)) == 3
    for codes in ("LPI", "SLA", "ASR"):
        turned = given.reorient(codes)
        found = meddl.segment(turned, "cascade", EXACT, device="cpu").labels
        assert (Volume(found[None], turned.affine).reorient("RAS").data[0] == expected).all()


@pytest.mark.parametrize("old_plans", [False, True])
def test_a_network_of_slices_sees_each_slice_by_itself(tmp_path, store, old_plans):
    store.import_model(write_nnunet(tmp_path / "model", spacing=(1.5, 1.5), patch=(16, 16), mirror=(0,),
                                    scheme="CTNormalization", old_plans=old_plans), identifier="flat")
    given = volume(shape=(20, 22, 5), spacing=(1.5, 1.2, 7.0))
    given = Volume(np.abs(given.data) + 1, given.affine)
    together = meddl.segment(given, "flat", EXACT, device="cpu").labels
    assert len(np.unique(together)) > 1
    other = given.data.copy()
    other[..., 3] += np.random.default_rng(1).uniform(0, 50, other.shape[1:3])
    changed = meddl.segment(Volume(other, given.affine), "flat", EXACT, device="cpu").labels
    assert [bool((changed[..., n] != together[..., n]).any()) for n in range(5)] == [n == 3 for n in range(5)]


def test_nan_is_background_with_a_warning_as_for_the_own_model(tmp_path, store):
    store.import_model(write_nnunet(tmp_path / "model", mirror=None), identifier="ras", orientation="RAS")
    given = volume()
    lowest, broken = given.data.copy(), given.data.copy()
    lowest[0, 4:6, 3:9, 2] = given.data.min()
    broken[0, 4:6, 3:9, 2] = np.nan
    found = meddl.segment(Volume(broken, given.affine), "ras", EXACT, device="cpu")
    expected = meddl.segment(Volume(lowest, given.affine), "ras", EXACT, device="cpu")
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert any("NaN" in text for text in found.report["warnings"])
    assert np.isnan(broken[0, 4, 3, 2])  # the caller's volume is as it was
