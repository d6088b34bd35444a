"""Linear transforms from pairs of landmarks by least squares, in closed form."""

import numpy as np

from meddl.core.errors import InputError

_SPREAD = 1e-3  # points spread less than this, relative to their largest extent, along an axis do not fix it


def check_landmarks(landmarks) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of points as two arrays (N, 3) float64, fixed and moving.

    Raises:
        InputError: not two lists of as many points of three finite coordinates, or none at all.
    """
    if not isinstance(landmarks, tuple | list) or len(landmarks) != 2:
        raise InputError("Landmarks are a pair of point lists: (fixed (N, 3), moving (N, 3)) in RAS mm.")
    fixed, moving = (np.asarray(points, dtype=np.float64) for points in landmarks)
    if fixed.ndim != 2 or fixed.shape[1:] != (3,) or fixed.shape != moving.shape:
        raise InputError(f"Landmarks come in pairs of shape (N, 3); got {fixed.shape} fixed and {moving.shape} moving. "
                         "Give both lists the same points in the same order.")
    if len(fixed) == 0:
        raise InputError("There are no landmarks; give at least one pair, or leave them out.")
    if not (np.isfinite(fixed).all() and np.isfinite(moving).all()):
        raise InputError("A landmark has a coordinate that is NaN or infinite. Place it again or remove it.")
    return fixed, moving


def fit_landmarks(fixed: np.ndarray, moving: np.ndarray, transform: str) -> np.ndarray:
    """The 4x4 map (RAS mm) with the least squared distance from the mapped `fixed` (N, 3) to `moving` (N, 3).

    Where the points are too few, or on one line or plane, the next simpler map is fitted: affine needs four points
    off one plane; rigid and similarity three off one line; else a translation.

    Args:
        transform: "translation", "rigid", "similarity" or "affine" ("deformable" is taken as affine).

    Method: S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE
    Transactions on Pattern Analysis and Machine Intelligence 13(4), 1991, doi:10.1109/34.88573.
    """
    if transform not in ("translation", "rigid", "similarity", "affine", "deformable"):
        raise InputError(f"A fit to landmarks is a translation, rigid, similarity or affine; got '{transform}'.")
    from_mm, to_mm = fixed.mean(axis=0), moving.mean(axis=0)
    here, there = fixed - from_mm, moving - to_mm
    spans = min(_dimensions(here), _dimensions(there))
    linear = np.eye(3)
    if transform in ("affine", "deformable") and spans == 3:
        linear = np.linalg.lstsq(here, there, rcond=None)[0].T
    elif transform != "translation" and spans >= 2:
        u, stretch, vt = np.linalg.svd(there.T @ here)
        proper = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        linear = u @ np.diag(proper) @ vt
        if transform == "similarity":
            linear = linear * (stretch @ proper) / (here ** 2).sum()
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, to_mm - linear @ from_mm
    return affine


def _dimensions(centered: np.ndarray) -> int:
    """Along how many axes the points (N, 3) spread."""
    sizes = np.linalg.svd(centered, compute_uv=False)
    return int((sizes > max(_SPREAD * sizes[0], 1e-9)).sum())
