"""Stacks brought to the first one: rigid registration, intensities, and whether they show the same contrast."""

import numpy as np

from meddl.core.config import RegisterConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span
from meddl.measures.intensity_matching import fit_intensities
from meddl.registration.register import register
from meddl.spatial.grid import Grid, centered_grid, padded_grid
from meddl.spatial.normalize import object_threshold
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume
from meddl.superres.stacks.stack import Stack

LEAST_CORRELATION = 0.8  # of intensities at corresponding voxels of the object: see `docs/benchmarks.md`
LEAST_OF_MOVED = 0.6  # the same, before slices that may have moved are brought back
LEAST_OVERLAP = 0.2  # of the smaller field of view
_COMPARED_MM = 2.0
_LEAST_VOXELS = 500
REGISTRATION = RegisterConfig(levels_mm=(8.0, 4.0, 2.0, 1.0), estimate_quality=False)


def align_stacks(stacks: list[Stack], device: str, warnings: list[str], least_correlation: float = LEAST_CORRELATION,
                 on_progress: ProgressCallback | None = None) -> None:
    """Register each stack to the first one, and match its intensities; `transform` and `figures` get what was found.

    Raises:
        InputError: stacks that do not overlap, or that show different contrasts.
        OutOfMemoryError, Cancelled: as of `meddl.register`.
    """
    first = stacks[0]
    first.figures.update(rotation_deg=0.0, translation_mm=[0.0, 0.0, 0.0], correlation=1.0)
    fixed = Volume.scalar(first.fine, first.grid.affine)
    for n, stack in enumerate(stacks[1:]):
        moving = Volume.scalar(stack.fine, stack.grid.affine)
        found = register(fixed, moving, REGISTRATION, device=device,
                         on_progress=span(on_progress, n / (len(stacks) - 1), (n + 1) / (len(stacks) - 1),
                                          previews=False))
        warnings.extend(f"{stack.name}: {text}" for text in found.report["warnings"])
        stack.transform = _rigid(found.affine)
        if overlap_of(first.grid, stack.in_first_space().grid) < LEAST_OVERLAP:
            raise InputError(f"{stack.name} does not overlap the first one once it is registered to it.")
        turned = np.degrees(np.arccos(np.clip((np.trace(stack.transform[:3, :3]) - 1) / 2, -1, 1)))
        moved = stack.transform[:3, :3] @ first.grid.center_mm + stack.transform[:3, 3] - first.grid.center_mm
        stack.figures.update(rotation_deg=round(float(turned), 3), translation_mm=np.round(moved, 3).tolist(),
                             transform=stack.transform.tolist())
        _match(stack, first, least_correlation)


def check_overlap(grids: list[Grid], names: list[str]) -> None:
    """Raises InputError where a field of view does not meet the first one's by their headers."""
    for grid, name in zip(grids[1:], names[1:], strict=True):
        if overlap_of(grids[0], grid) < LEAST_OVERLAP:
            raise InputError(f"{name} does not overlap {names[0]}: by their headers less than "
                             f"{LEAST_OVERLAP:.0%} of a field of view is common. Several stacks are of one subject, "
                             "in one space; register them first (meddl.register) if they are not.")


def overlap_of(first: Grid, second: Grid, samples: int = 24) -> float:
    """How much of the smaller field of view lies in the other one, 0 to 1."""
    return max(_fraction_inside(first, second, samples), _fraction_inside(second, first, samples))


def common_grid(stacks: list[Stack], spacing_mm: float) -> Grid:
    """The isotropic grid along the first stack's axes around the fields of view of all, one voxel of it where the
    first stack's fine grid has one."""
    inner = centered_grid(stacks[0].grid, spacing_mm)
    ends = np.array(np.meshgrid(*[(0.0, 1.0)] * 3, indexing="ij")).reshape(3, 8).T
    corners = np.concatenate([inner.indices(grid.points_mm(ends * grid.shape - 0.5)) for grid in
                              (stack.in_first_space().grid for stack in stacks)])
    low, high = corners.min(axis=0) + 0.5, corners.max(axis=0) - 0.5  # first and last voxel
    before = np.maximum(0, np.ceil(-low - 0.25)).astype(int)
    after = np.maximum(0, np.ceil(high - (np.array(inner.shape) - 1) - 0.25)).astype(int)
    return padded_grid(inner, before, after)


def check_contrasts(stacks: list[Stack]) -> None:
    """Compare the intensities of stacks whose slices were brought back; `figures` get the correlation.

    Raises:
        InputError: they correlate by less than those of one contrast.
    """
    for stack in stacks[1:]:
        _check_correlation(stack, stacks[0], _Compared(stack, stacks[0]), LEAST_CORRELATION, "")


class _Compared:
    """Intensities of a stack and of the first one at corresponding voxels: `inside` is where both show the object."""

    def __init__(self, stack: Stack, first: Stack):
        self.grid = centered_grid(first.grid, np.maximum(first.grid.spacing_mm, _COMPARED_MM))
        there = stack.in_first_space()
        self.reference = resample(Volume.scalar(first.fine, first.grid.affine), self.grid)
        self.moved = resample(there, self.grid)
        covered = resample(Volume.scalar(np.ones(there.shape, np.uint8), there.affine), self.grid, "nearest")
        known = covered.scalar_data > 0
        self.inside = known & _object(self.reference.scalar_data, known) & _object(self.moved.scalar_data, known)

    def correlation(self) -> float:
        """Pearson's, 0 where there are too few voxels."""
        first, second = self.reference.scalar_data[self.inside], self.moved.scalar_data[self.inside]
        return 0.0 if len(first) < _LEAST_VOXELS else float(np.nan_to_num(np.corrcoef(first, second)[0, 1]))


def _match(stack: Stack, first: Stack, least: float) -> None:
    compared = _Compared(stack, first)
    hint = " Where the subject moved between slices, slice_motion may help." if least == LEAST_CORRELATION else ""
    _check_correlation(stack, first, compared, least, hint)
    stack.rescale(fit_intensities(compared.moved, compared.reference,
                                  Volume.scalar(compared.inside.astype(np.uint8), compared.grid.affine)))


def _check_correlation(stack: Stack, first: Stack, compared: _Compared, least: float, hint: str) -> None:
    correlation = compared.correlation()
    stack.figures["correlation"] = round(correlation, 4)
    if correlation < least:
        raise InputError(
            f"{stack.name} does not show what the first one shows: their intensities correlate by {correlation:.2f} "
            f"once they are registered, {least:g} is the least. Several stacks are of one subject and of "
            f"one contrast; combine T1 with T1 and T2 with T2.{hint}")


def _object(data: np.ndarray, known: np.ndarray) -> np.ndarray:
    return data > (object_threshold(data[known]) if known.any() else np.inf)


def _rigid(affine: np.ndarray) -> np.ndarray:
    """The affine with a rotation to the last digit."""
    u, _, vt = np.linalg.svd(affine[:3, :3])
    found = np.array(affine)
    found[:3, :3] = u @ vt
    return found


def _fraction_inside(inner: Grid, outer: Grid, samples: int) -> float:
    along = [np.linspace(-0.5, n - 0.5, samples) for n in inner.shape]
    index = outer.indices(inner.points_mm(np.stack(np.meshgrid(*along, indexing="ij"), axis=-1)))
    return float(((index >= -0.5) & (index <= np.array(outer.shape) - 0.5)).all(axis=-1).mean())
