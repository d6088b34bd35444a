"""The acquisition model: thick slices as integrals, an exact adjoint, and a field of view that stays."""

import numpy as np
import pytest
import torch
from scipy import integrate, interpolate, stats

from meddl.core.errors import InputError
from meddl.superres.acquisition.degradation import FWHM_PER_SIGMA, Acquisition, slice_centers

ACQUISITIONS = [
    Acquisition(2.0), Acquisition(3.7, profile="rect"), Acquisition(4.0, thickness=0.7),
    Acquisition(2.5, thickness=1.4), Acquisition(3.0, profile=(1, 2, 4, 2, 1)), Acquisition(3.0, phase=0.8),
    Acquisition(1.0), Acquisition(4.0, profile="rect", edge=0.0),
    Acquisition(2.0, in_plane_fwhm=1.5, in_plane_axes=(-2,))]


def named(acquisition: Acquisition) -> str:
    return f"{acquisition.factor:g}-{acquisition.profile}-{acquisition.thickness:g}-{acquisition.in_plane_fwhm:g}"


def random(*shape) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(sum(shape)).normal(size=shape))


@pytest.mark.parametrize("acquisition", ACQUISITIONS, ids=named)
def test_the_adjoint_is_the_adjoint(acquisition):
    fine, thick = random(2, 5, 41), random(2, 5, 12)
    left = (acquisition.forward(fine, 12) * thick).sum()
    right = (fine * acquisition.adjoint(thick, 41)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-12)


@pytest.mark.parametrize("acquisition", ACQUISITIONS, ids=named)
def test_a_constant_stays_that_constant(acquisition):
    fine = torch.full((3, 4, 40), -1000.0, dtype=torch.float64)
    np.testing.assert_allclose(acquisition.forward(fine), -1000, rtol=1e-12)
    np.testing.assert_allclose(acquisition.interpolate(fine), -1000, rtol=1e-12)


@pytest.mark.parametrize("acquisition", ACQUISITIONS, ids=named)
def test_a_phantom_s_centroid_stays(acquisition):
    count = 120
    thick = acquisition.thick_count(count)
    fine = stats.norm.pdf(np.arange(count), 61.3, 9.0)
    seen = acquisition.forward(torch.from_numpy(fine)[None, None].repeat(1, 9, 1), thick)[0, 4].numpy()
    centers = slice_centers(acquisition.factor, count, thick, acquisition.phase)
    assert (seen * centers).sum() / seen.sum() == pytest.approx(61.3, abs=0.01)


@pytest.mark.parametrize("acquisition", [a for a in ACQUISITIONS if isinstance(a.profile, str)], ids=named)
def test_a_slice_is_the_integral_of_the_object_under_the_profile(acquisition):
    count, thick = 60, 14
    values = np.random.default_rng(3).normal(size=count)
    spline = interpolate.make_interp_spline(np.arange(-30, count + 30), np.pad(values, 30, mode="symmetric"))
    width = acquisition.thickness * acquisition.factor
    sigma = width / FWHM_PER_SIGMA
    seen = acquisition.forward(torch.from_numpy(values)[None].repeat(9, 1), thick)[4].numpy()
    for m in (0, 5, 13):
        center = slice_centers(acquisition.factor, count, thick, acquisition.phase)[m]

        def profile(t, center=center):
            if acquisition.profile == "gaussian":
                return stats.norm.pdf(t, center, sigma)
            soft = max(acquisition.edge * sigma, 1e-9)
            return (stats.norm.cdf(t, center - width / 2, soft) - stats.norm.cdf(t, center + width / 2, soft)) / width

        reach = width / 2 + 5 * sigma
        kinks = np.clip([center - width / 2, center + width / 2], center - reach, center + reach)
        expected, _ = integrate.quad(lambda t, p=profile: p(t) * spline(t), center - reach, center + reach,
                                     points=kinks, limit=400)
        assert seen[m] == pytest.approx(expected, abs=2e-3)


def test_a_given_profile_weighs_the_fine_voxels_themselves():
    values = np.random.default_rng(1).normal(size=30)
    seen = Acquisition(3.0, profile=(1, 3, 1)).forward(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(seen, (values[0::3] + 3 * values[1::3] + values[2::3]) / 5, atol=1e-12)
    finer = Acquisition(3.0, profile=(1, 1, 1, 1, 1, 1), profile_step=0.5)
    assert finer.forward(torch.from_numpy(values)).shape == (10,)


def test_gaussian_of_full_width_equal_to_the_thickness_blurs_by_its_variance():
    squares = torch.arange(-50.0, 51, dtype=torch.float64) ** 2
    for factor, thickness in ((2.0, 1.0), (3.7, 1.0), (4.0, 0.6)):
        seen = Acquisition(factor, thickness=thickness).forward(squares)
        middle = slice_centers(factor, 101, len(seen))[len(seen) // 2] - 50
        variance = float(seen[len(seen) // 2]) - middle ** 2
        assert variance == pytest.approx((factor * thickness / FWHM_PER_SIGMA) ** 2, rel=1e-3)


def test_the_axis_and_the_batch_do_not_matter():
    fine = random(3, 24, 7).float()
    seen = Acquisition(2.5, axis=1).forward(fine)
    assert seen.dtype == torch.float32
    turned = Acquisition(2.5, axis=-1).forward(fine.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(seen, turned)
    assert Acquisition(2.5, axis=1).fine_count(seen.shape[1]) in (24, 25)


def test_noise_comes_after_sampling_with_the_stated_deviation():
    fine = torch.zeros(64, 64, 64)
    acquisition = Acquisition(2.0, noise_sigma=0.3)
    assert float(acquisition.forward(fine).abs().max()) == 0
    noisy = acquisition.acquire(fine, rng=torch.Generator().manual_seed(0))
    assert noisy.shape == (64, 64, 32)
    assert float(noisy.std()) == pytest.approx(0.3, rel=0.01)
    neighbors = float((noisy[..., 1:] * noisy[..., :-1]).mean()) / 0.09
    assert abs(neighbors) < 0.02
    again = acquisition.acquire(fine, rng=torch.Generator().manual_seed(0))
    assert torch.equal(noisy, again)


@pytest.mark.parametrize("change", [
    {"factor": 0.5}, {"factor": float("nan")}, {"thickness": 0.0}, {"profile": "triangle"}, {"profile": ()},
    {"profile": (1.0, -1.0)}, {"edge": -1.0}, {"phase": float("inf")}, {"in_plane_fwhm": 1.0}, {"noise_sigma": -1.0}])
def test_an_impossible_acquisition_is_refused(change):
    with pytest.raises(InputError):
        Acquisition(**{"factor": 2.0, **change})
