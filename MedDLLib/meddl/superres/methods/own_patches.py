"""Training pairs from a volume itself: its high-resolution in-plane images, and simulated thick slices of them."""

import math
from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import rotate

from meddl.superres.acquisition.degradation import Acquisition

THICKNESS_JITTER = (0.85, 0.925, 1.0, 1.08, 1.18)  # the true slice profile is known to about this much
_HEIGHT, _WIDTH = 40, 28  # of a patch: pixels across, and slices along, the thick direction
_LEAST_WIDTH = 6
_CANDIDATES = 4000
_MOST_HELD_OUT = 8


class OwnPatches:
    """Random pairs of thick and sharp patches of one volume.

    Args:
        data: (slices, rows, columns) float32, the thick axis first.
        acquisition: of the volume; its profile and factor are used along the in-plane axes.
        noise_sigma: of the data; what blurring takes from the noise is added again.

    Raises:
        ValueError: the in-plane images are too small to be made into thick slices.
    """

    def __init__(self, data: np.ndarray, acquisition: Acquisition, noise_sigma: float, seed: int = 0):
        held = np.arange(len(data) // 12, len(data), max(6, math.ceil(len(data) / _MOST_HELD_OUT)))
        self._held_out = data[held]
        self._images = np.delete(data, held, axis=0) if len(data) - len(held) >= 2 else data
        self._acquisition = replace(acquisition, axis=-1)
        self._noise_sigma = noise_sigma
        self._rng = np.random.default_rng(seed)
        side = min(data.shape[1:])
        self._width = min(_WIDTH, int(side / acquisition.factor))
        self._height = min(_HEIGHT, side)
        if self._width < _LEAST_WIDTH:
            raise ValueError(f"{side} pixels make {side / acquisition.factor:.1f} thick slices; {_LEAST_WIDTH} are "
                             "needed to learn from")
        self._fine = self._acquisition.fine_count(self._width)
        self._candidates = self._busy_patches()

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`(thick (B, 1, H, w), sharp (B, 1, H, W))`, transposed and mirrored at random, of random thickness."""
        sharp = torch.from_numpy(np.stack([self._patch(*self._candidates[n])
                                           for n in self._rng.integers(len(self._candidates), size=count)]))[:, None]
        own = self._acquisition
        jittered = replace(own, thickness=own.thickness * float(self._rng.choice(THICKNESS_JITTER)))
        return self._thick(sharp, jittered, self._width), sharp

    def held_out_patches(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`(thick (B, 1, H, w), sharp (B, 1, H, W))` of images that are never drawn, rotated by 45 degrees."""
        side = int(min(self._held_out.shape[1:]) / math.sqrt(2))
        width = int(side / self._acquisition.factor)
        fine = self._acquisition.fine_count(width) if width else 0
        turned = rotate(self._held_out, 45, axes=(1, 2), reshape=False, order=3, mode="nearest")
        if width < _LEAST_WIDTH or fine > turned.shape[2]:  # too small to turn
            turned, width, fine, side = self._held_out, self._width, self._fine, self._held_out.shape[1]
        rows, columns = ((n - m) // 2 for n, m in zip(turned.shape[1:], (side, fine), strict=True))
        sharp = torch.from_numpy(np.ascontiguousarray(
            turned[:, None, rows:rows + side, columns:columns + fine], dtype=np.float32))
        return self._thick(sharp, self._acquisition, width), sharp

    def _thick(self, sharp: torch.Tensor, acquisition: Acquisition, width: int) -> torch.Tensor:
        thick = acquisition.forward(sharp, width)
        kept = float((acquisition.matrix(sharp.shape[-1], width)[width // 2] ** 2).sum())
        lost = self._noise_sigma * math.sqrt(max(0.0, 1 - kept))
        noise = self._rng.normal(size=thick.shape).astype(np.float32)
        return thick + lost * torch.from_numpy(noise)

    def _patch(self, image: int, row: int, column: int, across: bool) -> np.ndarray:
        """(H, W) of an image, or of its transpose, mirrored at random."""
        source = self._images[image].T if across else self._images[image]
        patch = source[row:row + self._height, column:column + self._fine]
        flips = self._rng.integers(2, size=2)
        return np.ascontiguousarray(patch[::1 - 2 * flips[0], ::1 - 2 * flips[1]])

    def _busy_patches(self) -> list[tuple[int, int, int, bool]]:
        """Positions of patches, the half with the most structure."""
        candidates, busy = [], []
        for _ in range(_CANDIDATES):
            image = int(self._rng.integers(len(self._images)))
            across = bool(self._rng.integers(2))
            rows, columns = self._images.shape[1:][::-1] if across else self._images.shape[1:]
            if columns < self._fine:
                continue
            row = int(self._rng.integers(rows - self._height + 1))
            column = int(self._rng.integers(columns - self._fine + 1))
            candidates.append((image, row, column, across))
            source = self._images[image].T if across else self._images[image]
            busy.append(source[row:row + self._height:3, column:column + self._fine:3].std())
        return [candidates[n] for n in np.argsort(busy)[len(busy) // 2:]]
