"""The benchmark of registration: what it plans, how it merges runs, what its table and goals say."""

import json
import sys
import time

import numpy as np
import pytest
from places import BENCHMARKS


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCHMARKS))
    import bench_register

    yield bench_register
    sys.path.remove(str(BENCHMARKS))


def entry(case, method, **figures):
    return {"case": case, "method": method, "machine": {"cpu": "one"}, **figures}


def test_the_slow_combinations_wait_for_everything(bench):
    names = ["a/0/2", "a/1/2", "a/0/1", "a/1/1", "b/0/2", "c/ecog-vm/2", "g/0", "g/30"]
    usual = bench.plan(names, list(bench.METHODS), [0, 1], everything=False)
    assert ("a/0/2", "ants-syn-cc") in usual and ("a/1/2", "ants-syn-cc") not in usual
    assert [method for name, method in usual if name == "a/0/1"] == ["meddl", "greedy-wncc"]
    assert not [method for name, method in usual if name == "a/1/1"]
    assert [method for name, method in usual if name == "g/30"] == ["meddl"]
    every = bench.plan(names, list(bench.METHODS), [0, 1], everything=True)
    assert set(usual) < set(every) and ("a/1/1", "ants-syn-cc") in every
    assert all(name[0] in bench.METHODS[method].kinds for name, method in every)


def test_a_newer_run_replaces_the_older_of_the_same_pair_and_method(bench):
    old = [entry("b/0/2", "meddl", dice=0.1), entry("a/0/2", "greedy-wncc", dice=0.2)]
    found = bench.merged(old, [entry("a/0/2", "greedy-wncc", dice=0.3), entry("a/0/2", "meddl", dice=0.4)])
    assert [(e["case"], e["method"], e["dice"]) for e in found] == [
        ("a/0/2", "meddl", 0.4), ("a/0/2", "greedy-wncc", 0.3), ("b/0/2", "meddl", 0.1)]


def test_the_table_averages_a_group_and_counts_failures(bench):
    rows = [entry("a/0/2", "meddl", dice=0.9, seconds=3.0), entry("a/1/2", "meddl", dice=0.8, seconds=5.0),
            entry("a/2/2", "meddl", error="no memory"), entry("g/0", "meddl", recovered=True, tre_mm=0.1),
            entry("g/1", "meddl", recovered=False, tre_mm=0.3)]
    text = bench.table(rows)
    assert "| a, 2 mm | meddl | 2, 1 failed | 0.850 |" in text and " 4.0 |" in text
    assert "| g | meddl | 2 |" in text and "1/2 |" in text


def test_goals_compare_the_pairs_that_both_have(bench):
    rows = [entry("a/0/2", "meddl", dice=0.93, tre_mm=0.3, folding_percent=0.0, seconds=5.0),
            entry("a/1/2", "meddl", dice=0.10, tre_mm=0.4, folding_percent=0.0, seconds=5.0),
            entry("a/0/2", "greedy-wncc", dice=0.92, seconds=4.0)]
    goals = bench.goals(rows)
    assert goals["a, 2 mm: Dice at least greedy's"] and not goals["a, 2 mm: time at most 1.2 greedy's"]
    assert goals["a, 2 mm: TRE at most 0.40 mm"] and goals["a, 2 mm: no folding"]
    assert not any("fireants" in goal for goal in goals)


def test_a_peer_that_is_not_there_is_listed_as_such(bench, monkeypatch, tmp_path, data_folder, capsys):
    monkeypatch.setenv("MEDDL_PEERS", str(tmp_path))
    output = tmp_path / "register.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--cases", "f", "--methods", "greedy-rigid", "-o", str(output)])
    assert bench.main() == 0
    assert "greedy: not installed" in capsys.readouterr().out


def test_meddl_is_measured_in_a_process_of_its_own(bench, monkeypatch, tmp_path, data_folder, capsys):
    monkeypatch.setenv("MEDDL_PEERS", str(tmp_path / "none"))
    output = tmp_path / "register.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--cases", "f", "--threads", "1", "-o", str(output)])
    assert bench.main() == 0
    content = json.loads(output.read_text(encoding="utf-8"))
    found, = content["entries"]
    assert found["method"] == "meddl" and found["recovered"] and found["dice"] > 0.95
    assert found["tre_mm"] < 1 and 0 < found["seconds"] <= found["process_seconds"] and 100 < found["peak_mb"] < 8000
    assert content["peers"]["ants"] == "not installed" and content["goals"] == {"f: 100% recovered": True}
    assert "| f | meddl | 1 |" in capsys.readouterr().out
    assert bench.main() == 0 and "0 runs" in capsys.readouterr().out


def test_a_field_is_read_as_it_was_written(bench, tmp_path):
    import register_peers
    import SimpleITK as sitk

    vectors = np.random.default_rng(0).normal(size=(5, 6, 7, 3))
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.SetSpacing((1.0, 2.0, 3.0))
    field.SetOrigin((10.0, -20.0, 30.0))
    field.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(field, str(tmp_path / "map.nii.gz"))
    matrix = np.array([[1, 0.1, 0, 4], [0, 1, 0, 5], [0, 0, 1.2, 6], [0, 0, 0, 1]])
    found = register_peers.FoundMap(tmp_path, matrix.tolist())
    transform = sitk.CompositeTransform([
        sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist()),
        sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))])
    flip = np.array([-1, -1, 1])
    for index in ((1.3, 2.2, 3.1), (4.0, 1.5, 0.5)):
        point = np.array(field.TransformContinuousIndexToPhysicalPoint(index))
        assert found(point[None] * flip)[0] == pytest.approx(np.array(transform.TransformPoint(point)) * flip, abs=1e-4)


def test_gaps_count_processor_time_a_thread_and_name_what_lay_around_them():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from register_memory import Gaps
    finally:
        sys.path.remove(str(BENCHMARKS))
    gaps = Gaps(threads=2)
    gaps(0.0, "begin")
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    gaps(0.5, "end")
    first = gaps.longest()[0]
    assert (first["after"], first["before"]) == ("begin", "end")
    assert 0.1 <= first["seconds"] < 0.2
    assert gaps.longest() == []
