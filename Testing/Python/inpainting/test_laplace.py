"""Smooth extension into a mask: what solves the equation stays, whatever the voxel sizes."""

import numpy as np
import pytest

from meddl.core.errors import Cancelled
from meddl.inpainting.laplace import SmoothFill

SHAPE = (20, 16, 14)
SPACING_MM = (1.0, 2.0, 0.7)
X, Y, Z = (axis * size for axis, size in zip(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), SPACING_MM,
                                             strict=True))


def mask_of(*slices):
    mask = np.zeros(SHAPE, bool)
    mask[slices] = True
    return mask


INNER = mask_of(slice(5, 13), slice(4, 11), slice(3, 10))


@pytest.mark.parametrize("order, image", [(1, X * 0 + 7.0), (1, 3 * X - Y + 0.5 * Z), (1, X ** 2 - Y ** 2),
                                          (2, X * 0 - 3.0), (2, X ** 2 + Z ** 2 - X * Y)])
def test_a_solution_of_the_equation_is_found_again(order, image):
    given = image.copy()
    given[INNER] = np.nan
    found = SmoothFill(INNER, SPACING_MM, order).fill(given)
    np.testing.assert_allclose(found, image[INNER], atol=2e-3 * np.ptp(image) + 1e-9)


def test_a_harmonic_fill_stays_within_the_range_around_it_and_a_slab_is_interpolated():
    image = np.random.default_rng(0).normal(100, 20, SHAPE)
    found = SmoothFill(INNER, SPACING_MM).fill(image)
    assert image[~INNER].min() <= found.min() and found.max() <= image[~INNER].max() and found.std() < 10
    slab = mask_of(slice(None), slice(6, 8))
    image = np.where(Y[0, 6, 0] < Y, 10.0, 4.0)
    found = SmoothFill(slab, SPACING_MM).fill(image).reshape(SHAPE[0], 2, SHAPE[2])
    np.testing.assert_allclose(found, np.broadcast_to(np.array([6.0, 8.0])[None, :, None], found.shape), atol=0.01)


def test_the_edge_of_the_field_of_view_has_no_slope():
    end = mask_of(slice(16, None))
    found = SmoothFill(end, SPACING_MM).fill(np.where(X < 15, 1.0, 5.0))
    np.testing.assert_allclose(found, 5.0, atol=1e-3)


def test_a_long_fill_is_cancelled():
    mask = mask_of(slice(1, 19), slice(1, 15), slice(1, 13))

    def stop(_fraction, _message):
        raise Cancelled

    with pytest.raises(Cancelled):
        SmoothFill(mask, SPACING_MM, 2).fill(np.random.default_rng(0).normal(size=SHAPE), stop)
