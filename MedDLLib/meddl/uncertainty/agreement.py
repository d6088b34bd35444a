"""How far several label maps of one volume agree: voxel by voxel, and structure by structure.

Entropy over repeated runs as test-time uncertainty: G. Wang et al., "Aleatoric uncertainty estimation with test-time
augmentation for medical image segmentation with convolutional neural networks", Neurocomputing 338, 2019,
doi:10.1016/j.neucom.2019.01.103. Figures by structure: A. G. Roy et al., "Bayesian QuickNAT", NeuroImage 195, 2019,
doi:10.1016/j.neuroimage.2019.03.042.
"""

from collections.abc import Sequence

import numpy as np

from meddl.core.progress import ProgressCallback, report
from meddl.measures.overlap import dice
from meddl.results import Segment
from meddl.spatial.label_maps import structure_volumes_ml

INTERVAL_PERCENT = 95.0
_VOXELS_AT_ONCE = 1 << 21


def label_disagreement(label_maps: Sequence[np.ndarray], measure: str) -> np.ndarray:
    """Entropy (nats) or variation ratio of the labels at each voxel, (I, J, K) float32.

    Args:
        label_maps: of N runs, each (I, J, K); entropy reaches log(N), the variation ratio 1 - 1 / N.
        measure: one of `meddl.core.config.UNCERTAINTY_MEASURES`.
    """
    shape, count = label_maps[0].shape, len(label_maps)
    found = np.zeros(shape, dtype=np.float32, order="F")
    box = _box_of_labels(label_maps)
    if box is None:
        return found
    rows = max(1, _VOXELS_AT_ONCE // ((box[1].stop - box[1].start) * (box[2].stop - box[2].start)))
    table = -np.log(np.arange(1, count + 1) / count).astype(np.float32) / count
    for start in range(box[0].start, box[0].stop, rows):
        place = (slice(start, min(start + rows, box[0].stop)), *box[1:])
        parts = [labels[place] for labels in label_maps]
        most = np.zeros(parts[0].shape, dtype=np.uint8)
        entropy = np.zeros(parts[0].shape, dtype=np.float32)
        for part in parts:
            same = np.sum([part == other for other in parts], axis=0, dtype=np.uint8)
            np.maximum(most, same, out=most)
            if measure == "entropy":
                entropy += table[same - 1]
        found[place] = np.maximum(entropy, 0) if measure == "entropy" else 1 - most / np.float32(count)
    return found


def structure_intervals(label_maps: Sequence[np.ndarray], segments: Sequence[Segment], voxel_volume_ml: float,
                        on_progress: ProgressCallback | None = None) -> list[dict]:
    """For each structure that some run has found: its volume, and how far the runs agree on it.

    Args:
        label_maps: of the runs, that of the unperturbed volume first.

    Returns:
        Rows with structure, volume_ml (of the first run), low_ml and high_ml (between which 95 % of the runs lie),
        mean_ml, sd_ml, variation (sd_ml / mean_ml) and dice (mean over the other runs, with the first).
    """
    values = [segment.value for segment in segments]
    volumes = np.array([structure_volumes_ml(labels, values, voxel_volume_ml) for labels in label_maps])
    overlaps = []
    for number, labels in enumerate(label_maps[1:]):
        report(on_progress, number / len(label_maps), "Measuring the structures")
        overlaps.append(dice(labels, label_maps[0], values))
    overlap = np.mean(overlaps, axis=0)
    tail = (100 - INTERVAL_PERCENT) / 2
    low, high = np.percentile(volumes, (tail, 100 - tail), axis=0)
    mean, spread = volumes.mean(axis=0), volumes.std(axis=0, ddof=1)
    return [{"structure": segment.name, "volume_ml": round(float(volumes[0, n]), 3), "low_ml": round(float(low[n]), 3),
             "high_ml": round(float(high[n]), 3), "mean_ml": round(float(mean[n]), 3),
             "sd_ml": round(float(spread[n]), 4), "variation": round(float(spread[n] / mean[n]), 4),
             "dice": round(float(overlap[n]), 4)}
            for n, segment in enumerate(segments) if mean[n] > 0]


def _box_of_labels(label_maps: Sequence[np.ndarray]) -> tuple[slice, ...] | None:
    """The box around all that is labeled in some map; None where nothing is."""
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        present = np.flatnonzero(np.any([labels.any(axis=others) for labels in label_maps], axis=0))
        if not present.size:
            return None
        box.append(slice(int(present[0]), int(present[-1]) + 1))
    return tuple(box)
