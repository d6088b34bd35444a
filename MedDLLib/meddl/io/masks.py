"""Masks from files: a label map, or all segments of a Slicer segmentation together."""

from os import PathLike
from pathlib import Path

import numpy as np

from meddl.io.files import suffix_of
from meddl.io.images import VolumeLike, as_volume
from meddl.spatial.label_maps import set_voxels
from meddl.spatial.volume import Volume


def as_mask(value: VolumeLike, name: str = "mask") -> Volume:
    """A mask as it is, or read from its path, all channels; the layers of a `.seg.nrrd`, whose segments overlap, are
    one mask.

    Raises:
        InputError: something else; and all that `meddl.load` raises.
    """
    mask = as_volume(value, name, "all")
    if isinstance(value, str | PathLike) and suffix_of(Path(value)) == ".seg.nrrd" and mask.channels > 1:
        return Volume(np.asarray(set_voxels(mask).any(axis=0, keepdims=True)), mask.affine)
    return mask
