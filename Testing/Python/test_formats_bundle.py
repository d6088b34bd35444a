"""A MONAI bundle gives the labels that MONAI itself gives, and cannot run code."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import meddl
from meddl.config import SegmentConfig
from meddl.models.store import ModelStore
from meddl.volume import Volume

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Benchmarks"))
from bundle_cases import CASES, reference_labels, write_bundle

EXACT = SegmentConfig(float32=True)


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


def volume_for(case: str, seed: int = 0) -> Volume:
    """Smooth noise with an empty border, oblique, in an order of axes that no network was made for."""
    random = np.random.default_rng(seed)
    shape = (34, 45, 27)
    channels = CASES[case].network["in_channels"]
    data = np.stack([500 * gaussian_filter(random.standard_normal(shape), 2) + 60 for _ in range(channels)])
    for axis in range(1, 4):
        data[(slice(None),) * axis + (slice(0, 3),)] = 0
    angle = np.deg2rad(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[0, -1.1, 0], [0, 0, 2.6], [-1.4, 0, 0]])
    affine[:3, 3] = (31, -20, 7)
    return Volume(data.astype(np.float32), affine)


@pytest.mark.parametrize("case", CASES)
def test_labels_are_those_of_monai(tmp_path, store, case):
    folder = write_bundle(tmp_path / "bundle", CASES[case])
    card = store.import_model(folder, identifier="bundle")
    volume = volume_for(case)
    found = meddl.segment(volume, "bundle", EXACT, device="cpu").labels
    expected = reference_labels(folder, volume.data, volume.affine)
    assert (found == expected).mean() >= 0.9999
    counts = np.unique(expected, return_counts=True)[1]
    assert len(counts) >= 2 and counts.min() > 20
    assert set(np.unique(found)) <= {0, *(label.value for label in card.labels)}
