"""Spatial transforms: an affine matrix and a displacement field, composed, inverted, applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span
from meddl.spatial.grid import Grid, check_affine
from meddl.spatial.volume import Volume

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class Transform:
    """A spatial transform from points of a fixed volume to points of a moving volume, RAS mm.

    A fixed point p goes to `affine @ (p + u(p))`, with u the displacement, zero where there is none.

    Attributes:
        affine: 4x4 in RAS mm.
        displacement: Volume (3, I, J, K), mm along R, A, S, on the fixed grid or a coarser one over the same field of
            view, linear between its voxels and with its edge value beyond them; None for a linear result.
        grid: the fixed volume's grid; None where it is not known, as for a matrix that was read from a file.
        report: how it was made; of an inverse, its error.
        moving_grid: the moving volume's grid, or None.
        inverse_displacement: Volume like displacement, w with which q -> q + w(q) undoes p -> p + u(p); None where it
            is not known.
    """

    affine: np.ndarray
    displacement: Volume | None
    grid: Grid | None
    report: dict = field(default_factory=dict)
    moving_grid: Grid | None = None
    inverse_displacement: Volume | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "affine", check_affine(self.affine))
        if self.displacement is not None and self.displacement.channels != 3:
            raise InputError("A displacement has three channels, mm along R, A and S; "
                             f"this one has {self.displacement.channels}.")

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (np.array(self.affine), self.displacement, self.grid, self.report, self.moving_grid,
                              self.inverse_displacement)

    def __repr__(self) -> str:
        parts = [self.report["transform"]] if "transform" in self.report else []
        parts.append("linear" if self.displacement is None else f"displacement of {self.displacement.grid.describe()}")
        where = np.zeros(3) if self.grid is None else self.grid.center_mm
        shift = np.linalg.norm(self.points(where[None])[0] - where)
        parts.append(f"moves {'the origin' if self.grid is None else 'the center'} by {shift:.3g} mm")
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def is_linear(self) -> bool:
        """Whether the map is the affine alone."""
        return self.displacement is None

    def points(self, points_mm: np.ndarray) -> np.ndarray:
        """Where fixed points, (N, 3) RAS mm, lie in the moving volume."""
        points = np.asarray(points_mm, dtype=np.float64)
        if self.displacement is not None:
            from meddl.spatial.resample import sample_at

            points = points + sample_at(self.displacement, points)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def inverse_points(self, points_mm: np.ndarray) -> np.ndarray:
        """Where moving points, (N, 3) RAS mm, lie in the fixed volume; found point by point, to 0.001 mm."""
        points = np.asarray(points_mm, dtype=np.float64)
        if self.displacement is not None:
            from meddl.spatial.displacement import inverse_points

            return inverse_points(self.affine, self.displacement, points)[0]
        back = np.linalg.inv(self.affine)
        return points @ back[:3, :3].T + back[:3, 3]

    def warp(self, volume: Volume, interpolation: str = "linear", grid: Grid | None = None,
             on_progress: ProgressCallback | None = None) -> Volume:
        """`volume`, which lies where the moving volume lies, resampled on the fixed grid (or on `grid`).

        Args:
            interpolation: one of `meddl.core.config.INTERPOLATIONS`; "nearest" for label maps.

        Raises:
            InputError: an unknown interpolation, or no grid is known.
        """
        from meddl.spatial.resample import resample

        return resample(volume, self._grid_or(grid), interpolation, transform=self.affine,
                        displacement=self.displacement, on_progress=on_progress)

    def then(self, second: Transform) -> Self:
        """This map and then `second`, as one: from this one's fixed points to the second one's moving points."""
        from meddl.spatial.displacement import compose

        affine, displacement = compose(self.affine, self.displacement, second.affine, second.displacement)
        return type(self)(affine, displacement, self.grid, {}, second.moving_grid)

    def invert(self, on_progress: ProgressCallback | None = None, grid: Grid | None = None) -> Self:
        """The map from moving to fixed points.

        Its displacement, if any, lies on a grid with right angles around the image of the fixed field of view, along
        the axes of the moving grid where that is known, with the voxel size of this displacement or a smaller one
        where the inverse bends more. Its report says `inverse_error_mm`, the distance between a point and its way
        there and back: mean, and 99.9th percentile over the fixed field of view.

        Args:
            grid: of the inverse's displacement, instead; at its voxels the inverse is exact.

        Raises:
            Cancelled: from `on_progress`.
        """
        if self.inverse_displacement is not None and grid is None:
            return self.exchange()
        if self.displacement is not None:
            from meddl.spatial.inverse import inverse_transform

            return inverse_transform(self, self.displacement, on_progress, grid)
        return type(self)(np.linalg.inv(self.affine), None, self.moving_grid or self.grid, self.report, self.grid)

    def exchange(self) -> Self:
        """The map from moving to fixed points of a registration whose inverse displacement is known: nothing is
        computed but the change of axes, and its own inverse is this map."""
        from meddl.spatial.displacement import compose

        back = np.linalg.inv(self.affine)
        _, displacement = compose(back, None, np.eye(4), self.inverse_displacement)
        _, inverse = compose(back, None, np.eye(4), self.displacement)
        return type(self)(back, displacement, self.moving_grid, self.report, self.grid, inverse)

    exchanged = exchange  # its name in version 0.1.0

    def jacobian(self, on_progress: ProgressCallback | None = None) -> Volume:
        """The determinant of the map's derivative, affine included, on the fixed grid: above 1 where a piece of the
        fixed volume is larger in the moving volume, 0 and below where space folds. Volume (1, I, J, K) float32.

        Raises:
            InputError: a linear map without a known grid.
        """
        if self.displacement is None:
            grid = self._grid_or(None)
            determinant = np.float32(np.linalg.det(self.affine[:3, :3]))
            return Volume.scalar(np.broadcast_to(determinant, grid.shape).copy(), grid.affine)
        from meddl.spatial.displacement import jacobian_determinant
        from meddl.spatial.resample import resample

        found = jacobian_determinant(self.displacement, self.affine, span(on_progress, 0.0, 0.5))
        if self.grid is None or found.grid.same_as(self.grid):
            return found
        return resample(found, self.grid, clamp=True, on_progress=span(on_progress, 0.5, 1.0))

    def flatten(self, margin_mm: float | None = None, tolerance_mm: float = 0.0) -> Volume:
        """The whole map as one displacement field, p_moving - p_fixed in RAS mm, as Slicer and ITK hold it.

        Around the fixed field of view, within which it is exactly this map, lies a margin in which it falls to zero:
        see `meddl.spatial.flatten.flatten`.

        Args:
            margin_mm: width of the margin; default: wide enough that the field can be inverted.
            tolerance_mm: so far the field may be from this map; above 0 it has the coarsest grid that keeps that, and
                rounded vectors.

        Raises:
            InputError: a linear map without a known grid.
        """
        from meddl.spatial.flatten import flatten

        return flatten(self.affine, self.displacement, self._field_grid(), margin_mm, tolerance_mm)[0]

    flattened = flatten  # its name in version 0.1.0

    def as_field(self, tolerance_mm: float = 0.0,
                 on_progress: ProgressCallback | None = None) -> tuple[Volume, np.ndarray | None]:
        """The map as Slicer and ITK hold it: a displacement field in RAS mm, and a 4x4 matrix applied after it.

        The matrix is None, the field the whole map, as of `flatten`, wherever that can be inverted. Where the map
        turns or moves the volume too far for that, the field is the displacement alone and the matrix the affine.
        `tolerance_mm` is that of `flatten`.
        """
        from meddl.spatial.flatten import flatten

        grid = self._field_grid()
        field, invertible = flatten(self.affine, self.displacement, grid, tolerance_mm=tolerance_mm,
                                    on_progress=on_progress)
        if invertible:
            return field, None
        return flatten(np.eye(4), self.displacement, grid, tolerance_mm=tolerance_mm)[0], np.array(self.affine)

    def _field_grid(self) -> Grid:
        return self._grid_or(self.grid if self.displacement is None else self.grid or self.displacement.grid)

    def _grid_or(self, grid: Grid | None) -> Grid:
        found = grid or self.grid
        if found is None:
            raise InputError("The fixed volume's grid is not known to this registration. Give the grid.")
        return found
