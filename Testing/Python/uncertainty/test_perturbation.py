"""Perturbed copies show the same object, and their labels come back to where they belong."""

import numpy as np
import pytest
from channel_images import OBLIQUE, blobs
from ct_body import ct_body

from meddl.core.errors import InputError
from meddl.spatial.volume import Volume
from meddl.uncertainty.config import UncertaintyConfig
from meddl.uncertainty.perturbation import Perturbation, draw_perturbations, perturb, restore

SHAPE = (22, 18, 15)


def test_the_first_perturbation_changes_nothing_and_the_seed_fixes_the_others():
    first, *others = draw_perturbations(UncertaintyConfig(runs=6), mirror=True)
    assert first == Perturbation()
    assert [change.mirror for change in others] == [True, False, True, False, True]
    assert others == draw_perturbations(UncertaintyConfig(runs=6), mirror=True)[1:]
    assert others != draw_perturbations(UncertaintyConfig(runs=6, seed=1), mirror=True)[1:]
    assert len({change.seed for change in others}) == 5
    volume = blobs(SHAPE, OBLIQUE)
    assert perturb(volume, first) is volume


@pytest.mark.parametrize("choices", [{"runs": 1}, {"runs": 101}, {"noise": -0.1}, {"shift_voxels": 9.0},
                                     {"gamma": float("nan")}])
def test_an_impossible_perturbation_is_refused(choices):
    with pytest.raises(InputError):
        draw_perturbations(UncertaintyConfig(**choices), mirror=False)


def test_a_shifted_copy_shows_the_object_where_it_was_in_the_world():
    """A ramp in world coordinates is the same function of the world at the shifted voxels."""
    indices = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
    normal = np.array([0.3, -0.2, 0.5])
    volume = Volume.scalar((Volume.scalar(np.zeros(SHAPE), OBLIQUE).grid.points_mm(indices) @ normal)
                           .reshape(SHAPE).astype(np.float32), OBLIQUE)
    copy = perturb(volume, Perturbation(shift_voxels=(0.4, -0.3, 0.2)))
    expected = (copy.grid.points_mm(indices) @ normal).reshape(SHAPE)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(copy.data[0][inner], expected[inner], atol=1e-3)
    assert not np.allclose(copy.affine, volume.affine)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.5, -0.4, 0.3), (2.0, -1.0, 3.0)])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("codes", ["RAS", "SLP", "ALI"])
def test_labels_of_a_copy_come_back_to_the_voxels_of_the_volume(shift, mirror, codes):
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[4:9, 5:12, 4:9] = 1   # left
    labels[12:18, 6:12, 5:10] = 2  # right
    labels[9:12, 5:8, 6:9] = 3
    given = Volume.scalar(labels, OBLIQUE).reorient(codes)
    change = Perturbation(shift_voxels=shift, mirror=mirror)
    copy = np.rint(perturb(given, change).data[0]) if not any(s % 1 for s in shift) else given.data[0][
        tuple(slice(None, None, -1) if mirror and a == _left_right(given) else slice(None) for a in range(3))]
    table = np.array([0, 2, 1, 3])
    found = table[copy.astype(int)] if mirror else copy  # a model that names left what is mirrored right
    back = restore(np.asarray(found, dtype=np.uint8), change, given.grid, table)
    inner = (slice(4, -4),) * 3
    assert (back[inner] == given.data[0][inner]).all() and back.dtype == np.uint8


def _left_right(volume: Volume) -> int:
    return int(np.abs(volume.affine[0, :3] / volume.spacing_mm).argmax())


def test_noise_is_as_strong_as_asked_for_and_background_keeps_its_value():
    data = np.zeros((1, 40, 40, 40), dtype=np.int16)
    data[0, 8:32, 8:32, 8:32] = np.random.default_rng(0).integers(500, 1000, (24,) * 3)
    volume = Volume(data, np.eye(4))
    copy = perturb(volume, Perturbation(noise=0.05, seed=3))
    inside = data > 0
    assert (copy.data[~inside] == 0).all() and copy.data.dtype == np.float32
    assert np.std((copy.data - data)[inside]) == pytest.approx(0.05 * np.percentile(data[inside], 99.5), rel=0.05)
    assert (data[0, 8:32, 8:32, 8:32] >= 500).all()  # the volume itself is as it was


def test_gamma_keeps_the_order_of_intensities_and_their_ends_but_leaves_ct_alone():
    volume = blobs(SHAPE, OBLIQUE)
    copy = perturb(volume, Perturbation(gamma=1.3))
    before, after = volume.data.ravel(), copy.data.ravel()
    order = np.argsort(before)
    assert (np.diff(after[order]) >= -1e-3).all() and after.min() == before.min()
    assert np.abs(after - before).max() > 1
    ct = Volume.scalar(ct_body(), np.eye(4))
    np.testing.assert_allclose(perturb(ct, Perturbation(gamma=1.3)).data, ct.data, atol=1e-3)
