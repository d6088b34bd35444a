"""The benchmark of exported models: what counts as agreement."""

import numpy as np
import pytest
from places import BENCHMARKS


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_export

    return bench_export


def test_agreement_counts_voxels_over_all_cases_and_those_with_a_label(bench):
    first, second = np.zeros((2, 10, 10), dtype=np.uint8)
    first[:2], second[:3] = 1, 1
    found = bench.agreement([first, first], [second, first])
    assert found == {"same": 0.95, "same_of_labeled": 0.8, "different_voxels": 10, "voxels": 200}
