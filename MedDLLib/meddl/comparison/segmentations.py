"""Comparison of a segmentation with a reference, structure by structure."""

from dataclasses import dataclass, field

import numpy as np

from meddl.comparison.matching import Match, common_labels, match_structures
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.measures.config import COMPARED_REGIONS, CompareConfig
from meddl.measures.overlap import OverlapOptions, StructureMetrics, confusion
from meddl.measures.overlap import compare as measure
from meddl.spatial.grid import Grid
from meddl.spatial.segmentation import Segment, Segmentation
from meddl.spatial.volume import Volume

COLUMNS = ("dice", "iou", "accuracy", "sensitivity", "specificity", "precision", "f1", "volume_ml", "true_volume_ml",
           "volume_difference_ml", "hausdorff_mm", "hd95_mm", "mean_surface_distance_mm", "surface_dice")
_MISSED, _EXTRA, _SWAPPED = 1, 2, 3


@dataclass(frozen=True, eq=False)
class SegmentationComparison:
    """Agreement of a segmentation with a reference.

    Attributes:
        structures: name and label values of each structure compared.
        metrics: of each structure, in the same order; distances in mm, volumes in ml, nan where not defined.
        confusion: (L + 1, L + 1) int64, voxels by true structure (rows) and predicted structure (columns); the first
            of each is the background within the region.
        errors: voxels that are missed (1), extra (2), or of another structure (3), on the reference's grid.
        report: `region`, `resampled`, `tolerance_mm`, `warnings`, and means over the structures.
    """

    structures: tuple[Match, ...]
    metrics: tuple[StructureMetrics, ...]
    confusion: np.ndarray
    errors: Segmentation
    report: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        mean = self.report.get("mean", {}).get("dice")
        return (f"SegmentationComparison({len(self.structures)} structure{'s'[:len(self.structures) != 1]}"
                f"{'' if mean is None else f', mean Dice {mean:.3f}'})")

    def rows(self) -> list[dict]:
        """One dictionary for each structure: its name, how it was matched, its values, and the metrics of `COLUMNS`;
        None where a figure is not defined."""
        made = []
        for match, metrics in zip(self.structures, self.metrics, strict=True):
            figures = {name: float(getattr(metrics, name)) for name in COLUMNS}
            made.append({"structure": match.name, "matched_by": match.rule, "label": match.prediction,
                         "reference_label": match.reference,
                         **{name: None if np.isnan(figure) else figure for name, figure in figures.items()}})
        return made


def compare_segmentations(prediction: Segmentation, reference: Segmentation, *, match: str = CompareConfig.match,
                          region: str = CompareConfig.region, image: Volume | None = None,
                          tolerance_mm: float = CompareConfig.tolerance_mm, surfaces: bool = CompareConfig.surfaces,
                          on_progress: ProgressCallback | None = None
                          ) -> SegmentationComparison:
    """Compare a segmentation with a reference.

    Where the grids differ, the prediction is resampled once to the reference's grid, by nearest neighbor; voxels
    outside of it count as background.

    Args:
        match: what makes two structures the same: see `meddl.comparison.matching.match_structures`.
        region: where true negatives are counted, which rules accuracy and specificity: the whole "grid", the "box"
            around all structures of both, or the "body" in `image` with a margin.
        image: for the region "body": the volume in which the body is found (`body_mask`), on any grid.
        tolerance_mm: of the surface Dice.
        surfaces: whether surface distances are measured, which takes longest.

    Raises:
        InputError: no structure at all, an unknown region or rule, or a region "body" without an image.
        Cancelled: from `on_progress`.
    """
    from meddl.spatial.resample import resample

    matches = match_structures(prediction, reference, match)
    if not matches:
        raise InputError("Neither segmentation holds a structure; there is nothing to compare.")
    report(on_progress, 0.0, "Matching structures")
    ours = common_labels(prediction, [one.prediction for one in matches])
    theirs = common_labels(reference, [one.reference for one in matches])
    grid = reference.grid
    resampled = not prediction.grid.same_as(grid)
    if resampled:
        moved = resample(Volume.scalar(ours, prediction.affine), grid, "nearest")
        ours = moved.scalar_data.astype(np.uint16)
    values = range(1, len(matches) + 1)
    counts = confusion(ours, theirs, values, compared_region(region, ours, theirs, grid, image))
    found = measure(ours, theirs, grid.spacing_mm.tolist(), values,
                    OverlapOptions(surfaces, tolerance_mm, grid.voxel_volume_ml), counts=counts,
                    on_progress=span(on_progress, 0.1, 1.0))
    metrics = tuple(found[value] for value in values)
    notes = _warnings(matches, resampled, ours)
    summary = {"region": region, "resampled": "prediction to the reference's grid" if resampled else None,
               "tolerance_mm": tolerance_mm, "structures": len(matches), "warnings": notes,
               "mean": {name: _mean([getattr(one, name) for one in metrics]) for name in COLUMNS}}
    return SegmentationComparison(matches, metrics, counts.matrix, _errors(ours, theirs, reference), summary)


def compared_region(name: str, ours: np.ndarray, theirs: np.ndarray, grid: Grid, image: Volume | None
                    ) -> np.ndarray | None:
    """Where true negatives count, (I, J, K) bool; None: everywhere.

    Args:
        name, image: see `compare_segmentations`.
        ours, theirs: (I, J, K) labels or masks, which always count.

    Raises:
        InputError: an unknown region, or "body" without an image.
    """
    from meddl.segmentation.region_of_interest import body_mask
    from meddl.spatial.resample import resample

    if name not in COMPARED_REGIONS:
        raise InputError(f"The region is one of {', '.join(COMPARED_REGIONS)}; got '{name}'.")
    if name == "grid":
        return None
    mask = np.zeros(grid.shape, dtype=bool)
    if name == "body":
        if image is None:
            raise InputError("The region 'body' is found in an image; none was given.")
        return body_mask(resample(image, grid, "linear")) | (ours > 0) | (theirs > 0)
    occupied = np.nonzero((ours > 0) | (theirs > 0))
    if len(occupied[0]):
        mask[tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in occupied)] = True
    return mask


def _errors(ours: np.ndarray, theirs: np.ndarray, reference: Segmentation) -> Segmentation:
    """Where the two disagree."""
    labels = np.zeros(ours.shape, np.uint8)
    differ = ours != theirs
    labels[differ & (ours == 0)] = _MISSED
    labels[differ & (theirs == 0)] = _EXTRA
    labels[differ & (ours > 0) & (theirs > 0)] = _SWAPPED
    return Segmentation(labels, reference.affine, (
        Segment(_MISSED, "Missed", (0.85, 0.2, 0.2)), Segment(_EXTRA, "Extra", (0.2, 0.45, 0.9)),
        Segment(_SWAPPED, "Another structure", (0.95, 0.75, 0.2))))


def _warnings(matches: tuple[Match, ...], resampled: bool, ours: np.ndarray) -> list[str]:
    notes = []
    alone = [one.name for one in matches if not one.rule]
    if len(alone) == len(matches):
        notes.append("No structure of the two segmentations matches. Match them by 'value' or rename segments.")
    elif alone:
        shown = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        notes.append(f"Found in one of the two alone: {shown}.")
    if resampled and not ours.any():
        notes.append("The prediction has no labels where the reference's grid lies.")
    return notes


def _mean(figures: list[float]) -> float | None:
    """The mean of the figures that are defined; None where none is."""
    defined = [figure for figure in figures if not np.isnan(figure)]
    return float(np.mean(defined)) if defined else None
