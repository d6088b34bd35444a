"""What is known of a masked region before a network sees it: its smooth fill, and the other hemisphere."""

from dataclasses import dataclass

import numpy as np

from meddl.core.progress import ProgressCallback, span
from meddl.inpainting.laplace import SmoothFill


@dataclass(frozen=True)
class Mirror:
    """The other hemisphere on the grid of an image.

    Attributes:
        image: (I, J, K) float32, the mirrored image.
        valid: (I, J, K) bool, False where it shows a masked voxel or nothing of the image.
    """

    image: np.ndarray
    valid: np.ndarray


def mirror_fill(image: np.ndarray, mask: np.ndarray, fill: SmoothFill, smooth: np.ndarray, mirror: Mirror,
                on_progress: ProgressCallback | None = None) -> np.ndarray:
    """The voxels of the mask from the other hemisphere, its intensities matched at the boundary of the mask.

    The difference of the two hemispheres is extended harmonically into the mask and added (membrane interpolation:
    P. Perez, M. Gangnet, A. Blake, "Poisson image editing", ACM Transactions on Graphics 22(3), 2003,
    doi:10.1145/882262.882269). Where the other hemisphere is masked too, the smooth fill stays.

    Args:
        image: (I, J, K).
        mask: (I, J, K) bool.
        fill: the harmonic one of this mask.
        smooth: (N,) what it gives for the image.

    Returns:
        (N,) float64, in the order of `numpy.flatnonzero(mask)`.
    """
    other = mirror.image.astype(np.float64)
    filled = other[mask]
    missing = ~mirror.valid
    beside = other.copy()
    beside[missing] = image[missing]  # no difference where nothing is known of the other hemisphere
    difference = fill.fill(image - beside, span(on_progress, 0.0, 1.0), "Matching intensities")
    return np.where(mirror.valid[mask], filled + difference, smooth)
