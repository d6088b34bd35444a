"""Named points and boxes in space, and which of two lists of points belong together."""

from dataclasses import dataclass

import numpy as np

from meddl.core.errors import InputError


@dataclass(frozen=True, eq=False)
class Points:
    """Points with their names.

    Attributes:
        positions: (N, 3) float64, RAS mm.
        labels: N names; "" where a point has none.

    Raises:
        InputError: another shape, not finite, or another number of names.
    """

    positions: np.ndarray
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        positions = np.asarray(self.positions, dtype=np.float64)
        if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
            raise InputError("Points are N times three finite numbers in RAS mm; these have shape "
                             f"{positions.shape}, or are not finite.")
        if len(self.labels) != len(positions):
            raise InputError(f"Each point has one name; there are {len(positions)} points, {len(self.labels)} names.")
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "labels", tuple(str(label) for label in self.labels))

    def __reduce__(self) -> tuple[type, tuple[np.ndarray, tuple[str, ...]]]:
        return Points, (self.positions, self.labels)


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes along R, A and S with their names.

    Attributes:
        centers: (N, 3) float64, RAS mm.
        sizes: (N, 3) float64, mm along R, A and S, above 0.
        labels: N names.

    Raises:
        InputError: other shapes, not finite, a size that is not above 0, or another number of names.
    """

    centers: np.ndarray
    sizes: np.ndarray
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        Points(self.centers, self.labels)
        Points(self.sizes, self.labels)
        if not (np.asarray(self.sizes) > 0).all():
            raise InputError("The size of a box is above 0 along each axis.")
        object.__setattr__(self, "centers", np.asarray(self.centers, dtype=np.float64))
        object.__setattr__(self, "sizes", np.asarray(self.sizes, dtype=np.float64))
        object.__setattr__(self, "labels", tuple(str(label) for label in self.labels))

    @classmethod
    def none(cls) -> "Boxes":
        """No box at all."""
        return cls(np.zeros((0, 3)), np.zeros((0, 3)), ())


def box_overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes with other ones, (N,), 0 to 1.

    Args:
        one, other: (N, 2, 3): center and size of each, mm.
    """
    low, high = (np.stack([box[:, 0] + sign * box[:, 1] / 2 for box in (one, other)]) for sign in (-1, 1))
    shared = np.clip(high.min(axis=0) - low.max(axis=0), 0, None).prod(axis=1)
    return shared / (one[:, 1].prod(axis=1) + other[:, 1].prod(axis=1) - shared)


def match_points(fixed: Points, moving: Points) -> tuple[np.ndarray, np.ndarray]:
    """The points that both lists have, in the same order: two arrays (N, 3).

    Points belong together by name where the names in each list differ and some are in both lists; points whose name
    the other list lacks are left out. Else by their order.

    Raises:
        InputError: no names in common and different numbers of points, or no points.
    """
    if all(len(set(points.labels)) == len(points.labels) for points in (fixed, moving)):
        shared = [label for label in fixed.labels if label and label in set(moving.labels)]
        if shared:
            return (fixed.positions[[fixed.labels.index(label) for label in shared]],
                    moving.positions[[moving.labels.index(label) for label in shared]])
    if len(fixed.positions) != len(moving.positions):
        raise InputError(f"The points of the two lists belong together by name or by order; there are "
                         f"{len(fixed.positions)} fixed and {len(moving.positions)} moving points and no name is in "
                         "both lists. Give both the same points.")
    if not len(fixed.positions):
        raise InputError("There are no points in the lists. Place at least one pair.")
    return fixed.positions, moving.positions
