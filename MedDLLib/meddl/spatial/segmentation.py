"""Labels on a grid, and the structures that they stand for."""

from dataclasses import dataclass, field

import numpy as np

from meddl.core.errors import InputError
from meddl.spatial.grid import Grid, check_affine


@dataclass(frozen=True)
class Segment:
    """One structure of a segmentation.

    Attributes:
        value: its number in the label array.
        name: display name.
        color: red, green, blue, 0 to 1.
        terminology: codes, `{"category": [scheme, code, meaning], "type": [...], "modifier": [...] or None}`, or None.
    """

    value: int
    name: str
    color: tuple[float, float, float]
    terminology: dict | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Labels on the grid of the volume that they were found in.

    Attributes:
        labels: (I, J, K) uint8 or uint16; 0 is background.
        affine: 4x4, voxel index to RAS mm.
        segments: the structures that the labels may hold.
        confidence: (I, J, K) float32, probability of the label at each voxel, or None.
        report: seconds by stage, device, peak_memory_mb, warnings, volumes_ml and confidence by structure, model.
    """

    labels: np.ndarray
    affine: np.ndarray
    segments: tuple[Segment, ...]
    confidence: np.ndarray | None = None
    report: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or self.labels.dtype not in (np.uint8, np.uint16):
            raise InputError(
                "Labels have shape (I, J, K) and type uint8 or uint16; "
                f"these have shape {self.labels.shape} and type {self.labels.dtype}.")
        object.__setattr__(self, "affine", check_affine(self.affine))
        object.__setattr__(self, "segments", tuple(self.segments))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return Segmentation, (self.labels, np.array(self.affine), self.segments, self.confidence, self.report)

    @property
    def grid(self) -> Grid:
        """The voxels' places."""
        return Grid(self.labels.shape, self.affine)
