"""Several volumes become the channels of one model: on the first one's voxels, in the model's order."""

import numpy as np
import pytest
import SimpleITK as sitk
from channel_images import blobs, center_on, three
from nnunet_folder import write_nnunet

import meddl
from meddl.core.config import SegmentConfig
from meddl.core.errors import Cancelled, GeometryError, InputError
from meddl.io import from_sitk, to_sitk
from meddl.models.store.store import ModelStore
from meddl.segmentation.channels import join_channels
from meddl.spatial.volume import Volume

NAMES = ("T1", "T2", "FLAIR")








def by_itk(volume: Volume, reference: Volume) -> Volume:
    """On the reference's grid by SimpleITK, its lowest value outside."""
    lowest = float(volume.data.min())
    return from_sitk(sitk.Resample(to_sitk(volume), to_sitk(reference), sitk.Transform(), sitk.sitkLinear, lowest))


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


def test_channels_are_what_simpleitk_makes_of_them():
    first, second, third = three()
    joined, warnings = join_channels(first, [second, third], NAMES)
    assert joined.grid.same_as(first.grid) and not warnings
    np.testing.assert_array_equal(joined.data[0], first.scalar_data)
    np.testing.assert_array_equal(joined.data[1], second.scalar_data)
    np.testing.assert_allclose(joined.data[2], by_itk(third, first).scalar_data, atol=2e-3)


def test_where_a_channel_does_not_reach_its_lowest_value_stands_and_it_is_told():
    first = three()[0]
    small = blobs((14, 14, 14), center_on(np.diag([1.9, 1.9, 1.9, 1]), (14, 14, 14), first), 4)
    joined, warnings = join_channels(first, {"t2": small}, NAMES[:2])
    expected = by_itk(small, first).scalar_data
    np.testing.assert_allclose(joined.data[1], expected, atol=2e-3)
    assert joined.data[1, 0, 0, 0] == pytest.approx(small.data.min(), abs=1e-4)
    assert len(warnings) == 1 and "'T2' reaches only" in warnings[0]


def test_by_name_the_order_does_not_matter_and_the_first_stays_the_grid():
    first, second, third = three()
    in_order, _ = join_channels(first, [second, third], NAMES)
    named, _ = join_channels(first, {"flair": third, "T2": second}, NAMES)
    np.testing.assert_array_equal(in_order.data, named.data)
    last, _ = join_channels(first, {"T1": second, "T2": third}, NAMES)
    np.testing.assert_array_equal(last.data[2], first.scalar_data)
    assert last.grid.same_as(first.grid)


def test_the_labels_are_those_of_channels_stacked_by_hand(tmp_path, store):
    write_nnunet(tmp_path / "model", channels=NAMES, folds=(4,))
    store.import_model(tmp_path / "model", identifier="three")
    first, second, third = three()
    exact = SegmentConfig(float32=True)
    stacked = Volume(np.concatenate([first.data, second.data, by_itk(third, first).data]), first.affine)
    by_hand = meddl.segment(stacked, "three", exact, device="cpu")
    found = meddl.segment(first, "three", exact, others=[second, third], device="cpu")
    swapped = meddl.segment(first, "three", exact, others=[third, second], device="cpu")
    assert found.labels.shape == first.shape
    assert (found.labels == by_hand.labels).mean() > 0.999
    assert (swapped.labels == by_hand.labels).mean() < 0.9


def test_integers_of_one_grid_keep_their_type():
    first = blobs((9, 8, 7), np.eye(4), 0, np.int16)
    joined, _ = join_channels(first, [blobs((9, 8, 7), np.eye(4), 1, np.int16)], NAMES[:2])
    assert joined.data.dtype == np.int16


@pytest.mark.parametrize("others, words", [
    (lambda a, b: [], "takes 3 channels \\(T1, T2, FLAIR\\); the volume has 1. Give one volume"),
    (lambda a, b: [a], "2 volumes were given"),
    (lambda a, b: [a, b, a], "4 volumes were given"),
    (lambda a, b: {"T1": a, "CT": b}, "'CT' names no channel"),
    (lambda a, b: {"t1": a, "T1": b}, "names no channel of its own"),
    (lambda a, b: [a, Volume(np.concatenate([b.data, b.data]), b.affine)], "'FLAIR' has 2"),
])
def test_a_wrong_number_or_name_of_channels_is_refused(others, words):
    first, second, third = three()
    with pytest.raises(InputError, match=words):
        join_channels(first, others(second, third), NAMES)


def test_a_volume_elsewhere_is_refused():
    first, second, _ = three()
    away = np.array(second.affine)
    away[0, 3] += 300
    with pytest.raises(GeometryError, match="'T2' does not overlap with the first one: their centers are 300 mm"):
        join_channels(first, [Volume(second.data, away)], NAMES[:2])


def test_one_channel_takes_one_volume():
    first, second, _ = three()
    with pytest.raises(InputError, match="takes 1 channel .volume.; 2 volumes"):
        join_channels(first, [second], ("volume",))


def test_it_can_be_cancelled():
    def stop(fraction, message):
        raise Cancelled("stop")

    first, second, third = three()
    with pytest.raises(Cancelled):
        join_channels(first, [second, third], NAMES, stop)


def test_ct_mr_and_pet_of_one_person_are_brought_together_as_by_simpleitk(data_folder):
    ct, mr, pet = (meddl.load(data_folder / "sarcoma" / f"sts01_{kind}.nii.gz") for kind in ("ct", "mr", "pet"))
    joined, warnings = join_channels(mr, {"PET": pet, "CT": ct}, ("MR", "CT", "PET"))
    assert joined.grid.same_as(mr.grid) and not warnings
    np.testing.assert_allclose(joined.data[1], by_itk(ct, mr).scalar_data, atol=0.05)
    np.testing.assert_allclose(joined.data[2], by_itk(pet, mr).scalar_data, atol=0.001)
