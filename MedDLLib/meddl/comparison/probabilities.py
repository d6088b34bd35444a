"""Comparison of a probability or confidence volume with a reference segmentation: ROC curve and the area under it."""

from dataclasses import dataclass, field

import numpy as np

from meddl.comparison.matching import segments_of
from meddl.comparison.segmentations import compared_region
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.measures.config import CompareConfig
from meddl.measures.roc import Roc, roc_curve
from meddl.spatial.segmentation import Segmentation
from meddl.spatial.volume import Volume

_DIGITS = 5  # of scores that were interpolated


@dataclass(frozen=True, eq=False)
class ProbabilityComparison:
    """How well a volume of scores separates a structure from what is around it.

    Attributes:
        roc: the curve.
        report: `structure`, `auc`, `region`, `voxels`, `positives`, `resampled`, `warnings`.
    """

    roc: Roc
    report: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ProbabilityComparison({self.report['structure']}, AUC {self.report['auc']:.4f})"

    def rows(self) -> list[dict]:
        """One dictionary: the structure, the area under the curve, and voxels inside and in all."""
        return [{name: self.report[name] for name in ("structure", "auc", "positives", "voxels")}]

    def curve_rows(self) -> list[dict]:
        """One dictionary for each point of the curve; the threshold of the first one, infinite, is None."""
        return [{"threshold": float(threshold) if np.isfinite(threshold) else None,
                 "false_positive_rate": float(rate), "sensitivity": float(hits)}
                for threshold, rate, hits in zip(self.roc.thresholds, self.roc.false_positive_rate,
                                                 self.roc.sensitivity, strict=True)]


def compare_probability(volume: Volume, reference: Segmentation, *, structure: str | int | None = None,
                        region: str = CompareConfig.region, image: Volume | None = None,
                        on_progress: ProgressCallback | None = None) -> ProbabilityComparison:
    """Compare a volume of scores, higher where the structure is likelier, with a reference segmentation.

    Where the grids differ, the volume is resampled once to the reference's grid, linearly; what it does not cover is
    left out.

    Args:
        volume: one channel: probability, confidence, or any score.
        structure: name or label value; default: all structures of the reference together.
        region, image: which voxels count, all or those of a region: see
            `meddl.comparison.segmentations.compare_segmentations`. The area depends on it.

    Raises:
        InputError: no such structure or region, or no voxel inside or outside of the structure.
        Cancelled: from `on_progress`.
    """
    from meddl.spatial.resample import resample

    report(on_progress, 0.0, "Resampling")
    grid, truth, name = reference.grid, *_structure(reference, structure)
    inside = compared_region(region, truth, truth, grid, image)
    inside = np.ones(grid.shape, dtype=bool) if inside is None else inside
    resampled = not volume.grid.same_as(grid)
    if resampled:
        covered = resample(Volume.scalar(np.ones(volume.shape, np.uint8), volume.affine), grid, "nearest")
        inside = inside & (covered.scalar_data > 0)
        volume = resample(volume, grid, "linear")
    # Interpolation rounds; equal scores, of which there are many at 0 and 1, have to stay equal.
    scores = np.round(volume.scalar_data, _DIGITS) if resampled else volume.scalar_data
    inside = inside & np.isfinite(scores)
    report(on_progress, 0.3, "Comparing")
    roc = roc_curve(scores[inside], truth[inside])
    report(on_progress, 1.0, "Compared")
    return ProbabilityComparison(roc, {
        "structure": name, "auc": roc.auc, "region": region, "voxels": int(inside.sum()),
        "positives": int(truth[inside].sum()), "resampled": "volume to the reference's grid" if resampled else None,
        "warnings": [] if roc.auc >= 0.5 else ["The area is below 0.5: low scores lie inside of the structure."]})


def _structure(reference: Segmentation, wanted: str | int | None) -> tuple[np.ndarray, str]:
    """Where the structure is, (I, J, K) bool, and its name."""
    segments = segments_of(reference, "reference")
    if wanted is None:
        return reference.labels > 0, segments[0].name if len(segments) == 1 else "All structures"
    for segment in segments:
        if str(wanted) in (segment.name, str(segment.value)):
            return reference.labels == segment.value, segment.name
    raise InputError(f"The reference has no structure '{wanted}'; it has "
                     f"{', '.join(repr(segment.name) for segment in segments[:20])}.")
