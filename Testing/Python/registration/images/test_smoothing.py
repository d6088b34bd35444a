"""Smoothing keeps constants and sums, has the width that was asked for in mm, and ends at mirrored edges."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.utils._python_dispatch import TorchDispatchMode

from meddl.registration.images import smoothing
from meddl.registration.images.smoothing import AxisFilter, box_matrix, gaussian_matrix, smooth


def test_constants_and_sums_stay_also_at_the_edges():
    for count, sigma in ((9, 0.4), (9, 2.0), (5, 9.0), (1, 3.0)):
        matrix = gaussian_matrix(count, sigma)
        np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-12)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
        assert (matrix >= 0).all()


def test_the_width_is_exact_at_any_sigma():
    for sigma in (0.3, 0.5, 1.0, 3.0):
        row = gaussian_matrix(101, sigma)[50]
        assert (row * (np.arange(101) - 50.0) ** 2).sum() == pytest.approx(sigma ** 2, rel=1e-3)


def test_no_width_changes_nothing():
    assert np.array_equal(gaussian_matrix(7, 0.0), np.eye(7))
    field = torch.rand(3, 4, 5, 6)
    assert torch.equal(smooth(field, (1, 1, 1), 0.0), field)


def test_wide_smoothing_is_scipys():
    field = torch.from_numpy(np.random.default_rng(0).random((2, 14, 17, 11)))
    ours = smooth(field, (1.0, 2.0, 4.0), 4.0)
    expected = np.stack([ndimage.gaussian_filter(channel, (4.0, 2.0, 1.0), mode="reflect", truncate=6)
                         for channel in field.numpy()])
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-2)  # theirs is sampled: wider at sigma 1


def test_a_thick_axis_is_smoothed_by_the_same_millimeters():
    fine, thick = torch.zeros(1, 41, 9, 9, dtype=torch.float64), torch.zeros(1, 9, 9, 9, dtype=torch.float64)
    fine[0, 20], thick[0, 4] = 1, 1
    for field, spacing in ((fine, 1.0), (thick, 5.0)):
        line = smooth(field, (spacing, 1, 1), 4.0)[0, :, 4, 4]
        places = (torch.arange(len(line)) - len(line) // 2) * spacing
        assert float((line * places ** 2).sum()) == pytest.approx(16.0, rel=0.01)


def test_a_filter_works_in_place_on_every_set_of_axes_and_leaves_identities_out():
    rng = np.random.default_rng(0)
    for axes in ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
        matrices = [rng.random((n, n)) if axis in axes else np.eye(n) for axis, n in enumerate((4, 5, 6))]
        field = torch.rand(2, 4, 5, 6, dtype=torch.float64)
        expected = np.einsum("ai,bj,ck,nijk->nabc", *matrices, field.numpy())
        given = field.clone()
        assert AxisFilter(matrices, field)(given) is given
        np.testing.assert_allclose(given.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(70, 9, 33), (31, 65, 96), (64, 100, 32)])
def test_products_of_some_rows_are_those_of_whole_matrices(shape):
    field = torch.rand(2, *shape, dtype=torch.float64)
    for matrices in ([gaussian_matrix(n, 1.3) for n in shape], [box_matrix(n, 2) for n in shape]):
        expected = np.einsum("ai,bj,ck,nijk->nabc", *matrices, field.numpy(), optimize=True)
        np.testing.assert_allclose(AxisFilter(matrices, field)(field.clone()).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("most", [1, 50, 100, 1000])
def test_a_filter_gives_the_same_whatever_the_size_of_its_parts(monkeypatch, most):
    matrices = [np.random.default_rng(n).random((n, n)) for n in (4, 5, 6)]
    field = torch.rand(2, 4, 5, 6, dtype=torch.float64)
    monkeypatch.setattr(smoothing, "_PART_VOXELS", most)
    expected = np.einsum("ai,bj,ck,nijk->nabc", *matrices, field.numpy())
    np.testing.assert_allclose(AxisFilter(matrices, field)(field).numpy(), expected, atol=1e-12)


def test_a_box_counts_only_what_lies_inside():
    assert box_matrix(5, 1).sum(axis=1).tolist() == [2, 3, 3, 3, 2]
    assert box_matrix(3, 9).sum(axis=1).tolist() == [3, 3, 3]


@pytest.mark.parametrize("shape", [(96, 112, 96), (61, 40, 133), (5, 70, 7)])
def test_products_of_matrices_are_one_call_of_many(shape):
    """Into other memory torch makes one call of MKL for each matrix, and each of them waits for all threads."""
    products = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            if function in (torch.ops.aten.bmm.default, torch.ops.aten.bmm.out):
                products.append(found.is_contiguous() and all(min(one.stride()[1:]) == 1 for one in args[:2]))
            return found

    field = torch.rand(2, *shape)
    with Watch():
        smoothing.gaussian_filter(shape, (1.0, 1.0, 1.0), 2.0, field)(field)
    assert products and all(products)
