"""Choices and numbers that make no registration are refused by name."""

import pytest

from meddl.core.config import REGISTER_PRESETS, RegisterConfig
from meddl.core.errors import InputError
from meddl.registration.config_check import check_config


@pytest.mark.parametrize("wrong", [
    {"deformable_levels_mm": (4.0, -1.0)}, {"deformable_iterations": ()}, {"deformable_iterations": (0, 0)},
    {"deformable_iterations": (1.5,)}, {"correlation_radius_voxels": 0}, {"step_voxels": 0.0}, {"step_voxels": 2.0},
    {"field_smoothing_voxels": -1.0}, {"gradient_smoothing_voxels": float("nan")}, {"convergence_threshold": -1.0},
    {"transform": "spline"}, {"metric": "ssd"}, {"levels_mm": ()}, {"samples": 1}, {"search_rotations": -1}])
def test_impossible_numbers_are_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        check_config(RegisterConfig(**wrong))


def test_the_presets_are_possible():
    for preset in REGISTER_PRESETS.values():
        check_config(preset)
