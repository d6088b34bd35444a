"""The curves of cost: a cohort of thousands costs as much a case as one of hundreds."""

import importlib
import sys

import pytest
from places import BENCHMARKS


@pytest.fixture
def scale(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_scale

    job = importlib.import_module("meddl.jobs.job")
    monkeypatch.setattr(job, "_slots", job._slots)
    yield bench_scale
    sys.modules.pop("bench_scale", None)


def test_the_exponent_is_that_of_the_two_largest(scale):
    rows = [{"size": 1, "cost": 9.0}, {"size": 10, "cost": 2.0}, {"size": 100, "cost": 200.0}]
    assert scale.exponents(rows) == {"cost": 2.0}
    text = scale.table("voxels", {"rows": rows, "exponents": {"cost": 2.0}})
    assert "| 100 | 200 |" in text and "| exponent | 2.00 |" in text


@pytest.mark.slow
def test_a_case_of_a_cohort_costs_no_more_in_a_larger_one(scale, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    few, many = scale.cohort(1000)
    assert many["size"] == 10 * few["size"]
    for cost in ("first", "again", "journal_mb", "table_mb"):
        assert many[cost] < 15 * few[cost], cost
