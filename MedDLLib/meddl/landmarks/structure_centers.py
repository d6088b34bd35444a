"""Centers of the structures of a label map."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from meddl.spatial.grid import Grid


@dataclass(frozen=True)
class StructureCenter:
    """Where the voxels of a structure lie.

    Attributes:
        position_mm: their center of mass, (3,) RAS mm.
        volume_ml: of all of them.
        at_edge: whether one is at the edge of the field of view, so that part of the structure may lie beyond.
    """

    position_mm: np.ndarray
    volume_ml: float
    at_edge: bool


def structure_centers(labels: np.ndarray, grid: Grid, values: Iterable[int]) -> dict[int, StructureCenter]:
    """The structures that a label map (I, J, K) has, of these label values."""
    boxes = ndimage.find_objects(labels)
    found = {}
    for value in values:
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is None:
            continue
        voxels = np.argwhere(labels[box] == value) + [part.start for part in box]
        at_edge = any(part.start == 0 or part.stop == size for part, size in zip(box, labels.shape, strict=True))
        found[value] = StructureCenter(grid.points_mm(voxels.mean(axis=0)), len(voxels) * grid.voxel_volume_ml, at_edge)
    return found
