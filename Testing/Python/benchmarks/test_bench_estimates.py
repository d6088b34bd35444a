"""The benchmark of estimates: its runs are those of the verbs, and the published ones are within a factor of two."""

import json

import pytest
from places import BENCHMARKS


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_estimates

    return bench_estimates


def test_the_table_says_how_many_times_too_long_a_run_was_expected(bench):
    row = {"verb": "segment", "choice": "brain", "voxels": [2, 3, 4], "estimated_s": 3.0, "true_s": 2.0,
           "estimated_mb": 1500, "true_mb": 1200}
    assert "| segment | brain | 2 × 3 × 4 | 3.0 | 2.0 | 1.50 | 1.5 | 1.2 |" in bench.table([row])


def test_every_published_estimate_is_within_a_factor_of_two(bench):
    rows = json.loads(bench.RESULTS.read_text(encoding="utf-8"))["runs"]
    assert {(row["verb"], row["choice"]) for row in rows} == {run[:2] for run in bench.RUNS} and len(rows) >= 12
    wrong = [row for row in rows if not 0.5 <= row["estimated_s"] / row["true_s"] <= 2]
    assert not wrong, bench.table(wrong)
