"""The benchmark of a busy machine: what keeps it busy ends with it, and what its table says."""

import os
import sys
from pathlib import Path

import pytest
from places import BENCHMARKS


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_busy

    return bench_busy


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children are looked up in /proc")
def test_what_spins_beside_it_ends_with_it(bench):
    def children():
        return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="ascii").split()

    before = children()
    with bench.spinning(2):
        assert len(children()) == len(before) + 2
    assert children() == before


def test_the_table_says_how_many_times_longer_a_direct_call_takes(bench):
    row = {"idle": {"direct": 2.0, "worker": 2.5}, "busy": {"direct": 6.0, "worker": 5.0}}
    assert "| segment | 2.0 | 2.5 | 6.0 | 5.0 | 1.20 |" in bench.table({"seconds": {"segment": row}})


@pytest.mark.slow
def test_a_verb_is_measured_in_both_ways(bench, tmp_path):
    for way in bench.WAYS:
        assert bench.run("superres", way, 1, 1) > 0
