"""Linear maps with few parameters, all in millimeters so that one step size serves them all."""

import numpy as np
import torch

from meddl.core.errors import InputError


def generators(transform: str, radius_mm: float) -> np.ndarray:
    """The directions (P, 4, 4) in which a map of this kind can change, about the origin.

    A unit of a translation moves every point by 1 mm; a unit of a rotation or a strain moves a point at
    `radius_mm` by about 1 mm.

    Args:
        transform: "translation" (3), "rigid" (6) or "affine" (12).
    """
    basis = []
    for axis in range(3):
        move = np.zeros((4, 4))
        move[axis, 3] = 1
        basis.append(move)
    if transform in ("rigid", "affine"):
        for a, b in ((1, 2), (2, 0), (0, 1)):
            turn = np.zeros((4, 4))
            turn[b, a], turn[a, b] = 1 / radius_mm, -1 / radius_mm
            basis.append(turn)
    if transform == "affine":
        for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (2, 0), (0, 1)):
            strain = np.zeros((4, 4))
            strain[a, b] = strain[b, a] = 1 / radius_mm
            basis.append(strain)
    if transform not in ("translation", "rigid", "affine"):
        raise InputError(f"A transform is translation, rigid or affine; got '{transform}'.")
    return np.stack(basis)


def motion_matrix(parameters: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """The 4x4 map exp(sum p_i G_i) of parameters (P,) in mm and generators (P, 4, 4)."""
    return torch.linalg.matrix_exp(torch.tensordot(parameters, basis, dims=1))


def about(center_mm: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The 4x4 map that does `matrix` with `center_mm` as the origin."""
    shift = np.eye(4)
    shift[:3, 3] = center_mm
    return shift @ matrix @ np.linalg.inv(shift)


def rotation_angle_deg(matrix: np.ndarray) -> float:
    """The angle of the rotation in a 3x3 or 4x4 linear map, 0 to 180 degrees."""
    u, _, vt = np.linalg.svd(np.asarray(matrix)[:3, :3])
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    sine = np.linalg.norm([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0],
                           rotation[1, 0] - rotation[0, 1]]) / 2
    return float(np.degrees(np.arctan2(sine, (np.trace(rotation) - 1) / 2)))


def spread_rotations(count: int) -> np.ndarray:
    """`count` rotation matrices (count, 3, 3) spread evenly over all rotations, always the same ones.

    Method: M. Alexa, "Super-Fibonacci spirals: fast, low-discrepancy sampling of SO(3)", CVPR 2022,
    doi:10.1109/CVPR52688.2022.00811.
    """
    s = np.arange(count) + 0.5
    ratio = s / max(count, 1)
    alpha = 2 * np.pi * s / np.sqrt(2.0)
    beta = 2 * np.pi * s / 1.533751168755204288118041
    w, x = np.sqrt(ratio) * np.sin(alpha), np.sqrt(ratio) * np.cos(alpha)
    y, z = np.sqrt(1 - ratio) * np.sin(beta), np.sqrt(1 - ratio) * np.cos(beta)
    return np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], axis=-1),
        np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], axis=-1),
        np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], axis=-1),
    ], axis=-2)
