"""Labels depend neither on the unit of intensity nor on padding."""

import numpy as np
import pytest
import torch

import meddl
from meddl import samples
from meddl.core.config import SegmentConfig
from meddl.segmentation.brain.preprocess import prepare
from meddl.spatial.volume import Volume

UNITS = [(0.01, 0), (15, 0), (1000, 0), (1, -1000)]
CPU = torch.device("cpu")


def in_unit(volume, scale, offset):
    return Volume((volume.data.astype(np.float64) * scale + offset).astype(np.float32), volume.affine)


def padded(volume, padding):
    data = volume.data.copy()
    data[:, :6] = data[:, -6:] = data[:, :, :, :4] = padding
    return Volume(data, volume.affine)


def seen(volume, modality="auto"):
    """What the networks are shown, the brightest about 1."""
    image = prepare(volume, CPU, modality).image.numpy()
    return image / np.percentile(image, 99.5)


def agreement(first, second):
    inside = (first > 0) | (second > 0)
    return (first == second)[inside].mean()


@pytest.fixture(scope="module")
def mr():
    return samples.head("T1", 2.0)[0]


@pytest.fixture(scope="module")
def ct():
    return samples.head("CT", 2.0)[0]


@pytest.mark.parametrize(("scale", "offset"), UNITS)
def test_networks_are_shown_the_same_in_every_unit(mr, scale, offset):
    assert np.abs(seen(in_unit(mr, scale, offset)) - seen(mr)).max() < 1e-3


@pytest.mark.parametrize("padding", [-1024, -2000, -3024, -32768, 0])
def test_networks_are_shown_the_same_of_padded_ct(ct, padding):
    there = np.ones(ct.shape, bool)
    there[:6] = there[-6:] = there[:, :, :4] = False
    image = prepare(Volume(padded(ct, padding).data, ct.affine), CPU).image.numpy()
    np.testing.assert_array_equal(image[there], prepare(ct, CPU).image.numpy()[there])


def test_padding_of_mr_is_background(mr):
    there = np.ones(mr.shape, bool)
    there[:6] = there[-6:] = there[:, :, :4] = False
    noisy = Volume(mr.data + 1, mr.affine)
    assert np.abs(seen(padded(noisy, -2000)) - seen(noisy))[there].max() < 0.02


def test_the_modality_can_be_chosen(ct):
    assert np.abs(seen(ct, "MR") - seen(ct, "CT")).max() > 0.2
    assert np.array_equal(seen(ct), seen(ct, "CT"))


def test_nan_and_infinity_become_the_lowest_value_of_their_channel(mr):
    from meddl.segmentation.channels import with_finite_values

    data = np.stack([mr.data[0], -mr.data[0]]).astype(np.float32)
    data[0, 3, 4, 5], data[1, :2] = np.nan, np.inf
    volume, notes = with_finite_values(Volume(data, mr.affine))
    assert volume.data[0, 3, 4, 5] == np.nanmin(data[0])
    assert (volume.data[1, :2] == data[1, 2:].min()).all()
    assert "NaN or infinite" in notes[0]
    assert with_finite_values(mr) == (mr, ())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brain/chris_t1", "brain_multimodal/T1_head_ext2", "brain/chris_PD",
                                  "brain_multimodal/T2w"])
@pytest.mark.parametrize(("scale", "offset"), UNITS)
def test_labels_of_real_heads_are_the_same_in_every_unit(data_folder, name, scale, offset, labels_of):
    volume = meddl.load(data_folder / f"{name}.nii.gz")
    found = meddl.segment(in_unit(volume, scale, offset), device="cpu")
    assert agreement(found.labels, labels_of(name, volume)) >= 0.995


@pytest.fixture(scope="module")
def labels_of():
    """Labels of a volume as it is, each found once."""
    kept = {}

    def find(name, volume):
        if name not in kept:
            kept[name] = meddl.segment(volume, device="cpu").labels
        return kept[name]
    return find


@pytest.mark.slow
def test_labels_of_padded_ct_are_those_of_ct(ct):
    cut = padded(ct, -1000)  # air where the others have padding, which lies over some of the head
    expected = meddl.segment(cut, device="cpu").labels
    for padding in (-2000, -32768):
        assert agreement(meddl.segment(padded(ct, padding), device="cpu").labels, expected) >= 0.995
    chosen = meddl.segment(cut, config=SegmentConfig(modality="CT"), device="cpu").labels
    np.testing.assert_array_equal(chosen, expected)
