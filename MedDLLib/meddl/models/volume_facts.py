"""What the catalog needs to know of a volume, read from the volume itself."""

import numpy as np

from meddl.models.catalog.catalog import VolumeFacts
from meddl.spatial.grid import three
from meddl.spatial.volume import Volume

_HOUNSFIELD_OF_AIR = -500  # no MR reaches this far below zero; a CT that shows air does


def facts_of_volume(volume: Volume, modality: str | None = None) -> VolumeFacts:
    """Voxel size, voxels, channels; the modality where it is given or the numbers show it.

    Args:
        volume: (C, I, J, K).
        modality: "CT", "MR" or what DICOM says; None: not known.
    """
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    return VolumeFacts(three(float(s) for s in spacing), volume.shape,
                       modality or modality_of_range(float(np.min(volume.data))), volume.channels)


def modality_of_range(minimum: float) -> str | None:
    """"CT" where the smallest value is that of air in Hounsfield units; None: not to be told from the range."""
    return "CT" if minimum <= _HOUNSFIELD_OF_AIR else None
