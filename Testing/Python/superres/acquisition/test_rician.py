"""Rician noise: mean, spread and the way back agree with samples."""

import pytest
import torch

from meddl.superres.acquisition.rician import BACKGROUND_MEAN, noise_map, rician_mean, rician_sigma, signal_of_mean


@pytest.mark.parametrize("signal", [0.0, 0.7, 2.0, 8.0])
def test_mean_and_spread_are_those_of_samples(signal):
    noise = torch.randn((2, 400_000), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    samples = torch.hypot(3 * signal + noise[0], noise[1])
    exact = torch.tensor(3 * signal, dtype=torch.float64)
    assert rician_mean(exact, 3.0).item() == pytest.approx(samples.mean().item(), abs=0.03)
    assert rician_sigma(exact, 3.0).item() == pytest.approx(samples.std().item(), abs=0.03)


def test_without_signal_the_mean_is_that_of_noise():
    assert rician_mean(torch.zeros(1), 2.0).item() == pytest.approx(2 * BACKGROUND_MEAN, rel=1e-5)
    assert rician_sigma(torch.zeros(1), 2.0).item() == pytest.approx(2 * 0.6551, rel=1e-3)


def test_the_signal_comes_back_from_the_mean():
    signal = torch.linspace(0, 300, 1001, dtype=torch.float64)
    back = signal_of_mean(rician_mean(signal, 4.0), 4.0)
    torch.testing.assert_close(back[20:], signal[20:], rtol=2e-3, atol=0.02)
    assert back[:20].max() < 7
    assert signal_of_mean(torch.zeros(3), 4.0).tolist() == [0, 0, 0]


def test_the_noise_map_shows_where_the_signal_is():
    signal = torch.zeros(1, 1, 24, 12, 12)
    signal[:, :, 12:] = 20
    noise = torch.randn((2, *signal.shape), generator=torch.Generator().manual_seed(0))
    found = noise_map(torch.hypot(signal + noise[0], noise[1]), 1.0)
    assert found[:, :, :8].mean() == pytest.approx(0.66, abs=0.05)
    assert found[:, :, 16:].mean() == pytest.approx(1.0, abs=0.01)
