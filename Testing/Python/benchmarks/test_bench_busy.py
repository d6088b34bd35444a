"""The benchmark of a busy machine: what keeps it busy ends with it, and what its table says."""

import contextlib
import os
import sys
import time
from pathlib import Path

import pytest
from places import BENCHMARKS


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_busy

    return bench_busy


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")
@pytest.mark.parametrize("shared", [False, True])
def test_what_spins_is_in_its_session_and_ends_with_it(bench, shared):
    with bench.spinning(3, shared) as (first,):
        until = time.monotonic() + 10
        while len(members(first)) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        assert len(members(first)) == 3
        assert {os.getsid(pid) for pid in members(first)} == {os.getsid(0) if shared else first}
    until = time.monotonic() + 10
    while members(first) and time.monotonic() < until:
        time.sleep(0.02)
    assert not members(first)


def members(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def test_the_table_says_how_many_times_longer_a_direct_call_takes(bench):
    row = {"idle": {"direct": 2.0, "worker": 2.5}, "busy": {"direct": 6.0, "worker": 5.0}}
    assert "| segment | 2.0 | 2.5 | 0.80 | 6.0 | 5.0 | 1.20 |" in bench.table({"seconds": {"segment": row}})


@pytest.mark.slow
def test_a_verb_is_measured_in_both_ways(bench, tmp_path):
    for way, state in zip(bench.WAYS, ("busy", "shared"), strict=True):
        assert bench.run("superres", way, 1, state, 1) > 0
