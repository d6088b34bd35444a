"""The other hemisphere of a head, found by registering the volume to its own mirror image."""

from dataclasses import dataclass

import numpy as np

from meddl.core.config import RegisterConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.inpainting.blend import Mirror
from meddl.registration import register
from meddl.results import Registration
from meddl.spatial.grid import centered_grid
from meddl.spatial.normalize import object_threshold
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

LEAST_AGREEMENT = 0.6  # correlation of the two hemispheres, below which a volume is not taken for a head
_CONFIG = RegisterConfig(transform_type="deformable", linear_transform="rigid", metric="lncc",
                         deformable_levels_mm=(8.0, 4.0, 2.0), deformable_iterations=(60, 40, 20),
                         large_displacement_search="off", estimate_quality=False)
_WORKING_MM = 2.0  # voxel size at which the hemispheres are registered


@dataclass(frozen=True, eq=False)
class Symmetry:
    """Where each point of a head lies in the other hemisphere.

    Attributes:
        reflection: 4x4, the reflection of the world across a sagittal plane.
        registration: from points of the volume to points of its reflected copy.
        agreement: correlation of the volume and the other hemisphere outside of the mask, within the object.
    """

    reflection: np.ndarray
    registration: Registration
    agreement: float

    def mirror(self, image: Volume, inside: np.ndarray, on_progress: ProgressCallback | None = None) -> Mirror:
        """The other hemisphere on the grid of an image whose masked voxels `inside` (I, J, K) hold anything finite."""
        known = Volume(np.stack([image.scalar_data, ~inside]).astype(np.float32), self.reflection @ image.affine)
        warped = self.registration.warp(known, "linear", image.grid, on_progress)
        return Mirror(warped.data[0], warped.data[1] > 0.99)


def find_symmetry(image: Volume, inside: np.ndarray, device: str = "auto",
                  on_progress: ProgressCallback | None = None) -> Symmetry | None:
    """The symmetry of a head; None for a volume that cannot be registered to its mirror image.

    Args:
        image: one channel, finite.
        inside: (I, J, K) bool, masked voxels, which are not compared.
    """
    spacing = np.maximum(image.spacing_mm, _WORKING_MM)
    coarse = image if np.allclose(spacing, image.spacing_mm) else _coarse(image, spacing)
    known = _known(image, inside, coarse)
    data = coarse.scalar_data
    bright = (data > object_threshold(data)) & known
    if np.count_nonzero(bright) < 100:
        return None
    plane = float(coarse.grid.points_mm(np.argwhere(bright).mean(axis=0))[0])
    reflection = np.diag([-1.0, 1.0, 1.0, 1.0])
    reflection[0, 3] = 2 * plane
    masks = [Volume.scalar(known.astype(np.uint8), affine) for affine in (coarse.affine, reflection @ coarse.affine)]
    try:
        found = register(coarse, Volume(coarse.data, reflection @ coarse.affine), _CONFIG, fixed_mask=masks[0],
                         moving_mask=masks[1], device=device, on_progress=on_progress)
    except InputError:  # too few slices or voxels
        return None
    mirror = Symmetry(reflection, found, 0.0).mirror(coarse, ~known)
    compared = bright & mirror.valid
    agreement = float(np.corrcoef(data[compared], mirror.image[compared])[0, 1]) if compared.sum() > 100 else 0.0
    return Symmetry(reflection, found, agreement if np.isfinite(agreement) else 0.0)


def _coarse(image: Volume, spacing_mm: np.ndarray) -> Volume:
    return resample(image, centered_grid(image.grid, spacing_mm), clamp=True)


def _known(image: Volume, inside: np.ndarray, coarse: Volume) -> np.ndarray:
    """The voxels of the coarse image that hold nothing of the mask, (I, J, K) bool."""
    if coarse is image:
        return ~inside
    mask = Volume.scalar(inside.astype(np.float32), image.affine)
    return resample(mask, coarse.grid, clamp=True).scalar_data < 0.01
