"""What the three verbs return."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meddl.errors import GeometryError, InputError
from meddl.geometry import Grid, check_affine
from meddl.volume import Volume


@dataclass(frozen=True)
class Segment:
    """One structure of a segmentation.

    Attributes:
        value: its number in the label array.
        name: the name that a person reads.
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

    def __post_init__(self):
        if self.labels.ndim != 3 or self.labels.dtype not in (np.uint8, np.uint16):
            raise InputError(
                "Labels have shape (I, J, K) and type uint8 or uint16; "
                f"these have shape {self.labels.shape} and type {self.labels.dtype}.")
        object.__setattr__(self, "affine", check_affine(self.affine))
        object.__setattr__(self, "segments", tuple(self.segments))

    def __reduce__(self):
        return Segmentation, (self.labels, np.array(self.affine), self.segments, self.confidence, self.report)

    @property
    def grid(self) -> Grid:
        """The voxels' places."""
        return Grid(self.labels.shape, self.affine)


@dataclass(frozen=True, eq=False)
class Registration:
    """A map from points of the fixed volume to points of the moving volume, RAS mm.

    A fixed point p goes to `affine @ (p + u(p))`, with u the displacement, zero where there is none.

    Attributes:
        affine: 4x4 in RAS mm.
        displacement: Volume (3, I, J, K), mm along R, A, S, on the fixed grid; None for a linear result.
        grid: the fixed volume's grid.
        report: seconds by stage, device, peak_memory_mb, warnings, metric before and after.
    """

    affine: np.ndarray
    displacement: Volume | None
    grid: Grid
    report: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "affine", check_affine(self.affine))

    def __reduce__(self):
        return Registration, (np.array(self.affine), self.displacement, self.grid, self.report)

    def points(self, points_mm: np.ndarray) -> np.ndarray:
        """Where fixed points, (N, 3) RAS mm, lie in the moving volume."""
        points = np.asarray(points_mm, dtype=np.float64)
        if self.displacement is not None:
            from meddl.resample import sample_at

            points = points + sample_at(self.displacement, points)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def warp(self, volume: Volume, interpolation: str = "linear", grid: Grid | None = None) -> Volume:
        """`volume`, which lies where the moving volume lies, resampled on the fixed grid (or on `grid`)."""
        from meddl.resample import resample

        return resample(volume, grid or self.grid, interpolation, transform=self.affine,
                        displacement=self.displacement)

    def invert(self) -> "Registration":
        """The map from moving to fixed points, on the same grid.

        Raises:
            GeometryError: the result is deformable; its inverse is not given in closed form.
        """
        if self.displacement is not None:
            raise GeometryError("Only a linear registration can be inverted in closed form.")
        return Registration(np.linalg.inv(self.affine), None, self.grid, self.report)

    def save(self, path: str | Path) -> None:
        """Write the map as an ITK transform file (.h5, .tfm, .txt)."""
        from meddl.io import save_transform

        save_transform(self, path)


@dataclass(frozen=True, eq=False)
class SuperResolution:
    """A sharper volume.

    Attributes:
        volume: same field of view, smaller voxels.
        report: seconds by stage, device, peak_memory_mb, warnings, axis, factor.
    """

    volume: Volume
    report: dict = field(default_factory=dict)
