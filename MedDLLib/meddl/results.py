"""What the verbs return."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meddl.errors import InputError
from meddl.geometry import Grid, check_affine
from meddl.progress import ProgressCallback, span
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
        displacement: Volume (3, I, J, K), mm along R, A, S, on the fixed grid or a coarser one over the same field of
            view, linear between its voxels and with its edge value beyond them; None for a linear result.
        grid: the fixed volume's grid; None where it is not known, as for a matrix that was read from a file.
        report: seconds by stage, device, peak_memory_mb, warnings, metric before and after.
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

    def __post_init__(self):
        object.__setattr__(self, "affine", check_affine(self.affine))
        if self.displacement is not None and self.displacement.channels != 3:
            raise InputError("A displacement has three channels, mm along R, A and S; "
                             f"this one has {self.displacement.channels}.")

    def __reduce__(self):
        return Registration, (np.array(self.affine), self.displacement, self.grid, self.report, self.moving_grid,
                              self.inverse_displacement)

    @property
    def is_linear(self) -> bool:
        """Whether the map is the affine alone."""
        return self.displacement is None

    def points(self, points_mm: np.ndarray) -> np.ndarray:
        """Where fixed points, (N, 3) RAS mm, lie in the moving volume."""
        points = np.asarray(points_mm, dtype=np.float64)
        if self.displacement is not None:
            from meddl.resample import sample_at

            points = points + sample_at(self.displacement, points)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def inverse_points(self, points_mm: np.ndarray) -> np.ndarray:
        """Where moving points, (N, 3) RAS mm, lie in the fixed volume; found point by point, to 0.001 mm."""
        points = np.asarray(points_mm, dtype=np.float64)
        if self.displacement is not None:
            from meddl.fields import inverse_points

            return inverse_points(self.affine, self.displacement, points)[0]
        back = np.linalg.inv(self.affine)
        return points @ back[:3, :3].T + back[:3, 3]

    def warp(self, volume: Volume, interpolation: str = "linear", grid: Grid | None = None,
             on_progress: ProgressCallback | None = None) -> Volume:
        """`volume`, which lies where the moving volume lies, resampled on the fixed grid (or on `grid`).

        Args:
            interpolation: one of `meddl.config.INTERPOLATIONS`; "nearest" for label maps.

        Raises:
            InputError: an unknown interpolation, or no grid is known.
        """
        from meddl.resample import resample

        return resample(volume, self._grid_or(grid), interpolation, transform=self.affine,
                        displacement=self.displacement, on_progress=on_progress)

    def warp_segmentation(self, segmentation: Segmentation, grid: Grid | None = None,
                          on_progress: ProgressCallback | None = None) -> Segmentation:
        """A segmentation of the moving volume on the fixed grid (or on `grid`): labels by nearest neighbor."""
        target = self._grid_or(grid)
        labels = self.warp(Volume.scalar(segmentation.labels, segmentation.affine), "nearest", target, on_progress)
        confidence = None
        if segmentation.confidence is not None:
            volume = Volume.scalar(segmentation.confidence, segmentation.affine)
            confidence = self.warp(volume, "linear", target).scalar_data
        return Segmentation(labels.scalar_data, target.affine, segmentation.segments, confidence)

    def then(self, second: "Registration") -> "Registration":
        """This map and then `second`, as one: from this one's fixed points to the second one's moving points."""
        from meddl.fields import compose

        affine, displacement = compose(self.affine, self.displacement, second.affine, second.displacement)
        return Registration(affine, displacement, self.grid, {}, second.moving_grid)

    def invert(self, on_progress: ProgressCallback | None = None, grid: Grid | None = None) -> "Registration":
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
            return self.exchanged()
        if self.displacement is not None:
            from meddl.inverse import inverse_registration

            return inverse_registration(self, on_progress, grid)
        return Registration(np.linalg.inv(self.affine), None, self.moving_grid or self.grid, self.report, self.grid)

    def exchanged(self) -> "Registration":
        """The map from moving to fixed points of a registration whose inverse displacement is known: nothing is
        computed but the change of axes, and its own inverse is this map."""
        from meddl.fields import compose

        back = np.linalg.inv(self.affine)
        _, displacement = compose(back, None, np.eye(4), self.inverse_displacement)
        _, inverse = compose(back, None, np.eye(4), self.displacement)
        return Registration(back, displacement, self.moving_grid, self.report, self.grid, inverse)

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
        from meddl.fields import jacobian_determinant
        from meddl.resample import resample

        found = jacobian_determinant(self.displacement, self.affine, span(on_progress, 0.0, 0.5))
        if self.grid is None or found.grid.same_as(self.grid):
            return found
        return resample(found, self.grid, clamp=True, on_progress=span(on_progress, 0.5, 1.0))

    def flattened(self, margin_mm: float | None = None) -> Volume:
        """The whole map as one displacement field, p_moving - p_fixed in RAS mm, as Slicer and ITK hold it.

        Around the fixed field of view, within which it is exactly this map, lies a margin in which it falls to zero:
        see `meddl.fields.flatten`.

        Args:
            margin_mm: width of the margin; default: wide enough that the field can be inverted.

        Raises:
            InputError: a linear map without a known grid.
        """
        from meddl.fields import flatten

        grid = self.grid if self.displacement is None else self.grid or self.displacement.grid
        return flatten(self.affine, self.displacement, self._grid_or(grid), margin_mm)[0]

    def as_field(self) -> tuple[Volume, np.ndarray | None]:
        """The map as Slicer and ITK hold it: a displacement field in RAS mm, and a 4x4 matrix applied after it.

        The matrix is None, the field the whole map, as of `flattened`, wherever that can be inverted. Where the map
        turns or moves the volume too far for that, the field is the displacement alone and the matrix the affine.
        """
        from meddl.fields import flatten

        grid = self._grid_or(self.grid if self.displacement is None else self.grid or self.displacement.grid)
        field, invertible = flatten(self.affine, self.displacement, grid)
        if invertible:
            return field, None
        return flatten(np.eye(4), self.displacement, grid)[0], np.array(self.affine)

    def save(self, path: str | Path) -> None:
        """Write the map for ITK and Slicer: see `meddl.io.save_transform`."""
        from meddl.io import save_transform

        save_transform(self, path)

    def _grid_or(self, grid: Grid | None) -> Grid:
        found = grid or self.grid
        if found is None:
            raise InputError("The fixed volume's grid is not known to this registration. Give the grid.")
        return found


@dataclass(frozen=True, eq=False)
class SeriesRegistration:
    """The frames of a time series, each brought to one reference.

    Attributes:
        frames: for each frame the map from points of the reference to points of that frame; the identity for a frame
            that is the reference.
        corrected: (T, I, J, K) float32, all frames on the reference's grid; zero where a frame does not reach.
        reference: one channel, what the frames were registered to: one of them, or their mean.
        report: see `meddl.register_series`.
    """

    frames: tuple[Registration, ...]
    corrected: Volume
    reference: Volume
    report: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Template:
    """The mean of several volumes.

    Attributes:
        image: one channel, float32.
        maps: for each volume the map from points of the template to points of that volume: its `warp` brings the
            volume onto the template.
        report: see `meddl.build_template`.
    """

    image: Volume
    maps: tuple[Registration, ...]
    report: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SuperResolution:
    """A sharper volume.

    Attributes:
        volume: same field of view, smaller voxels.
        report: seconds by stage, device, peak_memory_mb, warnings, axis, factor.
        difference: of SRGAN, the distance from the same network without adversarial training, on the volume's grid,
            in units of the noise (in intensities where no noise was found); else None.
    """

    volume: Volume
    report: dict = field(default_factory=dict)
    difference: Volume | None = None
