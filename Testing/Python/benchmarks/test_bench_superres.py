"""The benchmark of super-resolution: its simulator, where it looks, what its table says."""

import sys

import numpy as np
import pytest
from places import BENCHMARKS

from meddl.superres.acquisition.degradation import Acquisition


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCHMARKS))
    import bench_superres

    yield bench_superres
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("factor", [2.0, 3.7])
@pytest.mark.parametrize("width", [0.7, 1.0, 1.3])
def test_its_simulator_agrees_with_the_acquisition_model_that_it_shares_nothing_with(bench, factor, width):
    torch = pytest.importorskip("torch")
    data = np.random.default_rng(0).normal(size=(3, 2, 74)).cumsum(axis=2)
    name = {0.7: "gaussian -30 %", 1.0: "gaussian", 1.3: "gaussian +30 %"}[width]
    seen = bench.cases.coarse(data, 2, factor, name)
    model = Acquisition(factor, 2, thickness=width).forward(torch.from_numpy(data)).numpy()
    assert seen.shape == model.shape
    np.testing.assert_allclose(seen[..., 3:-3], model[..., 3:-3], atol=0.02 * data.std())


def test_a_constant_stays_and_the_ends_do_not_count(bench):
    flat = np.full((20, 20, 40), 5.0)
    for profile in bench.cases.PROFILES:
        np.testing.assert_allclose(bench.cases.coarse(flat, 2, 4.0, profile), 5.0, atol=1e-6)
    ball = np.zeros((20, 20, 40), np.float32)
    ball[4:16, 4:16, :] = 1
    mask = bench.cases.foreground(ball, (2,), 4.0)
    assert not mask[..., :8].any() and not mask[..., -8:].any() and mask[10, 10, 20] and not mask[1, 1, 20]


def test_the_table_tells_the_mean_gain_and_the_smallest(bench):
    entries = [{"case": f"{name}/x2/gaussian", "method": method, "psnr_db": value}
               for name, method, value in (("a", "cubic", 20.0), ("a", "network", 23.0), ("b", "cubic", 30.0),
                                           ("b", "network", 31.0))]
    assert "| x2/gaussian | network | +2.00 | +1.00 | 2 |" in bench.table(entries)


def test_a_run_in_its_own_process_tells_seconds_memory_and_the_longest_silence(bench):
    figures = bench.timed("cubic", 2, 48, 8, 1)
    assert figures["case"] == "48 x 48 x 8 -> 32" and figures["peak_mb"] > 50
    assert 0 < figures["longest_without_progress_s"] <= figures["first_seconds"] + figures["seconds"] + 0.1
