"""MIND-SSC: the same whatever the contrast, and the same as its definition written out."""

import itertools

import numpy as np
import pytest
import torch

from meddl.core.errors import InputError
from meddl.registration.deformable.metrics.mind import PAIRS, mind_ssc, mind_steps


def image_of(shape=(17, 14, 19), seed=0) -> torch.Tensor:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    grid = torch.stack(torch.meshgrid(*(torch.arange(n) / n for n in shape), indexing="ij"))
    return 100 * torch.sin(6 * grid).sum(dim=0) + 10 * noise


def written_out(image: np.ndarray, radius, dilation) -> np.ndarray:
    """The definition, voxel by voxel of the patches, without any sharing."""
    reach = [r + d for r, d in zip(radius, dilation, strict=True)]
    padded = np.pad(image.astype(np.float64), [(n, n) for n in reach], mode="edge")

    def at(offset):
        return padded[tuple(slice(n + o, n + o + size) for n, o, size in zip(reach, offset, image.shape, strict=True))]

    distances = []
    for a, b in PAIRS:
        a, b = np.multiply(a, dilation), np.multiply(b, dilation)
        patch = itertools.product(*(range(-r, r + 1) for r in radius))
        distances.append(sum((at(a + p) - at(b + p)) ** 2 for p in map(np.array, patch)))
    distances = np.stack(distances)
    distances -= distances.min(axis=0)
    variation = distances.mean(axis=0)
    return np.exp(-distances / np.clip(variation, 0.001 * variation.mean(), 1000 * variation.mean()))


@pytest.mark.parametrize(("radius", "dilation"), [(1, 2), (1, 1), (2, 3), (0, 1), ((1, 0, 2), (1, 3, 2))])
def test_it_agrees_with_its_definition(radius, dilation):
    image = image_of()
    image[5:] *= (torch.arange(12) > 3)[:, None, None]  # a part without any structure
    each = [(v,) * 3 if isinstance(v, int) else v for v in (radius, dilation)]
    found = mind_ssc(image, radius, dilation)
    assert found.shape == (12, 17, 14, 19)
    assert np.abs(found.numpy() - written_out(image.numpy(), *each)).max() < 1e-4


def test_slabs_leave_no_seam(monkeypatch):
    image = image_of()
    whole = mind_ssc(image)
    monkeypatch.setattr("meddl.registration.deformable.metrics.mind._VOXELS_PER_SLAB", 3 * 14 * 19)
    assert torch.allclose(mind_ssc(image), whole, atol=1e-6)


@pytest.mark.parametrize("change", [lambda x: 37 * x + 1000, lambda x: -x, lambda x: 1e-9 * x, lambda x: -1e6 * x])
def test_brightness_contrast_and_its_inversion_change_nothing(change):
    image = image_of().double()
    assert torch.allclose(mind_ssc(change(image)), mind_ssc(image), atol=2e-3)


def test_the_pairs_are_the_twelve_at_right_angles():
    assert len({frozenset(pair) for pair in PAIRS}) == 12
    assert all(np.dot(a, b) == 0 and np.abs(a).sum() == np.abs(b).sum() == 1 for a, b in PAIRS)


def test_another_axis_order_only_reorders_the_channels():
    image = image_of()
    dilation = (1, 2, 3)
    upright = mind_ssc(image, 1, dilation)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            flipped = [axis for axis in range(3) if signs[axis] < 0]
            stored = image.permute(order).flip(flipped)
            found = mind_ssc(stored, 1, tuple(dilation[axis] for axis in order))
            expected = upright.permute(0, *(axis + 1 for axis in order)).flip([axis + 1 for axis in flipped])
            for channel, pair in enumerate(PAIRS):
                seen = {tuple(sign * place[axis] for sign, axis in zip(signs, order, strict=True)) for place in pair}
                there = next(c for c, other in enumerate(PAIRS) if set(other) == seen)
                assert torch.allclose(found[there], expected[channel], atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 7.0, -1e20])
def test_a_constant_image_is_the_same_everywhere(value):
    assert torch.equal(mind_ssc(torch.full((5, 6, 7), value)), torch.ones(12, 5, 6, 7))


def test_an_image_with_one_bright_voxel_is_finite_and_within_0_and_1():
    image = torch.zeros(9, 9, 9)
    image[4, 4, 4] = 1
    found = mind_ssc(image)
    assert torch.isfinite(found).all() and found.min() >= 0 and found.max() == 1


def test_half_precision_differs_by_its_rounding_only():
    image = image_of()
    half = mind_ssc(image, dtype=torch.float16)
    assert half.dtype == torch.float16
    assert (half.float() - mind_ssc(image)).abs().max() < 3e-3


def test_images_smaller_than_the_reach_are_taken():
    assert torch.isfinite(mind_ssc(image_of((2, 1, 8)), 2, 3)).all()


def test_steps_reach_about_as_far_along_every_axis():
    assert mind_steps((1, 1, 1)) == (2, 2, 2)
    assert mind_steps((1, 5, 1)) == (2, 1, 2)
    assert mind_steps((0.5, 1, 0.9)) == (2, 1, 1)


@pytest.mark.parametrize("arguments", [(1, 0), (-1, 2), (1.5, 2), ((1, 1), 2)])
def test_impossible_sizes_are_refused(arguments):
    with pytest.raises(InputError):
        mind_ssc(image_of(), *arguments)


def test_images_with_channels_are_refused():
    with pytest.raises(InputError, match="three axes"):
        mind_ssc(torch.zeros(1, 5, 5, 5))
