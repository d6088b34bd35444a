"""The benchmark of segmentation: it tells linear growth from faster growth, and measures what it says."""

import importlib.util

import pytest
from places import BENCHMARKS

SCRIPT = BENCHMARKS / "bench_segment.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_segment", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(seconds_of):
    return [{"size": n, "voxels": n**3, "direct": {"seconds": seconds_of(n**3)}} for n in (320, 128, 192, 256)]


def test_a_fixed_cost_and_one_by_voxel_count_as_linear(bench):
    found = bench.growth(rows(lambda voxels: 1.0 + 0.2e-6 * voxels))
    assert found["at_most_linear"]
    assert found["seconds_per_further_million_voxels"] == pytest.approx([0.2] * 3)
    assert found["voxel_ratio"] == 15.625


def test_faster_growth_is_noticed(bench):
    assert not bench.growth(rows(lambda voxels: 1e-13 * voxels**2))["at_most_linear"]


@pytest.mark.slow
@pytest.mark.parametrize("in_worker", [False, True])
def test_one_grid_is_measured(bench, in_worker):
    row = bench.measure(48, "cpu", 1, in_worker)
    assert row["voxels"] == 48**3 and row["structures"] > 0
    assert row["seconds"] > 0 and 100 < row["peak_mb"] < 8000
    assert sum(row["stages"].values()) <= row["seconds"] * 1.01
    full = [{"size": 48, "voxels": 48**3, "direct": row, "worker": row}]
    assert "48^3" in bench.table(full) and f"{row['seconds']:.2f}" in bench.table(full)
