"""The other hemisphere put into a mask: intensities matched at its boundary, and smooth near it."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from meddl.core.progress import ProgressCallback
from meddl.inpainting.laplace import SmoothFill

_SMOOTH_MM = 3.0  # from the boundary of the mask, within which the smooth fill is nearer the truth


@dataclass(frozen=True, eq=False)
class Mirror:
    """The other hemisphere on the grid of an image.

    Attributes:
        image: (I, J, K) float32, the mirrored image.
        valid: (I, J, K) bool, False where it shows a masked voxel or nothing of the image.
    """

    image: np.ndarray
    valid: np.ndarray


def blend_mirror(image: np.ndarray, inside: np.ndarray, spacing_mm: np.ndarray, harmonic: SmoothFill, mirror: Mirror,
                 on_progress: ProgressCallback | None = None) -> np.ndarray:
    """The voxels of the mask from the other hemisphere, and from the smooth fill near the boundary.

    The difference of the two hemispheres outside of the mask is extended harmonically into it and added (membrane
    interpolation: P. Perez, M. Gangnet, A. Blake, "Poisson image editing", ACM Transactions on Graphics 22(3), 2003,
    doi:10.1145/882262.882269). Where the other hemisphere is masked too, the smooth fill stays.

    Args:
        image: (I, J, K) with the smooth fill in the mask.
        inside: (I, J, K) bool, the mask.
        spacing_mm: (3,) voxel size along i, j, k.
        harmonic: the harmonic fill of this mask.

    Returns:
        (N,) float64, in the order of `numpy.flatnonzero(inside)`.
    """
    smooth, other = image[inside].astype(np.float64), mirror.image[inside].astype(np.float64)
    difference = np.where(mirror.valid, image - mirror.image, 0)  # none where nothing is known of the other hemisphere
    matched = other + harmonic.fill(difference, on_progress, "Matching intensities")
    depth_mm = distance_transform_edt(inside, sampling=spacing_mm)[inside]
    weight = np.where(mirror.valid[inside], 1 - np.exp(-np.square(depth_mm / _SMOOTH_MM)), 0)
    return smooth + weight * (matched - smooth)
