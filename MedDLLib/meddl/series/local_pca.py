"""Local principal components: what the frames of a series have in common in a neighborhood, without a network.

The frames of a block of voxels are a matrix, of time by place. Its principal components that are no stronger than those
of noise, by the Marchenko-Pastur law, are left out; overlapping blocks are averaged. J. Veraart et al., "Denoising of
diffusion MRI using random matrix theory", NeuroImage 142, 2016, doi:10.1016/j.neuroimage.2016.08.016.
"""

import numpy as np

from meddl.core.progress import ProgressCallback, report

_WINDOW, _STRIDE = 5, 2  # voxels of a block along each axis, and from one to the next
_TOGETHER = 1 << 22  # numbers of blocks that are decomposed at once


def local_pca(frames: np.ndarray, on_progress: ProgressCallback | None = None) -> tuple[np.ndarray, float, float]:
    """The frames (T, I, J, K) without what is noise, float32; the noise found, and the mean number of components. A
    single frame stays as it is.

    The noise is the median over the blocks of its standard deviation, in the frames' intensities.

    Raises:
        Cancelled: from `on_progress`.
    """
    count = len(frames)
    if count == 1:
        return frames.astype(np.float32), 0.0, 1.0
    total, times = np.zeros(frames.shape, np.float32), np.zeros(frames.shape[1:], np.float32)
    size = [min(_WINDOW, n) for n in frames.shape[1:]]
    starts = [sorted({*range(0, n - s + 1, _STRIDE), n - s}) for n, s in zip(frames.shape[1:], size, strict=True)]
    others = [(j, k) for j in starts[1] for k in starts[2]]
    together = max(1, _TOGETHER // (count * int(np.prod(size))))
    variances, components = [], []
    for row, i in enumerate(starts[0]):
        for begin in range(0, len(others), together):
            report(on_progress, (row + begin / len(others)) / len(starts[0]), "Finding components")
            places = [tuple(slice(at, at + n) for at, n in zip((i, j, k), size, strict=True))
                      for j, k in others[begin:begin + together]]
            blocks = np.stack([frames[(slice(None), *place)].reshape(count, -1) for place in places]).astype(np.float32)
            for place, block, (noise, kept) in zip(places, blocks, _without_noise(blocks), strict=True):
                total[(slice(None), *place)] += block.reshape(count, *size)
                times[place] += 1
                variances.append(noise)
                components.append(kept)
    total /= times
    return total, float(np.sqrt(np.median(variances))), float(np.mean(components))


def _without_noise(blocks: np.ndarray) -> list[tuple[float, int]]:
    """Take the noise out of blocks (B, T, N), in place; for each the noise's variance and how many components stay."""
    mean = blocks.mean(axis=2, keepdims=True)
    blocks -= mean
    tall = blocks.shape[1] > blocks.shape[2]
    matrices = blocks.transpose(0, 2, 1) if tall else blocks  # the smaller side first
    samples = matrices.shape[2]
    values, vectors = np.linalg.eigh(np.matmul(matrices, matrices.transpose(0, 2, 1), dtype=np.float64) / samples)
    found = []
    for matrix, eigen, basis in zip(matrices, values.clip(0), vectors, strict=True):
        noise = _noise_components(eigen, samples)
        kept = basis[:, noise:].astype(np.float32)
        matrix[:] = kept @ (kept.T @ matrix)
        found.append((float(eigen[:noise].mean()) if noise else 0.0, len(eigen) - noise))
    blocks += mean
    return found


def _noise_components(eigenvalues: np.ndarray, samples: int) -> int:
    """How many of the smallest eigenvalues, in rising order, lie as close together as those of noise alone."""
    numbers = np.arange(1, len(eigenvalues) + 1)
    means = np.cumsum(eigenvalues) / numbers
    noise = eigenvalues - eigenvalues[0] <= 4 * np.sqrt(numbers / samples) * means
    return int(numbers[noise].max(initial=0))
