"""Detection of a volume's acquisition: thick axis, slice thickness, zero filling, noise."""

from dataclasses import dataclass, replace

import numpy as np

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.spatial.grid import Grid, centered_grid, three
from meddl.spatial.volume import Volume
from meddl.superres.acquisition.noise import noise_sigma
from meddl.superres.acquisition.zero_filling import zero_filling
from meddl.superres.plan import check_axis

_SAME = 1.01  # voxel sizes and interpolation factors within one percent count as equal


@dataclass(frozen=True)
class Detection:
    """How a volume was acquired, as far as it shows. To change a value, set it in the config (`apply_to`).

    Attributes:
        axis: the array axis with the thickest slices.
        factor: slice distance along it over the smallest voxel size.
        slice_distance_mm: as measured, zero-filling undone.
        thickness_mm: of the slices.
        thickness_known: whether it was given; else it is the slice distance.
        zero_filling: by what factor each of the axes i, j, k was interpolated; 1 for not at all.
        noise_sigma: standard deviation of the noise of each channel, in its intensities.
    """

    axis: int
    factor: float
    slice_distance_mm: float
    thickness_mm: float
    thickness_known: bool
    zero_filling: tuple[float, float, float]
    noise_sigma: tuple[float, ...]

    def apply_to(self, config: SuperResolveConfig | None = None) -> SuperResolveConfig:
        """The config with these values, where it leaves them open: what runs is then exactly what was shown."""
        config = config or SuperResolveConfig()
        known = {"axis": self.axis, "thickness_mm": self.thickness_mm, "zero_filling": self.zero_filling[self.axis],
                 "noise_sigma": self.noise_sigma[0]}
        if config.target_spacing_mm is not None or config.factor is not None:
            del known["axis"]  # several axes may change
        return replace(config, **{name: value for name, value in known.items() if getattr(config, name) is None})


def detect(volume: Volume, config: SuperResolveConfig | None = None) -> Detection:
    """Thick axis, thickness, zero-filling and noise; what the config states comes before what is seen.

    Raises:
        InputError: an axis, thickness, zero-filling or noise in the config that cannot be.
    """
    config = config or SuperResolveConfig()
    check_axis(config.axis)
    for name, low in (("thickness_mm", 1e-6), ("zero_filling", 1.0), ("noise_sigma", 0.0)):
        value = getattr(config, name)
        if value is not None and not (np.isfinite(value) and value >= low):
            raise InputError(f"{name} is a number of at least {low:g}; got {value!r}.")
    seen = np.array([zero_filling(volume.data[0], axis) for axis in range(3)])
    distances = volume.spacing_mm * np.where(seen > _SAME, seen, 1)
    axis = int(np.argmax(distances)) if config.axis is None else int(config.axis)
    if config.zero_filling is not None:
        seen[axis] = config.zero_filling
    count = volume.shape[axis]
    distance = float(volume.spacing_mm[axis] * count / max(2, round(count / seen[axis]))) if seen[axis] > _SAME \
        else float(volume.spacing_mm[axis])
    sigma = tuple(noise_sigma(channel, axis) for channel in volume.data) if config.noise_sigma is None \
        else (float(config.noise_sigma),) * volume.channels
    return Detection(
        axis, distance / float(volume.spacing_mm.min()), distance, config.thickness_mm or distance,
        config.thickness_mm is not None, three(float(factor) if factor > _SAME else 1.0 for factor in seen), sigma)


def measured_grid(grid: Grid, detection: Detection) -> Grid:
    """The volume's grid with the slices that were measured, where the thick axis was zero-filled."""
    if detection.zero_filling[detection.axis] == 1:
        return grid
    spacing = grid.spacing_mm.copy()
    spacing[detection.axis] = detection.slice_distance_mm
    return centered_grid(grid, spacing)
