"""What the recurrent denoiser is compared with: a recursive mean with a test of change, and local PCA; no network.

Kalman-like: the same filter, whose memory counts as less sure where the squared differences to the frame, over 5 x 5 x
5 voxels, are more than noise explains. Local PCA: J. Veraart et al., "Denoising of diffusion MRI using random matrix
theory", NeuroImage 142, 2016, doi:10.1016/j.neuroimage.2016.08.016, over blocks of 5 x 5 x 5 voxels.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

_WINDOW = 5
_SURE = 3.0  # standard deviations of the mean square over the window


class ChangeTest(nn.Module):
    """In the place of `RecurrentGain3D`: how much more than its noise the memory is wrong, from a window."""

    def forward(self, innovation, memory, variance, state):
        padded = F.pad(innovation.square(), [_WINDOW // 2] * 6, mode="replicate")
        square = F.avg_pool3d(padded, _WINDOW, stride=1)
        excess = (square / (1 + variance) - 1) * (_WINDOW**3 / 2) ** 0.5
        factor = ((square - 1).clamp_min(1e-3) / variance).log().clamp_min(0)
        return torch.where(excess > _SURE, factor, 0.0), innovation[:, :, ::2, ::2, ::2]


def local_pca(frames: np.ndarray, stride: int = 2) -> np.ndarray:
    """Frames (T, I, J, K) from the principal components that are above those of noise, overlapping blocks averaged."""
    count = len(frames)
    total, times = np.zeros(frames.shape), np.zeros(frames.shape[1:])
    size = [min(_WINDOW, n) for n in frames.shape[1:]]
    starts = [sorted({*range(0, n - s + 1, stride), n - s}) for n, s in zip(frames.shape[1:], size, strict=True)]
    for i in starts[0]:
        places = [(slice(i, i + size[0]), slice(j, j + size[1]), slice(k, k + size[2]))
                  for j in starts[1] for k in starts[2]]
        blocks = np.stack([frames[(slice(None), *place)].reshape(count, -1) for place in places]).astype(float)
        mean = blocks.mean(axis=2, keepdims=True)
        values, vectors = np.linalg.eigh((blocks - mean) @ (blocks - mean).transpose(0, 2, 1) / blocks.shape[2])
        for place, block, middle, eigen, basis in zip(places, blocks, mean, values, vectors, strict=True):
            kept = basis[:, _noise_components(eigen, block.shape[1]):]
            total[(slice(None), *place)] += (kept @ (kept.T @ (block - middle)) + middle).reshape(count, *size)
            times[place] += 1
    return (total / times).astype(np.float32)


def _noise_components(eigenvalues: np.ndarray, samples: int) -> int:
    """How many of the smallest eigenvalues the Marchenko-Pastur law takes for noise."""
    found = 0
    for number in range(1, len(eigenvalues) + 1):
        small = eigenvalues[:number]
        if small[-1] - small[0] < 4 * np.sqrt(number / samples) * small.mean():
            found = number
    return found
