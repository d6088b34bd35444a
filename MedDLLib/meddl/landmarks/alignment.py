"""AC-PC alignment: the anterior commissure at the origin, the posterior one straight behind it, the head upright.

J. Talairach, P. Tournoux: "Co-Planar Stereotaxic Atlas of the Human Brain", Thieme 1988.
"""

import numpy as np

from meddl.core.errors import InputError

_LEAST_MM = 5.0


def ac_pc_matrix(anterior: np.ndarray, posterior: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The rigid transform from RAS mm to AC-PC coordinates: R, A, S from the anterior commissure.

    Args:
        anterior, posterior: the commissures, (3,) RAS mm.
        across: a direction across the mid-sagittal plane, left to right, (3,).

    Returns:
        4x4. The anterior commissure goes to 0, the posterior one to (0, -distance, 0), the direction into the plane of
        R and A.

    Raises:
        InputError: points that are too close, or a direction along the line between them.
    """
    line = np.asarray(anterior, float) - posterior
    across = np.asarray(across, float)
    if np.linalg.norm(line) < _LEAST_MM:
        raise InputError(f"The commissures are {np.linalg.norm(line):.1f} mm apart: they give no direction.")
    y = line / np.linalg.norm(line)
    x = across - (across @ y) * y
    if np.linalg.norm(x) < 0.1 * np.linalg.norm(across) or not np.linalg.norm(across):
        raise InputError("The direction from left to right lies along the line between the commissures.")
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([x, y, np.cross(x, y)])
    matrix[:3, 3] = -matrix[:3, :3] @ anterior
    return matrix


def lateral_direction(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray | None:
    """The direction across the mid-sagittal plane, (3,) unit, from pairs (left, right) of corresponding points, mm;
    None without any pair."""
    if not pairs:
        return None
    total = np.sum([np.subtract(right, left) for left, right in pairs], axis=0)
    return total / np.linalg.norm(total)
