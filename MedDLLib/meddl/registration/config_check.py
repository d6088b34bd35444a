"""Validation of a registration configuration."""

from dataclasses import fields

import numpy as np

from meddl.core.config import DEFORMATION_STEPS, RegisterConfig
from meddl.core.errors import InputError


def check_config(config: RegisterConfig) -> None:
    """Refuse choices that do not exist and numbers that make no registration.

    Raises:
        InputError: names the field, what it allows and what came.
    """
    choices = {f.name: f.metadata["choices"] for f in fields(config) if "choices" in f.metadata}
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            raise InputError(f"{name} is one of {', '.join(allowed)}; got {getattr(config, name)!r}.")
    if not config.levels_mm or not all(np.isfinite(level) and level > 0 for level in config.levels_mm):
        raise InputError(f"levels_mm lists positive grid spacings in mm; got {config.levels_mm!r}.")
    for name, least in (("samples", 100), ("bins", 8), ("iterations", 1), ("search_rotations", 0)):
        if getattr(config, name) < least:
            raise InputError(f"{name} is at least {least}; got {getattr(config, name)!r}.")
    _check_deformation(config)


def _check_deformation(config: RegisterConfig) -> None:
    if not all(np.isfinite(level) and level > 0 for level in config.deformable_levels_mm):
        raise InputError("deformable_levels_mm lists positive grid spacings in mm; got "
                         f"{config.deformable_levels_mm!r}.")
    counts = config.deformable_iterations
    if not counts or any(n != int(n) or n < 0 for n in counts) or not any(counts):
        raise InputError(f"deformable_iterations lists whole numbers, not all of them 0; got {counts!r}.")
    if not 1 <= config.correlation_radius_voxels <= 20:
        raise InputError(f"correlation_radius_voxels is 1 to 20; got {config.correlation_radius_voxels!r}.")
    for name, least, most in (("gradient_smoothing_voxels", 0, 50), ("field_smoothing_voxels", 0, 50),
                              ("step_voxels", 1e-3, 0.5), ("convergence_threshold", 0, 1), ("landmark_weight", 0, 1),
                              ("landmark_sigma_mm", 0.1, 1000)):
        value = getattr(config, name)
        if not (value is None and name in DEFORMATION_STEPS["lncc"] or value is not None and least <= value <= most):
            raise InputError(f"{name} is {least:g} to {most:g}; got {value!r}.")
