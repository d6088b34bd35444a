"""Initial alignments of a linear registration: headers, centers, centers of mass, principal axes, rotations."""

from dataclasses import dataclass

import numpy as np

from meddl.registration.images.pyramid import Level
from meddl.registration.linear.motion import spread_rotations


@dataclass(frozen=True, eq=False)
class InitialAlignment:
    """A candidate initialization: its name and its transform (4x4, fixed to moving, RAS mm)."""

    name: str
    affine: np.ndarray


def center_of_object_mm(level: Level) -> np.ndarray:
    """The center of mass of the object's mask in RAS mm, shape (3,)."""
    return level.grid.points_mm(_object_voxels(level).mean(axis=0))


def radius_of_object_mm(level: Level) -> float:
    """The root mean square distance of the object's voxels from their center in mm."""
    points = level.grid.points_mm(_object_voxels(level))
    return float(max(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()), level.spacing_mm))


def initial_alignments(fixed: Level, moving: Level, rotations: int) -> list[InitialAlignment]:
    """Candidates: the alignment by the headers (first), by centers and, if wanted, rotated about the centers of mass.

    With `rotations`, they include the four proper rotations that align the principal axes of the objects.
    """
    fixed_mass, moving_mass = center_of_object_mm(fixed), center_of_object_mm(moving)
    pairs = (("the given alignment", fixed_mass, fixed_mass),
             ("the centers of mass", fixed_mass, moving_mass),
             ("the centers of the fields of view", fixed.grid.center_mm, moving.grid.center_mm))
    found = [InitialAlignment(name, _move_point(np.eye(3), a, b)) for name, a, b in pairs]
    if rotations:
        from_axes, to_axes = principal_axes(fixed), principal_axes(moving)
        found += [InitialAlignment("the second moments",
                                   _move_point(to_axes @ np.diag(signs) @ from_axes.T, fixed_mass, moving_mass))
                  for signs in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    for rotation in spread_rotations(rotations):
        found.append(InitialAlignment("the centers of mass, turned", _move_point(rotation, fixed_mass, moving_mass)))
    return found


def principal_axes(level: Level) -> np.ndarray:
    """The axes of the object's second moments, a right-handed (3, 3), one a column, least spread first."""
    points = level.grid.points_mm(_object_voxels(level))
    axes = np.linalg.eigh(np.cov(points.T))[1]
    return axes * (1, 1, np.sign(np.linalg.det(axes)))


def _object_voxels(level: Level) -> np.ndarray:
    """Indices (N, 3) of the object's voxels."""
    return level.object_mask.nonzero().numpy()


def _move_point(rotation: np.ndarray, fixed_mm: np.ndarray, moving_mm: np.ndarray) -> np.ndarray:
    """The rotation that takes the point `fixed_mm` to `moving_mm`."""
    affine = np.eye(4)
    affine[:3, :3] = rotation
    affine[:3, 3] = moving_mm - rotation @ fixed_mm
    return affine
