"""The commissures AC and PC, mapped from the average head by the centers of the structures around them.

Label maps have no label for the commissures. Their places in the average head that ships are the means of three heads
in which they were placed by hand (`landmark_errors.py --commissures`). In another head they lie where the affine map
takes them that fits the centers of the structures, near structures weighing most (moving least squares: S. Schaefer et
al., ACM Transactions on Graphics 25(3), 2006, doi:10.1145/1141911.1141920).
"""

import numpy as np

AROUND = (10, 49, 11, 50, 12, 51, 13, 52, 14, 16, 17, 53, 18, 54, 26, 58, 28, 60)  # labels whose centers are used
FEWEST = 8
_NEAR_MM = 12.0  # within which all structures weigh alike
AC_MM, PC_MM = (0.0, 18.4, 0.0), (0.1, -4.7, -2.9)  # in the average head


def map_by_centers(point: np.ndarray, reference: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a point of the reference lies in another head.

    Args:
        point: (3,) mm.
        reference: (N, 3) centers of structures about it, mm.
        centers: (N, 3) centers of the same structures in the other head, mm.

    Returns:
        `(position, weights)`: (3,) mm, and how much each structure counted, (N,), of sum 1.
    """
    weights = 1 / (np.square(reference - point).sum(axis=1) + _NEAR_MM ** 2)
    weights /= weights.sum()
    means = weights @ reference, weights @ centers
    here, there = reference - means[0], centers - means[1]
    normal = here.T @ (weights[:, None] * here)
    linear = np.linalg.solve(normal, here.T @ (weights[:, None] * there))
    return (point - means[0]) @ linear + means[1], weights
