"""The benchmark of series: its figures on results whose figures are known, and what the network is compared with."""

import sys

import numpy as np
import pytest
import torch
from places import BENCHMARKS
from series_phantoms import SIGMA, noisy, still


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCHMARKS))
    import bench_series

    yield bench_series
    sys.path.remove(str(BENCHMARKS))


def case_of(bench, truth, moved=()):
    return bench.cases.Case("still", noisy(truth), truth, SIGMA, {"bright": truth[0] > 900}, moved, truth)


def test_blur_lag_and_ghosts_have_figures(bench):
    truth = np.stack([still() if t < 2 else np.roll(still(), 4, axis=0) for t in range(4)])
    case = case_of(bench, truth, (2,))
    right = bench.measure(case, truth + 1e-3)
    assert right["psnr_db"] > 100 and right["sharpness"] == pytest.approx(1, abs=1e-3)
    assert right["curve_percent"] < 0.01 and right["ghost"] < 0.01
    late = bench.measure(case, truth[[0, 1, 1, 2]])
    assert late["ghost"] == pytest.approx(1, abs=1e-3) and late["psnr_db"] < 30
    dark = bench.measure(case, 0.9 * truth)
    assert dark["sharpness"] == pytest.approx(0.9, abs=1e-3) and dark["curve_percent"] == pytest.approx(10, abs=0.1)


def test_the_test_of_change_sees_a_jump_and_no_noise(bench):
    gain = bench.peers.ChangeTest()
    noise = torch.randn((1, 1, 20, 20, 20), generator=torch.Generator().manual_seed(0))
    variance = torch.full_like(noise, 0.1)
    quiet, _ = gain((1.1**0.5) * noise, noise, variance, None)
    assert (quiet == 0).float().mean() > 0.95
    jumped, _ = gain((1.1**0.5) * noise + 8, noise, variance, None)
    assert (jumped > 2).all()


def test_flicker_counts_where_the_truth_stays(bench):
    truth = np.full((3, 4, 4, 4), bench.cases.NAMES.index("gray"))
    labels = np.full(truth.shape, bench.cases.GRAY[0])
    assert bench.flicker_and_dice(labels, truth) == {"flicker_percent": 0.0, "dice": pytest.approx(1 / 3, abs=1e-3)}
    labels[1, 0] = 0
    assert bench.flicker_and_dice(labels, truth)["flicker_percent"] == pytest.approx(100 * 32 / 112, abs=1e-3)


def test_a_rendered_head_moves_as_its_kind_says(bench, data_folder):
    case = bench.cases.make_case("jerks", data_folder, sigma=0.05)
    steps = np.abs(np.diff(case.truth, axis=0)).mean(axis=(1, 2, 3))
    assert set(np.flatnonzero(steps > 0) + 1) == set(case.moved)
    assert (case.noisy - case.truth).std() == pytest.approx(0.05, rel=0.02)
    assert {"gray", "white"} <= set(case.regions)
