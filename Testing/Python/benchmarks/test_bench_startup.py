"""The benchmark of the first run: it uses a copy of the library that has never been compiled."""

import pytest
from places import BENCHMARKS


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_startup

    return bench_startup


def test_the_table_has_a_row_for_each_state(bench):
    row = {"first": 9.0, "second": 6.0, "startup": 3.0}
    text = bench.table({"seconds": {"segment": {"installed": row, "again": {**row, "startup": 2.5}}}})
    assert "| segment, never used | 9.0 | 6.0 | 3.0 |" in text and "| segment, used before | 9.0 | 6.0 | 2.5 |" in text


@pytest.mark.slow
def test_a_verb_is_measured_in_both_states(bench):
    found = bench.run("superres")
    assert list(found) == list(bench.STATES)
    for row in found.values():
        assert row["first"] > row["second"] > 0
        assert row["startup"] == pytest.approx(row["first"] - row["second"])
