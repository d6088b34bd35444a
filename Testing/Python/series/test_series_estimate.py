"""Seconds and memory of the denoising of a series, from its grid, its length and two measured speeds."""

import numpy as np
import pytest

import meddl
from meddl.models.cost import machine_speed
from meddl.series.run_estimate import _START_S, expected_denoising
from meddl.spatial.grid import Grid

GRID = Grid((64, 64, 32), np.diag([2.0, 2.0, 2.0, 1.0]))


@pytest.fixture(autouse=True)
def speed(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    monkeypatch.setattr(machine_speed, "_measure", lambda *_: 20.0)
    monkeypatch.setattr(machine_speed, "_measure_interpolation", lambda *_: 20.0)
    monkeypatch.setattr(machine_speed, "_known", {})


def expected(frames=10, **options):
    return expected_denoising(GRID, frames, meddl.DenoiseSeriesConfig(**options), device="cpu")


def test_what_computes_more_takes_longer():
    assert expected(spatial=False, passes="forward").seconds < expected(spatial=False).seconds < expected().seconds
    assert expected(method="local-pca").seconds < expected().seconds


def test_twice_as_many_frames_take_twice_as_long_and_more_memory():
    short, long = expected(10), expected(20)
    assert long.seconds - _START_S == pytest.approx(2 * (short.seconds - _START_S))
    assert long.memory_bytes > short.memory_bytes > 6e8


def test_components_of_more_frames_take_longer_a_frame_up_to_those_of_a_window():
    few, most, beyond = (expected(frames, method="local-pca").seconds for frames in (40, 125, 200))
    assert 125 / 40 * few < most == beyond


def test_fine_tuning_takes_the_seconds_that_it_is_given():
    assert expected(seconds=20.0).seconds == pytest.approx(expected().seconds + 20)
