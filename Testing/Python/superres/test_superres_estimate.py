"""Seconds and memory of a super-resolution, from the grid, the method and two measured speeds."""

import numpy as np
import pytest

from meddl.core.config import SuperResolveConfig
from meddl.models.cost import machine_speed
from meddl.spatial.grid import Grid
from meddl.superres.methods.registry import METHODS
from meddl.superres.run_estimate import expected_super_resolution

THICK, ISOTROPIC = Grid((64, 64, 16), np.diag([1.0, 1.0, 4.0, 1])), Grid((64, 64, 64), np.diag([2.0, 2.0, 2.0, 1]))


@pytest.fixture(autouse=True)
def speed(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    monkeypatch.setattr(machine_speed, "_measure", lambda *_: 20.0)
    monkeypatch.setattr(machine_speed, "_measure_interpolation", lambda *_: 20.0)
    monkeypatch.setattr(machine_speed, "_known", {})


def seconds(grid, method, **options):
    return expected_super_resolution(grid, SuperResolveConfig(method=method, **options), device="cpu").seconds


def test_every_method_has_an_estimate():
    for method, kind in METHODS.items():
        found = expected_super_resolution(ISOTROPIC if kind.grid != "finer" else THICK,
                                          SuperResolveConfig(method=method), device="cpu")
        assert found.seconds > 0.1 and found.memory_bytes > 6e8 and found.device.startswith("cpu")


def test_methods_take_longer_the_more_they_compute():
    assert seconds(THICK, "cubic") < seconds(THICK, "back-projection") < seconds(THICK, "network")
    assert seconds(ISOTROPIC, "denoise") < seconds(ISOTROPIC, "edsr3d")
    assert seconds(ISOTROPIC, "srgan") > seconds(ISOTROPIC, "srresnet")


def test_self_training_takes_the_seconds_that_it_is_given_beside_the_network():
    network = seconds(THICK, "network")
    assert seconds(THICK, "self-training") == pytest.approx(network + 60)
    assert seconds(THICK, "self-training", seconds=5.0) == pytest.approx(network + 5)


def test_a_larger_result_takes_longer_and_more_memory():
    small, large = (expected_super_resolution(THICK, SuperResolveConfig(target_spacing_mm=size), device="cpu")
                    for size in (1.0, 0.5))
    assert large.seconds > 2 * small.seconds and large.memory_bytes > small.memory_bytes
