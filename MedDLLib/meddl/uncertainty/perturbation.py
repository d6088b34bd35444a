"""Small random changes of a volume, as another scan of the same object might have them, and their way back."""

from dataclasses import dataclass, replace

import numpy as np

from meddl.core.errors import InputError
from meddl.models.volume_metadata import modality_of
from meddl.spatial.grid import Grid, reorientation
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume
from meddl.uncertainty.config import UncertaintyConfig

FEWEST_RUNS, MOST_RUNS = 2, 100
_LARGEST = {"shift_voxels": 8.0, "noise": 1.0, "gamma": 2.0}
_PROBED = 64  # voxels along each axis that the range of intensities is taken from


@dataclass(frozen=True)
class Perturbation:
    """One change of a volume.

    Attributes:
        shift_voxels: along i, j, k; the voxels are sampled so far away from where they were.
        noise: standard deviation of Gaussian noise, as a fraction of the range of intensities.
        gamma: exponent of the intensities, scaled to their range.
        mirror: whether the volume is reversed along its left-right axis.
        seed: of the noise.
    """

    shift_voxels: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise: float = 0.0
    gamma: float = 1.0
    mirror: bool = False
    seed: int = 0


def draw_perturbations(config: UncertaintyConfig, mirror: bool) -> list[Perturbation]:
    """The perturbations of all runs, the first of which changes nothing.

    Args:
        mirror: whether every second copy may be mirrored.

    Raises:
        InputError: a number of runs or a size of the perturbations that is not possible.
    """
    if not FEWEST_RUNS <= config.runs <= MOST_RUNS:
        raise InputError(f"Uncertainty takes {FEWEST_RUNS} to {MOST_RUNS} runs; got {config.runs}.")
    for name, largest in _LARGEST.items():
        value = getattr(config, name)
        if not 0 <= value <= largest:
            raise InputError(f"{name} is from 0 to {largest:g}; got {value:g}.")
    random = np.random.default_rng(config.seed)
    found = [Perturbation()]
    for number in range(1, config.runs):
        shift = random.uniform(-config.shift_voxels, config.shift_voxels, 3)
        found.append(Perturbation((float(shift[0]), float(shift[1]), float(shift[2])), config.noise,
                                  float(np.exp(random.uniform(-config.gamma, config.gamma))),
                                  mirror and number % 2 == 1, int(random.integers(1 << 31))))
    return found


def perturb(volume: Volume, change: Perturbation) -> Volume:
    """The changed copy of a volume of finite values, of the same shape; what it shows lies where it lay in the world,
    unless it is mirrored.

    Voxels of a channel's lowest value, which are background or padding, keep it. The intensities of CT keep their
    contrast.

    Args:
        volume: (C, I, J, K), of any real type.

    Returns:
        float32, on the shifted grid; the volume itself where nothing changes.
    """
    if change == Perturbation():
        return volume
    if volume.data.dtype.kind == "b" or volume.data.dtype == np.float16:
        volume = volume.astype(np.float32)
    lowest = [float(channel.min()) for channel in volume.data]
    gammas = [1.0 if modality_of(channel) == "CT" else change.gamma for channel in volume.data]
    extents = [_range_above(channel, low) for channel, low in zip(volume.data, lowest, strict=True)]
    if any(change.shift_voxels):
        volume = resample(volume, shifted_grid(volume.grid, change.shift_voxels), clamp=True)
    data = volume.data.astype(np.float32)
    random = np.random.default_rng(change.seed)
    for channel, low, extent, gamma in zip(data, lowest, extents, gammas, strict=True):
        inside = channel > low
        values = channel[inside]
        if gamma != 1:
            values = low + extent * ((values - low) / extent) ** np.float32(gamma)
        if change.noise:
            values += np.float32(change.noise * extent) * random.standard_normal(values.shape, dtype=np.float32)
        channel[inside] = values
    return Volume(reverse(data, volume.affine) if change.mirror else data, volume.affine)


def restore(labels: np.ndarray, change: Perturbation, grid: Grid, mirror: np.ndarray | None) -> np.ndarray:
    """Labels of a changed copy on the voxels of the volume, by nearest neighbor.

    Args:
        labels: (I, J, K).
        grid: of the volume.
        mirror: for each label value that of the other side; needed where the copy is mirrored.
    """
    if change.mirror and mirror is not None:
        labels = mirror[reverse(labels[None], grid.affine)[0]].astype(labels.dtype)
    if max(map(abs, change.shift_voxels)) <= 0.5:  # the nearest voxel is the one of the same indices
        return labels
    moved = Volume.scalar(labels, shifted_grid(grid, change.shift_voxels).affine)
    return resample(moved, grid, "nearest", clamp=True).data[0]


def restore_values(data: np.ndarray, change: Perturbation, affine: np.ndarray) -> np.ndarray:
    """Values (C, I, J, K) of a copy that was mirrored, not shifted, as they lie in the volume."""
    return reverse(data, affine) if change.mirror else data


def shifted_grid(grid: Grid, shift_voxels) -> Grid:
    """The grid whose voxels lie this far from those of `grid`, in voxels along i, j, k."""
    affine = np.array(grid.affine)
    affine[:3, 3] = grid.points_mm(np.asarray(shift_voxels))
    return Grid(grid.shape, affine)


def reverse(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """An array (C, I, J, K) reversed along the axis nearest to left-right."""
    axis = reorientation(affine, "RAS")[0][0]
    return np.flip(data, axis + 1)


def without_shift(change: Perturbation) -> Perturbation:
    """The same change without its shift."""
    return replace(change, shift_voxels=(0.0, 0.0, 0.0))


def _range_above(channel: np.ndarray, lowest: float) -> float:
    """From the lowest value to the 99.5th percentile of what lies above it."""
    seen = channel[tuple(slice(None, None, max(1, n // _PROBED)) for n in channel.shape)]
    above = seen[seen > lowest]
    highest = float(np.percentile(above, 99.5)) if above.size else float(channel.max())
    return max(highest - lowest, float(np.finfo(np.float32).tiny))
