"""Comparison of two transforms, and the target registration error of one at landmarks."""

from dataclasses import dataclass, field

import numpy as np

from meddl.core.errors import InputError
from meddl.spatial.grid import Grid
from meddl.spatial.points import Points, match_points
from meddl.spatial.transform import Transform

_MOST_POINTS = 200_000


@dataclass(frozen=True, eq=False)
class PointErrors:
    """Distances between where two maps bring the same points.

    Attributes:
        distances_mm: (N,) at each point.
        names: of the points; numbers from 1 where they have none.
        report: `mean_mm`, `sd_mm`, `median_mm`, `p95_mm`, `max_mm`, `points`, and before registration `before_mm`.
    """

    distances_mm: np.ndarray
    names: tuple[str, ...]
    report: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return (f"PointErrors({len(self.distances_mm)} points, mean {self.report['mean_mm']:.3g} mm, largest "
                f"{self.report['max_mm']:.3g} mm)")

    def rows(self) -> list[dict]:
        """One dictionary for each point."""
        return [{"point": name, "distance_mm": float(distance)}
                for name, distance in zip(self.names, self.distances_mm, strict=True)]


def compare_transforms(transform: Transform, reference: Transform, grid: Grid | None = None) -> PointErrors:
    """How far apart two transforms bring the points of a grid.

    Args:
        grid: its voxels, thinned out to 200,000, are the points; default the reference's grid, else the transform's.

    Raises:
        InputError: no grid is known.
    """
    grid = grid or reference.grid or transform.grid
    if grid is None:
        raise InputError("Neither transform knows the grid of its fixed volume. Give the fixed volume.")
    step = max(1, int(np.ceil((np.prod(grid.shape) / _MOST_POINTS) ** (1 / 3))))
    indices = np.stack(np.meshgrid(*[np.arange(0, size, step) for size in grid.shape], indexing="ij"), axis=-1)
    points = grid.points_mm(indices.reshape(-1, 3))
    return _errors(transform.points(points), reference.points(points), ())


def landmark_errors(transform: Transform | None, fixed: Points, moving: Points) -> PointErrors:
    """The target registration error: how far from the moving landmarks the fixed ones are brought, mm.

    J. M. Fitzpatrick, J. B. West, IEEE Transactions on Medical Imaging 20(9), 2001, doi:10.1109/42.952729.

    Args:
        transform: from fixed to moving points; None: as the two volumes lie.
        fixed, moving: matched by name, else by order.

    Raises:
        InputError: no landmarks in common.
    """
    here, there = match_points(fixed, moving)
    shared = tuple(label for label in fixed.labels if label and label in set(moving.labels))
    names = next((one for one in (shared, fixed.labels) if len(one) == len(here) and all(one)), ())
    made = _errors(here if transform is None else transform.points(here), there, names)
    before = np.linalg.norm(here - there, axis=1)
    return PointErrors(made.distances_mm, made.names, {**made.report, "before_mm": float(before.mean())})


def _errors(found: np.ndarray, expected: np.ndarray, names: tuple[str, ...]) -> PointErrors:
    distances = np.linalg.norm(np.asarray(found) - np.asarray(expected), axis=1)
    return PointErrors(distances, names or tuple(str(n) for n in range(1, len(distances) + 1)), {
        "mean_mm": float(distances.mean()), "sd_mm": float(distances.std(ddof=1)) if len(distances) > 1 else None,
        "median_mm": float(np.median(distances)), "p95_mm": float(np.percentile(distances, 95)),
        "max_mm": float(distances.max()), "points": len(distances), "warnings": []})
