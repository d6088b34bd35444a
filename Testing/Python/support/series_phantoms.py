"""Series with known truth for tests."""

import numpy as np
from scipy.ndimage import gaussian_filter

from meddl.spatial.volume import Volume

AFFINE = np.array([[0.0, -2.0, 0, 30], [2.0, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])
SIGMA = 40.0


def still(shape=(40, 36, 20), seed=0) -> np.ndarray:
    """An object of two tissues on black, (I, J, K), its edges as sharp as a scanner gives them."""
    rng = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = np.square(points).sum(axis=0) < 0.75
    second = gaussian_filter(rng.normal(size=shape), 3) > 0
    return gaussian_filter(np.where(inside, np.where(second, 1000.0, 600.0), 0.0), 0.7)


def noisy(clean: np.ndarray, sigma: float = SIGMA, seed: int = 1, kind: str = "gaussian") -> np.ndarray:
    """Frames (T, I, J, K) with noise, float32."""
    noise = np.random.default_rng(seed).normal(0, sigma, (2, *clean.shape))
    return (clean + noise[0] if kind == "gaussian" else np.hypot(clean + noise[0], noise[1])).astype(np.float32)


def series(count: int = 10, sigma: float = SIGMA, shift_at: int | None = None) -> tuple[np.ndarray, Volume]:
    """The truth, and a noisy series of an object that is still, or jumps by four voxels at a frame."""
    frames = [still() if shift_at is None or t < shift_at else np.roll(still(), 4, axis=0) for t in range(count)]
    clean = np.stack(frames)
    return clean, Volume(noisy(clean, sigma), AFFINE)


def rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(error, dtype=np.float64))))
