"""Grids in space: where the voxels of a volume lie, in RAS millimeters. Numpy only.

An affine is 4x4, float64, and maps a voxel index (i, j, k), the center of that voxel, to RAS mm.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from meddl.core.errors import GeometryError

T = TypeVar("T")

_CODES = ("RL", "AP", "SI")  # letters of the positive and negative direction of each world axis


def three(values: Iterable[T]) -> tuple[T, T, T]:
    """Exactly three values, one an axis, as a tuple.

    Raises:
        ValueError: fewer or more.
    """
    first, second, third = values
    return first, second, third


def check_affine(affine: ArrayLike) -> np.ndarray:
    """The affine as a read-only 4x4 float64 array.

    Raises:
        GeometryError: wrong shape, not finite, last row not (0, 0, 0, 1), singular, or voxels beyond reason.
    """
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise GeometryError(f"An affine is a 4x4 matrix; this one has shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise GeometryError("The affine holds NaN or infinity. The file's header is damaged.")
    if not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise GeometryError(f"An affine's last row is 0 0 0 1; this one's is {matrix[3].tolist()}.")
    sizes = spacing_mm(matrix)
    if (sizes <= 0).any() or abs(np.linalg.det(matrix[:3, :3] / np.where(sizes > 0, sizes, 1))) < 1e-6:
        raise GeometryError(
            f"The affine is singular: voxel sizes {sizes.tolist()} mm, axes that do not span space. "
            "The file's header is damaged.")
    matrix.flags.writeable = False
    return matrix


def spacing_mm(affine: np.ndarray) -> np.ndarray:
    """Voxel size along i, j, k in mm, shape (3,)."""
    return np.sqrt((np.asarray(affine, dtype=np.float64)[:3, :3] ** 2).sum(axis=0))


def reorientation(affine: np.ndarray, codes: str = "RAS") -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """How to permute and flip a volume's axes so that they point as near as possible along `codes`.

    Returns:
        `(permutation, flips)`: output axis a is input axis permutation[a], reversed where flips[a].
        The assignment is the one with the largest sum of absolute direction cosines, so that also a
        volume turned by 45 degrees gets three different axes.

    Raises:
        GeometryError: `codes` does not name each of R/L, A/P, S/I once.
    """
    wanted = []
    for letter in codes.upper():
        axis = next((a for a, pair in enumerate(_CODES) if letter in pair), None)
        if axis is None:
            raise GeometryError(f"Orientation codes use the letters R L A P S I; '{codes}' does not.")
        wanted.append((axis, 1.0 if _CODES[axis][0] == letter else -1.0))
    if sorted(axis for axis, _ in wanted) != [0, 1, 2]:
        raise GeometryError(f"Orientation codes name each axis once, as in RAS or LPS; '{codes}' does not.")
    columns = _world_axis_columns(affine)
    permutation, flips = [], []
    directions = np.asarray(affine)[:3, :3]
    for axis, sign in wanted:
        column = columns[axis]
        permutation.append(column)
        flips.append(bool(directions[axis, column] * sign < 0))
    return three(permutation), three(flips)


def _world_axis_columns(affine: np.ndarray) -> tuple[int, int, int]:
    """For each world axis R, A, S the voxel axis nearest to it, each used once."""
    cosines = np.abs(np.asarray(affine, dtype=np.float64)[:3, :3]) / spacing_mm(affine)
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    # Rounding makes a tie (45 degrees) fall the same way whatever the floating-point noise.
    return max(orders, key=lambda order: round(sum(cosines[a, c] for a, c in enumerate(order)), 6))


def axis_codes(affine: np.ndarray) -> str:
    """The direction in which each voxel axis grows, such as 'LIA'."""
    letters = [""] * 3
    for axis, column in enumerate(_world_axis_columns(affine)):
        letters[column] = _CODES[axis][0 if np.asarray(affine)[axis, column] > 0 else 1]
    return "".join(letters)


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of voxels in space.

    Attributes:
        shape: voxels along i, j, k.
        affine: 4x4 float64, voxel index to RAS mm.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"A grid has three axes of at least one voxel; this one has shape {shape}.")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", check_affine(self.affine))

    def __reduce__(self) -> tuple[type, tuple[tuple[int, int, int], np.ndarray]]:
        return Grid, (self.shape, np.array(self.affine))

    def __repr__(self) -> str:
        return f"Grid({self.describe()})"

    def describe(self) -> str:
        """Voxels, their sizes, and the directions in which i, j and k grow, in one line."""
        sizes = " x ".join(f"{size:.3g}" for size in self.spacing_mm)
        return f"{' x '.join(map(str, self.shape))} voxels of {sizes} mm, {axis_codes(self.affine)}"

    @cached_property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size along i, j, k in mm, shape (3,)."""
        return spacing_mm(self.affine)

    @cached_property
    def directions(self) -> np.ndarray:
        """Unit vectors of the voxel axes in RAS, one a column, shape (3, 3)."""
        return self.affine[:3, :3] / self.spacing_mm

    @cached_property
    def center_mm(self) -> np.ndarray:
        """Center of the field of view in RAS mm, shape (3,)."""
        return self.points_mm((np.array(self.shape) - 1) / 2)

    @cached_property
    def extent_mm(self) -> np.ndarray:
        """Size of the field of view along i, j, k in mm, from voxel edge to voxel edge, shape (3,)."""
        return self.spacing_mm * self.shape

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in milliliters."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000.0)

    def points_mm(self, indices: ArrayLike) -> np.ndarray:
        """RAS mm of voxel indices, shape (..., 3)."""
        return np.asarray(indices, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def indices(self, points_mm: ArrayLike) -> np.ndarray:
        """Continuous voxel indices of RAS points, shape (..., 3)."""
        return (np.asarray(points_mm, dtype=np.float64) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T

    def same_as(self, other: "Grid", tolerance_voxels: float = 1e-3) -> bool:
        """Whether both grids have the same voxels at the same positions, to a fraction of a voxel."""
        if self.shape != other.shape:
            return False
        corners = np.array([[0, 0, 0], *np.diag(np.maximum(np.array(self.shape) - 1, 1))])
        return bool(np.abs(self.indices(other.points_mm(corners)) - corners).max() <= tolerance_voxels)


def reorient_grid(grid: Grid, codes: str = "RAS") -> Grid:
    """The same voxels with their axes permuted and reversed to point along `codes`."""
    permutation, flips = reorientation(grid.affine, codes)
    affine = np.eye(4)
    affine[:3, 3] = grid.affine[:3, 3]
    for axis, (source, flip) in enumerate(zip(permutation, flips, strict=True)):
        step = grid.affine[:3, source]
        affine[:3, axis] = -step if flip else step
        if flip:
            affine[:3, 3] += step * (grid.shape[source] - 1)
    return Grid(three(grid.shape[a] for a in permutation), affine)


def centered_grid(grid: Grid, new_spacing_mm: ArrayLike) -> Grid:
    """A grid of another voxel size over the same field of view, with the same center and directions.

    The number of voxels is round(n d / d'), at least 1. The center of the field of view does not move,
    so the image is never shifted by a fraction of a voxel.

    Args:
        new_spacing_mm: one size, or one each for i, j, k.
    """
    new = np.broadcast_to(np.asarray(new_spacing_mm, dtype=np.float64), (3,))
    if not (np.isfinite(new).all() and (new > 0).all()):
        raise GeometryError(f"A voxel size is a positive number of mm; got {new.tolist()}.")
    shape = np.maximum(1, np.rint(grid.extent_mm / new)).astype(int)
    return grid_around(grid.center_mm, shape, grid.directions * new)


def grid_around(center_mm: ArrayLike, shape: Iterable[int], steps: np.ndarray) -> Grid:
    """A grid whose field of view has its center at `center_mm`; `steps` (3, 3) are its voxel axes in mm, as columns."""
    size = three(int(n) for n in shape)
    affine = np.eye(4)
    affine[:3, :3] = steps
    affine[:3, 3] = np.asarray(center_mm) - steps @ ((np.asarray(size, dtype=np.float64) - 1) / 2)
    return Grid(size, affine)


def halved_grid(grid: Grid) -> Grid:
    """The grid with voxels of half the size, every second one of them a voxel of the grid."""
    return Grid(three(2 * n - 1 for n in grid.shape), grid.affine @ np.diag([0.5, 0.5, 0.5, 1]))


def padded_grid(grid: Grid, before: ArrayLike, after: ArrayLike) -> Grid:
    """The grid with this many more voxels before the first and after the last of each axis."""
    first, last = np.asarray(before, dtype=int), np.asarray(after, dtype=int)
    affine = np.array(grid.affine)
    affine[:3, 3] = grid.points_mm(-first)
    return Grid(three(np.array(grid.shape) + first + last), affine)


def is_orthonormal(grid: Grid, tolerance: float = 1e-5) -> bool:
    """Whether the voxel axes are at right angles, as ITK and VTK need."""
    return bool(np.abs(grid.directions.T @ grid.directions - np.eye(3)).max() <= tolerance)


def orthonormal_grid(grid: Grid) -> Grid:
    """A grid whose axes are at right angles, as near as possible to the given one's, around all of its voxels.

    The grid itself where its axes already are at right angles. The spacing is kept.
    """
    if is_orthonormal(grid):
        return grid
    u, _, vt = np.linalg.svd(grid.directions)
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape], indexing="ij")).reshape(3, 8).T
    return covering_grid(grid.points_mm(ends), u @ vt, grid.spacing_mm)


def covering_grid(points_mm: np.ndarray, directions: np.ndarray, spacing_mm: ArrayLike) -> Grid:
    """The smallest grid with these unit axes (columns) and voxel sizes whose voxel centers enclose all points."""
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    inside = np.asarray(points_mm) @ np.linalg.inv(directions).T
    low, high = inside.min(axis=0), inside.max(axis=0)
    shape = np.ceil((high - low) / spacing - 1e-6).astype(int) + 1
    return grid_around(directions @ ((low + high) / 2), np.maximum(shape, 1), directions * spacing)
