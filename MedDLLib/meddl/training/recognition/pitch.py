"""How far a head nods: its rotation about the left-right axis against the average head."""

from functools import lru_cache

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from meddl.samples import head_labels

# Structures near the middle of the brain, left and right.
_STRUCTURES = (10, 49, 11, 50, 12, 51, 13, 52, 14, 15, 16, 17, 53, 18, 54, 28, 60)


def pitch_deg(labels: np.ndarray) -> float:
    """Degrees that a head is turned with its face up, against the average head: by the centers of its structures, least
    squares (W. Kabsch, Acta Crystallographica A32, 1976, doi:10.1107/S0567739476001873).

    Args:
        labels: (I, J, K), axes R, A, S, voxels of equal sides, with the values of the model `brain`.
    """
    centers, reference = _centers(labels), _average()
    both = np.isfinite(centers + reference).all(axis=1)
    turn, _ = Rotation.align_vectors(*(one[both] - one[both].mean(axis=0) for one in (centers, reference)))
    return float(np.degrees(turn.as_rotvec()[0]))


@lru_cache(maxsize=1)
def _average() -> np.ndarray:
    return _centers(head_labels()[0])


def _centers(labels: np.ndarray) -> np.ndarray:
    """Centers of the structures, (N, 3) voxels; NaN for those that are not there."""
    found = ndimage.find_objects(labels.astype(np.int32))
    centers = np.full((len(_STRUCTURES), 3), np.nan)
    for row, value in enumerate(_STRUCTURES):
        box = found[value - 1] if value <= len(found) else None
        if box is not None:
            centers[row] = np.argwhere(labels[box] == value).mean(axis=0) + [part.start for part in box]
    return centers
