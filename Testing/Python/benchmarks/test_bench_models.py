"""The benchmark of imported models: its cases, how agreement is counted, what its table and goals say."""

import sys

import numpy as np
import pytest
from places import BENCHMARKS

from meddl.io import load, save
from meddl.spatial.volume import Volume


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCHMARKS))
    import bench_models

    yield bench_models
    sys.path.remove(str(BENCHMARKS))


def test_every_case_has_a_tool_with_a_script_and_its_volumes(bench, data_folder):
    assert len({case.name for case in bench.CASES}) == len(bench.CASES)
    for case in bench.CASES:
        assert case.name.partition("/")[0] == case.kind
        assert case.kind in bench.models_peers.KINDS
        assert (BENCHMARKS / "peers" / f"{case.kind}_model_peer.py").is_file()
        for subject in case.subjects:
            assert all((data_folder / file).is_file() for file in subject.files)


def test_the_cases_cover_what_nnunet_models_are_like(bench):
    models = [case.model for case in bench.CASES if case.kind == "nnunet"]
    assert {2, 25, 118} <= {len(model["labels"]) for model in models}
    for key in ("regions", "residual", "mirror", "transpose", "masked"):
        assert any(model.get(key) for model in models)
    assert any(model.get("folds") == 5 for model in models)
    assert any(case.trained for case in bench.CASES)


def test_agreement_counts_voxels_and_classes_of_the_tool_itself(bench):
    own = np.zeros((10, 10, 40), dtype=np.uint8)
    own[:5] = 1
    found = own.copy()
    found[0, 0, :] = 2  # forty voxels of label 1 become 2, which the tool did not find
    figures = bench.agreement([found], [own])
    assert figures["equal"] == pytest.approx(0.99)
    assert figures["dice"] == {"0": 1.0, "1": round(2 * 1960 / 3960, 6)}
    assert figures["smallest_dice"] == figures["dice"]["1"]


def test_spreads_are_those_of_the_precisions_that_are_asked_for(bench):
    random = next(case for case in bench.CASES if case.spread)
    assert bench._spreads(random, ["meddl"]) == ["-float32-sums"]
    assert bench._spreads(random, ["meddl", "meddl-bf16"]) == ["-float32-sums", "-bf16"]
    assert bench._spreads(next(case for case in bench.CASES if not case.spread), ["meddl-bf16"]) == []


def test_a_crop_stays_where_it_was(bench, tmp_path):
    volume = Volume(np.arange(8 * 9 * 10, dtype=np.float32).reshape(1, 8, 9, 10),
                    np.array([[0, 2.0, 0, 5], [1.5, 0, 0, -3], [0, 0, 3.0, 1], [0, 0, 0, 1]]))
    save(volume, tmp_path / "whole.nii.gz")
    (tmp_path / "made").mkdir()
    subject = bench.Volumes(("whole.nii.gz",), ((2, 8), (3, 9), (4, 10)))
    cut = load(bench.files_of(subject, tmp_path / "made", tmp_path)[0])
    assert np.array_equal(cut.data, volume.data[:, 2:, 3:, 4:])
    np.testing.assert_allclose(cut.grid.points_mm(np.zeros(3)), volume.grid.points_mm(np.array([2, 3, 4])), atol=1e-5)
    coarse = load(bench.files_of(bench.Volumes(("whole.nii.gz",), None, (3.0, 4.0, 6.0)), tmp_path / "made",
                                 tmp_path)[0])
    np.testing.assert_allclose(coarse.grid.center_mm, volume.grid.center_mm, atol=1e-4)
    assert coarse.shape == (4, 4, 5)


def test_table_and_goals_say_what_was_found(bench):
    own = {"seconds": 30.0, "cpu_seconds": 29.0, "peak_mb": 1000,
           "stages": {"prepare": 1.0, "network": 20.0, "labels": 9.0}}
    ours = {"seconds": 10.0, "cpu_seconds": 10.0, "peak_mb": 600, "stages": {"- prepare": 1.0, "- segment": 9.0},
            "equal": 0.99995, "smallest_dice": 0.9995}
    entries = [{"case": "nnunet/x", "runs": {"nnunet": own, "meddl": ours, "meddl-float32": {**ours, "equal": 0.99}}}]
    met = bench.goals(entries)
    assert met["nnunet/x: meddl: Dice of every class at least 0.999"]
    assert met["nnunet/x: meddl: at least 1.5 times faster"]
    assert not met["nnunet/x: meddl: at most half the memory"]
    assert not met["nnunet/x: meddl-float32: at least 99.99 % of the voxels equal"]
    rows = bench.table(entries).splitlines()
    assert len(rows) == 5
    assert "| 99.9950 % | 0.9995 | 10.0 |" in rows[3]
    assert rows[3].endswith("| 3.0 |")
    entries[0]["runs"]["nnunet-bf16"] = {**own, "smallest_dice": 0.99}
    entries[0]["runs"]["meddl-bf16"] = {**ours, "smallest_dice": 0.991}
    slow = {goal: is_met for goal, is_met in bench.goals(entries).items() if "bf16" in goal}
    assert slow == {"nnunet/x: meddl-bf16: Dice of every class at least 0.99": True}
