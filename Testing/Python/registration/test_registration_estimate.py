"""Seconds and memory of a registration, from the grids, the choices and one measured speed."""

import numpy as np
import pytest

from meddl.core.config import REGISTER_PRESETS, RegisterConfig
from meddl.models.cost import machine_speed
from meddl.registration.run_estimate import expected_registration
from meddl.spatial.grid import Grid

SMALL, LARGE = Grid((90, 110, 120), np.diag([2.0, 2.0, 2.0, 1])), Grid((180, 220, 240), np.diag([1.0, 1.0, 1.0, 1]))


@pytest.fixture(autouse=True)
def speed(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    monkeypatch.setattr(machine_speed, "_measure_interpolation", lambda *_: 20.0)
    monkeypatch.setattr(machine_speed, "_known", {})


def expected(config, grid=SMALL):
    return expected_registration(grid, grid, config, device="cpu")


def test_presets_take_longer_the_more_they_compute():
    rigid, affine, deformable, several, symmetric = (expected(REGISTER_PRESETS[name]).seconds for name in (
        "Rigid", "Affine", "Deformable", "Deformable multi-modal", "Same subject, two dates"))
    assert rigid < affine < deformable / 2 and deformable < several < symmetric


def test_a_search_over_rotations_and_more_levels_take_longer():
    plain = expected(RegisterConfig()).seconds
    assert expected(RegisterConfig(search_rotations=1000)).seconds > plain
    assert expected(RegisterConfig(levels_mm=(8.0, 4.0, 2.0, 1.0))).seconds > plain
    assert expected(RegisterConfig(initialization="given")).seconds < plain


def test_a_deformation_grows_with_the_voxels_and_a_linear_registration_hardly():
    deformable = RegisterConfig(transform_type="deformable", metric="lncc")
    assert 5 < expected(deformable, LARGE).seconds / expected(deformable).seconds < 10
    assert expected(deformable, LARGE).memory_bytes > 2 * expected(deformable).memory_bytes
    assert expected(RegisterConfig(), LARGE).seconds < 3 * expected(RegisterConfig()).seconds


def test_fewer_iterations_and_coarser_levels_take_less():
    config = RegisterConfig(transform_type="deformable", metric="lncc")
    fewer = RegisterConfig(transform_type="deformable", metric="lncc", deformable_iterations=(50, 30, 5))
    coarser = RegisterConfig(transform_type="deformable", metric="lncc", deformable_levels_mm=(8.0, 4.0))
    assert expected(coarser).seconds < expected(fewer).seconds < expected(config).seconds
