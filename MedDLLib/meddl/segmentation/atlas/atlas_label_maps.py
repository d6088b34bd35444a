"""The label maps of an atlas: segmentations of single subjects in atlas space, compressed, decoded one at a time."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch

from meddl.core.errors import ModelError
from meddl.spatial.grid import Grid, three

CODES, SIZES = "atlas.heads", "atlas.head_bytes"  # tensors among a model's weights
LABEL_MAP_FACTOR = 2  # voxels of a label map along each axis for one of the atlas


@dataclass(frozen=True)
class AtlasLabelMaps:
    """Label maps of single subjects, all on one grid in atlas space.

    Attributes:
        codes: of each label map the zlib stream of its classes, uint8, k fastest.
        grid: their voxels.
    """

    codes: tuple[bytes, ...]
    grid: Grid

    def classes(self, number: int, device: torch.device | str = "cpu") -> torch.Tensor:
        """Class at each voxel of a label map, (I, J, K) uint8."""
        values = np.frombuffer(bytearray(zlib.decompress(self.codes[number])), dtype=np.uint8)
        return torch.from_numpy(values.reshape(self.grid.shape)).to(device)


def label_map_grid(grid: Grid) -> Grid:
    """The grid of the label maps of an atlas on `grid`."""
    affine = np.array(grid.affine)
    affine[:3, :3] /= LABEL_MAP_FACTOR
    affine[:3, 3] = grid.points_mm(np.full(3, (1 / LABEL_MAP_FACTOR - 1) / 2))
    return Grid(three(LABEL_MAP_FACTOR * n for n in grid.shape), affine)


def encode(classes: torch.Tensor) -> bytes:
    """A label map (I, J, K) uint8, compressed."""
    return zlib.compress(classes.to(torch.uint8).cpu().contiguous().numpy().tobytes(), 9)


def pack_label_maps(label_maps: AtlasLabelMaps) -> dict[str, torch.Tensor]:
    """The compressed label maps as tensors: all bytes, and how many belong to each."""
    return {CODES: torch.from_numpy(np.frombuffer(b"".join(label_maps.codes), dtype=np.uint8).copy()),
            SIZES: torch.tensor([len(code) for code in label_maps.codes])}


def unpack_label_maps(tensors: dict[str, torch.Tensor], count: int, grid: Grid, classes: int) -> AtlasLabelMaps | None:
    """The label maps in a model's weights, each decoded once as a check; None where `count` is 0.

    Args:
        grid: the atlas's.
        classes: number of classes; a label map may hold no others.

    Raises:
        ModelError: the tensors are not there, or hold something else.
    """
    if not count:
        return None
    codes, sizes = tensors.get(CODES), tensors.get(SIZES)
    damaged = ModelError(f"The {count} atlas label maps cannot be read from the weights. Install the model again.")
    if codes is None or sizes is None or len(sizes) != count or min(sizes.tolist()) < 1 or sizes.sum() != len(codes):
        raise damaged
    data, ends = codes.numpy().tobytes(), np.cumsum(sizes.tolist()).tolist()
    label_maps = AtlasLabelMaps(tuple(data[a:b] for a, b in zip([0, *ends], ends, strict=False)), label_map_grid(grid))
    voxels = int(np.prod(label_maps.grid.shape))
    for code in label_maps.codes:
        try:
            values = zlib.decompressobj().decompress(code, voxels + 1)
        except zlib.error:
            raise damaged from None
        if len(values) != voxels or np.frombuffer(values, np.uint8).max() >= classes:
            raise damaged
    return label_maps
