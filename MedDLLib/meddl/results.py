"""What the verbs return."""

from dataclasses import dataclass, field
from pathlib import Path

from meddl import io
from meddl.core.config import FIELD_TOLERANCE_MM
from meddl.core.progress import ProgressCallback
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import fitting_interpolation
from meddl.spatial.segmentation import Segment, Segmentation
from meddl.spatial.transform import Transform
from meddl.spatial.volume import Volume

__all__ = ["ContrastSynthesis", "Explanation", "Inpainting", "Registration", "Segment", "Segmentation",
           "SeriesDenoising", "SeriesRegistration", "SuperResolution", "Template", "Uncertainty", "asymmetry_percent",
           "load_transform", "low_confidence"]


@dataclass(frozen=True, eq=False)
class ContrastSynthesis:
    """A head as another contrast would show it: not measured.

    Attributes:
        volume: one channel, float32, on the grid of the input; 0 is black, the brightest tissue about 1000.
        report: see `meddl.synthesize_contrast`.
    """

    volume: Volume
    report: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ContrastSynthesis({self.report.get('contrast', '')}, {self.volume.grid.describe()})"


@dataclass(frozen=True, eq=False, repr=False)
class Registration(Transform):
    """The transform from points of the fixed volume to points of the moving volume, RAS mm, and the report of how it
    was found.

    Attributes:
        affine, displacement, grid, moving_grid, inverse_displacement: see `meddl.spatial.transform.Transform`.
        report: seconds by stage, device, peak_memory_mb, warnings, metric before and after.
    """

    def warp(self, volume: io.VolumeLike, interpolation: str | None = None, grid: Grid | None = None,
             on_progress: ProgressCallback | None = None) -> Volume:
        """As of a transform; `volume` may be the path of a file, and without `interpolation` what looks like a label
        map is resampled by nearest neighbor, all else linearly."""
        volume = io.as_volume(volume, "volume")
        return super().warp(volume, fitting_interpolation(volume.data, interpolation, "")[0], grid, on_progress)

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

    def save(self, path: str | Path, tolerance_mm: float = FIELD_TOLERANCE_MM) -> None:
        """Write the map for ITK and Slicer: see `meddl.io.save_transform`."""
        io.save_transform(self, path, tolerance_mm)


def low_confidence(report: dict) -> dict[str, float]:
    """The structures of a segmentation's report whose confidence is below its usual range, with that confidence."""
    usual = report.get("usual_confidence", {})
    return {name: value for name, value in report.get("confidence", {}).items()
            if name in usual and value < usual[name][0]}


def asymmetry_percent(volumes_ml: dict[str, float]) -> dict[str, float]:
    """Left-right asymmetry of the structures that have both sides, by the name of each side: the left volume minus the
    right one, in percent of their mean.

    Args:
        volumes_ml: by name; the sides begin with "left" and "right", in any case. Where both are 0 there is none.
    """
    pairs: dict[str, dict[str, tuple[str, float]]] = {}
    for name, volume in volumes_ml.items():
        side, _, rest = name.lower().partition(" ")
        if side in ("left", "right") and rest:
            pairs.setdefault(rest, {})[side] = name, float(volume or 0)
    found: dict[str, float] = {}
    for pair in pairs.values():
        if len(pair) == 2 and (total := pair["left"][1] + pair["right"][1]) > 0:
            value = 200 * (pair["left"][1] - pair["right"][1]) / total
            found |= {name: value for name, _ in pair.values()}
    return found


def load_transform(path: str | Path) -> Registration:
    """Read a transform file of ITK, Slicer or ANTs: see `meddl.io.load_transform`."""
    read = io.load_transform(path)
    return Registration(read.affine, read.displacement, read.grid)


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

    def __repr__(self) -> str:
        return f"SeriesRegistration({len(self.frames)} frames, {self.reference.grid.describe()})"


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

    def __repr__(self) -> str:
        return f"Template({len(self.maps)} volumes, {self.image.grid.describe()})"


@dataclass(frozen=True, eq=False)
class SuperResolution:
    """A sharper volume.

    Attributes:
        volume: same field of view, smaller voxels.
        report: seconds by stage, device, peak_memory_mb, warnings, axis, factor.
        difference: of SRGAN, the distance from the same network without adversarial training, on the volume's grid,
            in units of the noise (in intensities where no noise was found); else None.
        residual: the result acquired again less the measured slices (D x - y), on the grid of these, in intensities;
            None where it was not asked for.
    """

    volume: Volume
    report: dict = field(default_factory=dict)
    difference: Volume | None = None
    residual: Volume | None = None

    def __repr__(self) -> str:
        parts = [self.report["method"]] if "method" in self.report else []
        if "spacing_mm" in self.report:
            parts.append(f"from {' x '.join(f'{size:.3g}' for size in self.report['spacing_mm']['before'])} mm")
        return f"SuperResolution({', '.join([*parts, self.volume.grid.describe()])}, {self.volume.data.dtype})"


@dataclass(frozen=True, eq=False)
class SeriesDenoising:
    """A series with less noise.

    Attributes:
        volume: (T, I, J, K), the frames as channels, on their grid.
        report: see `meddl.denoise_series`.
    """

    volume: Volume
    report: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"SeriesDenoising({self.volume.channels} frames, {self.volume.grid.describe()})"


@dataclass(frozen=True, eq=False)
class Inpainting:
    """A volume with synthesized voxels.

    Attributes:
        volume: on the grid of the one given; outside of `filled` its voxels are the ones given.
        filled: uint8, 1 where a voxel is synthesized, else 0: one channel, or one for each of the volume's.
        report: see `meddl.inpaint`.
    """

    volume: Volume
    filled: Volume
    report: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return (f"Inpainting({self.report.get('filled_voxels', '?')} voxels synthesized, "
                f"{self.volume.grid.describe()}, {self.volume.data.dtype})")


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """How much a result varies over repeated runs on perturbed copies of its input.

    Attributes:
        map: float32, on the grid of the result. Segmentation: entropy (nats) or variation ratio of the labels;
            registration: spread of the displacement, mm; super-resolution: standard deviation, in intensities.
        reading: a sentence that says what a value means.
        report: runs, the perturbations, and the figures of the whole: see the function that made it.
    """

    map: Volume
    reading: str
    report: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where in a volume a structure of its segmentation depends on.

    Attributes:
        map: one channel, float32, 0 to 1, on the volume's grid.
        reading: a sentence that says what a value means, and of what: the whole pipeline or its network.
        report: model, structure, method, subject ("pipeline" or "network"), runs, seconds, device, warnings.
    """

    map: Volume
    reading: str
    report: dict = field(default_factory=dict)
