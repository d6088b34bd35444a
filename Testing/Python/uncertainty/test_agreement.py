"""Disagreement of label maps, against its definition voxel by voxel."""

import numpy as np
import pytest

from meddl.measures.overlap import dice
from meddl.results import Segment
from meddl.uncertainty.agreement import label_disagreement, structure_intervals
from meddl.uncertainty.moments import RunningMoments

SEGMENTS = tuple(Segment(value, f"structure {value}", (1, 0, 0)) for value in (1, 2, 7, 300))


def label_maps(count: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    maps = [random.choice([0, 1, 2, 7], (9, 8, 7)).astype(np.uint16) for _ in range(count)]
    for one in maps:
        one[:3] = 0
        one[-1] = 7
    return maps


@pytest.mark.parametrize("count", [2, 3, 8])
def test_entropy_and_variation_ratio_are_those_of_their_definitions(count):
    maps = label_maps(count)
    entropy, ratio = (label_disagreement(maps, measure) for measure in ("entropy", "variation-ratio"))
    for place in np.ndindex(maps[0].shape):
        fractions = np.unique([one[place] for one in maps], return_counts=True)[1] / count
        assert entropy[place] == pytest.approx(-(fractions * np.log(fractions)).sum(), abs=1e-5)
        assert ratio[place] == pytest.approx(1 - fractions.max(), abs=1e-6)
    assert (entropy[:3] == 0).all() and (entropy[-1] == 0).all() and entropy.max() <= np.log(count) + 1e-5


def test_maps_without_any_label_agree():
    empty = [np.zeros((3, 4, 5), dtype=np.uint8)] * 3
    assert not label_disagreement(empty, "entropy").any()
    assert structure_intervals(empty, SEGMENTS, 0.001) == []


def test_volumes_and_their_intervals_are_those_of_the_runs():
    maps = label_maps(6, seed=1)
    rows = {row["structure"]: row for row in structure_intervals(maps, SEGMENTS, 0.5)}
    assert set(rows) == {"structure 1", "structure 2", "structure 7"}  # 300 is in no run
    volumes = np.array([0.5 * (one == 2).sum() for one in maps])
    row = rows["structure 2"]
    assert row["volume_ml"] == volumes[0] and row["mean_ml"] == pytest.approx(volumes.mean(), abs=1e-3)
    assert row["sd_ml"] == pytest.approx(volumes.std(ddof=1), abs=1e-3)
    assert volumes.min() <= row["low_ml"] <= row["mean_ml"] <= row["high_ml"] <= volumes.max()
    assert row["dice"] == pytest.approx(np.mean([dice(one, maps[0], [2])[0] for one in maps[1:]]), abs=1e-4)


def test_running_moments_are_those_of_all_values_at_once():
    values = np.random.default_rng(0).normal(1000, 3, (7, 5, 4)).astype(np.float32)
    moments = RunningMoments()
    for one in values:
        moments.add(one)
    np.testing.assert_allclose(moments.variance, values.var(axis=0, ddof=1), rtol=1e-2)
    single = RunningMoments()
    single.add(values[0])
    assert (single.variance == 0).all()
    with pytest.raises(ValueError):
        _ = RunningMoments().variance
