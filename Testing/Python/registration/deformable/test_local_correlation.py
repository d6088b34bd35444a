"""Local correlation: MONAI's values, the gradient of automatic differentiation, blind to brightness and contrast."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.losses import LocalNormalizedCrossCorrelationLoss

from meddl.registration.deformable.metrics.local_correlation import LocalCorrelation
from meddl.registration.images.warped_image import WarpedImage
from meddl.spatial.grid import Grid


def images(shape=(12, 14, 10)):
    rng = torch.Generator().manual_seed(0)
    return torch.rand(3, *shape, generator=rng, dtype=torch.float64)


def plain(fixed, warped, weight, radius, floor):
    """The definition, window by window, for automatic differentiation."""
    kernel = torch.ones(1, 1, *(2 * r + 1 for r in radius), dtype=fixed.dtype)

    def window_sum(image):
        return F.conv3d(image[None, None], kernel, padding=radius)[0, 0]

    def mean(image):
        return window_sum(weight * image) / window_sum(weight)

    scales = [image.detach().var(correction=0) for image in (fixed, warped)]
    covariance = mean(fixed * warped) - mean(fixed) * mean(warped) + floor * (scales[0] * scales[1]).sqrt()
    variances = [mean(image ** 2) - mean(image) ** 2 + floor * scale for image, scale in zip((fixed, warped), scales)]
    windows = weight * window_sum(weight) / window_sum(torch.ones_like(weight))
    return (windows * covariance ** 2 / (variances[0] * variances[1])).sum() / windows.sum()


@pytest.mark.parametrize("radius", [(3, 3, 3), (2, 3, 1), (1, 9, 2)])
def test_value_and_gradient_are_those_of_automatic_differentiation(radius):
    fixed, warped, weight = images()
    warped.requires_grad_()
    expected = plain(fixed, warped, weight, radius, 1e-4)
    slope, = torch.autograd.grad(expected, warped)
    value, gradient = LocalCorrelation(fixed, radius, weight, 1e-4).value_and_gradient(warped.detach())
    assert float(value) == pytest.approx(expected.item(), rel=1e-9)
    torch.testing.assert_close(gradient, slope, rtol=1e-7, atol=1e-12)


def test_the_value_is_monais():
    fixed, warped, _ = images()
    padded = [F.pad(image, (8,) * 6) for image in (fixed, warped)]  # MONAI counts air beyond the edge
    monai = LocalNormalizedCrossCorrelationLoss(kernel_size=7, smooth_nr=0, smooth_dr=1e-12)
    expected = -monai(padded[0][None, None], padded[1][None, None])  # its sign: smaller is better
    value, _ = LocalCorrelation(padded[0], (3, 3, 3), floor=0).value_and_gradient(padded[1])
    assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_single_precision_is_enough():
    fixed, warped, weight = images((20, 20, 20))
    exact = LocalCorrelation(fixed, (3, 3, 3), weight).value_and_gradient(warped)
    quick = LocalCorrelation(fixed.float() + 500, (3, 3, 3), weight.float()).value_and_gradient(warped.float() + 500)
    assert float(quick[0]) == pytest.approx(float(exact[0]), rel=1e-3)
    assert float((quick[1] - exact[1]).abs().max()) < 0.02 * float(exact[1].abs().max())


def test_brightness_contrast_and_inversion_change_nothing():
    fixed, _, _ = images()
    for other in (3 * fixed + 7, 1 - fixed):
        value, gradient = LocalCorrelation(fixed, (2, 2, 2), floor=1e-9).value_and_gradient(other)
        assert float(value) == pytest.approx(1, abs=1e-4)
        assert float(gradient.abs().max()) < 1e-6


def test_flat_images_give_no_slope():
    fixed, warped, _ = images()
    flat = torch.full_like(fixed, 3.0)
    for one, other in ((fixed, flat), (flat, warped), (flat, flat)):
        value, gradient = LocalCorrelation(one, (2, 2, 2)).value_and_gradient(other)
        assert abs(float(value)) < 1e-6
        assert torch.isfinite(gradient).all()


def test_what_has_no_weight_does_not_count():
    fixed, warped, _ = images()
    weight = torch.zeros_like(fixed)
    weight[:5] = 1
    similarity = LocalCorrelation(fixed, (2, 1, 1), weight, floor=0)
    changed = warped.clone()
    changed[5:] = 100 * fixed[5:] ** 2
    value, gradient = similarity.value_and_gradient(warped)
    again, same = similarity.value_and_gradient(changed)
    assert float(again) == pytest.approx(float(value), rel=1e-6)
    torch.testing.assert_close(same, gradient, rtol=1e-6, atol=1e-9)
    assert float(gradient[5:].abs().max()) == 0 < float(gradient[:5].abs().max())
    similarity.weigh(torch.zeros_like(fixed))
    value, gradient = similarity.value_and_gradient(warped)
    assert float(value) == 0 and float(gradient.abs().max()) == 0


def test_the_slope_is_how_the_value_grows_when_voxels_look_further():
    rng = torch.Generator().manual_seed(1)
    axes = torch.meshgrid(*[torch.linspace(0, 3, n, dtype=torch.float64) for n in (16, 18, 14)], indexing="ij")
    fixed = torch.sin(2 * axes[0]) + torch.cos(3 * axes[1] + axes[2])
    moving = torch.sin(2 * axes[0] + 0.3) + torch.cos(3 * axes[1] + 1.1 * axes[2])
    grid = Grid((16, 18, 14), np.eye(4))
    warped = WarpedImage(moving[None], grid, np.eye(4))
    similarity = LocalCorrelation(fixed, (2, 2, 2))
    warped.displacement = torch.zeros(3, 16, 18, 14, dtype=torch.float64)
    value, slope = similarity(warped)
    way = torch.zeros_like(slope)
    way[:, 4:-4, 4:-4, 4:-4] = torch.rand(3, 1, 1, 1, generator=rng, dtype=torch.float64)
    ends = []
    for sign in (1, -1):
        warped.displacement = sign * 0.5 * way  # linear interpolation has the central difference's slope over a voxel
        ends.append(float(similarity(warped)[0]))
    assert (ends[0] - ends[1]) == pytest.approx(float((slope * way).sum()), rel=0.1)


def test_aligned_images_leave_nothing_to_climb_also_where_they_are_nearly_flat():
    fixed, _, _ = images()
    fixed = fixed * torch.linspace(0, 1, 10, dtype=torch.float64).pow(4)
    value, gradient = LocalCorrelation(fixed, (2, 2, 2), floor=1e-2).value_and_gradient(5 * fixed + 2)
    assert float(value) == pytest.approx(1)
    assert float(gradient.abs().max()) < 1e-12


def test_agreement_tells_one_contrast_from_another():
    fixed, warped, _ = images()
    similarity = LocalCorrelation(fixed, (2, 2, 2))
    assert similarity.agreement(2 * fixed + 1) == pytest.approx(1)
    assert similarity.agreement(-fixed) == pytest.approx(-1)
    assert abs(similarity.agreement(warped)) < 0.3


def test_windows_in_which_bright_is_dark_are_counted():
    places = torch.linspace(0, 12, 40, dtype=torch.float64)
    image = torch.sin(places)[:, None, None] + torch.cos(1.3 * places)[None, :, None] + 0 * places
    correlation = LocalCorrelation(image, (1, 1, 1))
    assert correlation.reversed_fraction(3 * image + 1) == 0
    assert correlation.reversed_fraction(-image) == 1
    half = torch.where(places[:, None, None] < 6, image, -image)
    assert 0.4 < correlation.reversed_fraction(half) < 0.6
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert correlation.reversed_fraction(torch.where(places[:, None, None] < 6, image, 1e-3 * noise)) < 0.05
