"""The benchmark of training: no case is trained on and tested with, and results are merged by what was asked for."""

import json

import pytest
from places import BENCHMARKS


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_train

    return bench_train


def test_cases_to_train_on_and_to_test_with_are_others(bench, data_folder):
    train, test = bench.cases_of(data_folder, 100, 60)
    assert (len(train), len(test)) == (100, 60)
    assert not set(train) & set(test)
    with pytest.raises(SystemExit, match="asked for"):
        bench.cases_of(data_folder, 1000, 60)


def test_a_second_measurement_takes_the_place_of_the_first(bench, tmp_path):
    entry = {"cases": 20, "minutes": 10.0, "network": "dynunet", "device": "cpu", "mean_dice": 0.5, "steps": 9,
             "peak_mb": 1000.0}
    file = tmp_path / "train.json"
    bench.merge(entry, file, bench.KEYS)
    bench.merge(entry | {"cases": 5, "minutes": 5.0}, file, bench.KEYS)
    results = bench.merge(entry | {"mean_dice": 0.875}, file, bench.KEYS)
    assert json.loads(file.read_text()) == results
    assert "| 20 | 10 | dynunet | 0.875 | 0.880 | 0.820 | 9 | 1000 |" in bench.table(results)
    assert len(results) == 2
