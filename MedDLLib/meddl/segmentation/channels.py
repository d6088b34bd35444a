"""Multi-channel input: several volumes resampled to the grid of the first one, in the order of a model's channels."""

from collections.abc import Mapping, Sequence

import numpy as np

from meddl.core.errors import GeometryError, InputError
from meddl.core.progress import ProgressCallback, report
from meddl.spatial.grid import Grid
from meddl.spatial.normalize import check_magnitude
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

LEAST_OVERLAP = 0.01   # fraction of the first volume's voxels that another one must reach
USUAL_OVERLAP = 0.95   # below this the user is warned
_PROBED_VOXELS = 48    # along each axis, evenly spread, where overlap is looked for


def join_channels(volume: Volume, others: Sequence[Volume] | Mapping[str, Volume], names: Sequence[str],
                  on_progress: ProgressCallback | None = None) -> tuple[Volume, tuple[str, ...]]:
    """All channels that a model takes as one volume on the grid of `volume`.

    The others are brought to that grid in world space, linear between voxels; where one does not reach, its lowest
    value stands. A volume on the same grid is taken as it is.

    Args:
        volume: one channel; or all of them, where there are no others.
        others: the further channels in the model's order after `volume`; or by name, in any order, and `volume` is the
            channel that is not named.
        names: the model's channels, in its order.

    Returns:
        The volume, (C, I, J, K), and for the user.

    Raises:
        InputError: a wrong number of volumes, an unknown name, or a volume of several channels among several volumes.
        GeometryError: a volume that does not overlap with the first one.
        Cancelled: from `on_progress`.
    """
    if not others:
        if volume.channels != len(names) > 1:
            raise InputError(f"The model takes {_channels(names)}; the volume has {volume.channels}. Give one volume "
                             "for each, in this order.")
        return volume, ()
    row = _in_order(volume, others, names)
    arrays, warnings = [], []
    for name, one in zip(names, row, strict=True):
        if one.channels != 1:
            raise InputError(f"One channel was expected in each of {len(row)} volumes; that for '{name}' has "
                             f"{one.channels}. Choose one of them.")
        if one is volume or one.grid.same_as(volume.grid):
            arrays.append(one.data)
            continue
        fraction = _overlap(volume.grid, one.grid)
        if fraction < LEAST_OVERLAP:
            distance = np.linalg.norm(one.grid.center_mm - volume.grid.center_mm)
            raise GeometryError(
                f"The volume for '{name}' does not overlap with the first one: their centers are {distance:.0f} mm "
                "apart. All channels must show the same place; register them to the first one before.")
        if fraction < USUAL_OVERLAP:
            warnings.append(f"The volume for '{name}' reaches only {fraction:.0%} of the first one; the rest was taken "
                            "as empty.")
        arrays.append(_on_grid(one, volume.grid, on_progress))
    return Volume(np.concatenate(arrays), volume.affine), tuple(warnings)


def with_finite_values(volume: Volume) -> tuple[Volume, tuple[str, ...]]:
    """The volume with each channel's lowest value where it was NaN or infinite, and for the user.

    Raises:
        InputError: a channel has no finite value.
    """
    check_magnitude(volume.data)
    finite = np.isfinite(volume.data) if volume.data.dtype.kind == "f" else np.True_
    if finite.all():
        return volume, ()
    if not np.any(finite, axis=(1, 2, 3)).all():
        raise InputError("The volume holds no finite value: every voxel is NaN or infinity.")
    lowest = volume.data.min(axis=(1, 2, 3), keepdims=True, where=finite, initial=np.inf)
    share = 100 * (1 - float(finite.mean()))
    return (Volume(np.where(finite, volume.data, lowest.astype(volume.data.dtype)), volume.affine),
            (f"{share:.2g} % of the voxels are NaN or infinite; they were taken as background.",))


def _in_order(volume: Volume, others, names: Sequence[str]) -> list[Volume]:
    """The volumes in the order of the model's channels."""
    if 1 + len(others) != len(names):
        raise InputError(f"The model takes {_channels(names)}; {1 + len(others)} volumes were given. Give one volume "
                         "for each, in this order.")
    if not isinstance(others, Mapping):
        return [volume, *others]
    by_name = {}
    for given, one in others.items():
        found = [name for name in names if name.casefold() == str(given).strip().casefold()]
        if len(found) != 1 or found[0] in by_name:
            raise InputError(f"'{given}' names no channel of its own; the model takes {_channels(names)}.")
        by_name[found[0]] = one
    return [by_name.get(name, volume) for name in names]


def _channels(names: Sequence[str]) -> str:
    return f"{len(names)} channel{'s' if len(names) > 1 else ''} ({', '.join(names)})"


def _overlap(grid: Grid, other: Grid) -> float:
    """The fraction of `grid`'s voxels that lie in the field of view of `other`, from an even subset."""
    axes = [np.unique(np.linspace(0, n - 1, min(n, _PROBED_VOXELS)).round()) for n in grid.shape]
    coordinates = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    indices = other.indices(grid.points_mm(coordinates))
    return float(((indices >= -0.5 - 1e-6) & (indices <= np.array(other.shape) - 0.5 + 1e-6)).all(axis=1).mean())


def _on_grid(volume: Volume, grid: Grid, on_progress: ProgressCallback | None) -> np.ndarray:
    """(1, I, J, K) float32 on the grid; the volume's lowest value where it does not reach."""
    def stay(_fraction: float, message: str) -> None:
        report(on_progress, 0.0, message)

    data = volume.data.astype(np.float32)
    finite = data[np.isfinite(data)]
    lowest = finite.min() if finite.size else np.float32(0)
    return resample(Volume(data - lowest, volume.affine), grid, on_progress=stay).data + lowest
