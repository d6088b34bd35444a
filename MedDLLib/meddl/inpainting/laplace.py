"""Smooth extension of known voxels into unknown ones: solutions of Laplace's and of the biharmonic equation."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from meddl.core.progress import ProgressCallback, report

_TOLERANCE = 1e-4
_MOST_ITERATIONS = {1: 2000, 2: 4000}  # by order
_BETWEEN_REPORTS = 20  # iterations


class SmoothFill:
    """The smooth extension into one mask, for any number of images.

    Order 1 is harmonic: each unknown voxel is the weighted mean of its neighbors, so that nothing lies outside of the
    range of the known ones around it. Order 2 is biharmonic: slopes go on into the mask, and values may overshoot
    (S. B. Damelin, N. S. Hoang, "On surface completion and image inpainting by biharmonic functions", International
    Journal of Mathematics and Mathematical Sciences, 2018, doi:10.1155/2018/3950312). At the edge of the field of view
    the normal derivative is zero. Conjugate gradients on the unknown voxels alone.

    Args:
        mask: (I, J, K) bool, True where a voxel is unknown; not all of it.
        spacing_mm: (3,) voxel size along i, j, k.
        order: 1 or 2.
    """

    def __init__(self, mask: np.ndarray, spacing_mm, order: int = 1):
        self._unknown, self._order = np.flatnonzero(mask), order
        rows = self._unknown if order == 1 else np.flatnonzero(_dilate(mask))
        weights = 1 / np.square(np.asarray(spacing_mm, np.float64))
        laplacian = _laplacian(rows, mask.shape, weights / weights.max())
        inside = np.zeros(mask.size, bool)
        inside[self._unknown] = True
        known = np.unique(laplacian.indices[~inside[laplacian.indices]])
        free, fixed = laplacian[:, self._unknown].tocsr(), laplacian[:, known].tocsr()
        self._known = known
        self._matrix, self._right = (free, -fixed) if order == 1 else (free.T @ free, -free.T @ fixed)

    def fill(self, image: np.ndarray, on_progress: ProgressCallback | None = None, message: str = "Filling",
             start: np.ndarray | None = None) -> np.ndarray:
        """The values of the unknown voxels, (N,) float64, in the order of `numpy.flatnonzero(mask)`.

        Args:
            image: (I, J, K); what it holds in the mask does not count.
            start: (N,) values to start from.

        Raises:
            Cancelled: from `on_progress`.
        """
        known = image.reshape(-1)[self._known].astype(np.float64)
        level = float(known.mean())  # the smaller the numbers, the sooner the solver is near them
        right = self._right @ (known - level)
        if not right.any():
            return np.full(len(self._unknown), level)
        done = 0

        def alive(_) -> None:
            nonlocal done
            done += 1
            if done % _BETWEEN_REPORTS == 0:
                report(on_progress, 1 - 0.5 ** (done / 100), message)

        begin = np.zeros(len(self._unknown)) if start is None else start - level
        found, _ = cg(self._matrix, right, x0=begin, rtol=_TOLERANCE ** self._order,
                      maxiter=_MOST_ITERATIONS[self._order], callback=alive)
        report(on_progress, 1.0, message)
        return found + level


def _dilate(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask)


def _laplacian(rows: np.ndarray, shape: tuple[int, ...], weights: np.ndarray) -> sparse.csr_matrix:
    """The negative Laplacian at some voxels, (len(rows), voxels), positive on its diagonal; Neumann at the edges."""
    at = np.unravel_index(rows, shape)
    strides = [int(np.prod(shape[axis + 1:])) for axis in range(len(shape))]
    number = np.arange(len(rows))
    diagonal, entries = np.zeros(len(rows)), []
    for axis, (size, stride, weight) in enumerate(zip(shape, strides, weights, strict=True)):
        for step in (-1, 1):
            there = at[axis] + step
            inside = (there >= 0) & (there < size)
            diagonal += weight * inside
            entries.append((number[inside], rows[inside] + step * stride, np.full(inside.sum(), -weight)))
    entries.append((number, rows, diagonal))
    i, j, values = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return sparse.csr_matrix((values, (i, j)), shape=(len(rows), int(np.prod(shape))))
