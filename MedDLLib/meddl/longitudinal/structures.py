"""Volumes of structures at two dates, and what the Jacobian determinant of a deformation says of them."""

import numpy as np

from meddl.comparison.matching import Match, match_structures, segments_of
from meddl.core.progress import ProgressCallback, report
from meddl.spatial.resample import resample
from meddl.spatial.segmentation import Segmentation
from meddl.spatial.volume import Volume

_VALUES = 65536       # of labels
_LEAST_JACOBIAN = 1e-3  # of a fold, whose logarithm does not exist


def structure_rows(baseline: Segmentation, follow_up: Segmentation | None, z: Volume, jacobian: Volume | None,
                   on_progress: ProgressCallback | None = None) -> list[dict]:
    """A dictionary for each structure.

    Args:
        baseline, follow_up: of the two dates, each on any grid of its own date's space.
        z: the difference in units of the noise, in the baseline's space.
        jacobian: of the deformation from the baseline to the follow-up, in the baseline's space; None for a linear one.

    Returns:
        `structure`, `baseline_ml`; of two segmentations `follow_up_ml`, `change_ml`, `change_percent`; of a
        deformation `mean_jacobian`, `mean_log_jacobian` and `jacobian_change_percent`, 100 (mean J - 1), the change of
        the structure's volume; `mean_z`. None where there is no such figure.
    """
    pairs = (tuple(Match(segment.name, None, segment.value) for segment in segments_of(baseline, "baseline"))
             if follow_up is None else match_structures(follow_up, baseline))
    before = _volumes_ml(baseline)
    after = None if follow_up is None else _volumes_ml(follow_up)
    values = baseline.labels.ravel()
    counts, sums = np.bincount(values, minlength=_VALUES), {}
    for name, volume in (("z", z), ("jacobian", jacobian)):
        if volume is None:
            continue
        report(on_progress, 0.3, "Measuring structures")
        on_grid = volume if volume.grid.same_as(baseline.grid) else resample(volume, baseline.grid, clamp=True)
        data = on_grid.scalar_data.ravel()
        sums[name] = np.bincount(values, data, _VALUES)
        if name == "jacobian":
            sums["log"] = np.bincount(values, np.log(np.maximum(data, _LEAST_JACOBIAN)), _VALUES)
    return [_row(pair, before, after, counts, sums) for pair in pairs]


def _row(pair: Match, before: np.ndarray, after: np.ndarray | None, counts: np.ndarray, sums: dict) -> dict:
    value = pair.reference
    first = 0.0 if value is None else float(before[value])
    row: dict = {"structure": pair.name, "baseline_ml": first}
    if after is not None:
        second = 0.0 if pair.prediction is None else float(after[pair.prediction])
        row.update(follow_up_ml=second, change_ml=second - first, change_percent=percent_change(first, second))
    means = {name: float(total[value] / counts[value]) if value is not None and counts[value] else None
             for name, total in sums.items()}
    if "jacobian" in means:
        mean = means["jacobian"]
        row.update(mean_jacobian=mean, mean_log_jacobian=means["log"],
                   jacobian_change_percent=None if mean is None else 100 * (mean - 1))
    row["mean_z"] = means["z"]
    return row


def percent_change(first: float, second: float) -> float | None:
    """Change of the second against the first in percent; None where the first is 0."""
    return 100 * (second - first) / first if first > 0 else None


def _volumes_ml(segmentation: Segmentation) -> np.ndarray:
    counts = np.bincount(segmentation.labels.ravel(order="K"), minlength=_VALUES)
    return counts * segmentation.grid.voxel_volume_ml
