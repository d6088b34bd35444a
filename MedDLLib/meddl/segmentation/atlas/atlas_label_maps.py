"""The single heads behind an atlas: label maps in its space, one of which is unpacked at a time."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch

from meddl.core.errors import ModelError
from meddl.spatial.grid import Grid, three

CODES, SIZES = "atlas.heads", "atlas.head_bytes"  # tensors among a model's weights
FINER = 2  # voxels of a head along each axis for one of the atlas


@dataclass(frozen=True)
class AtlasHeads:
    """Label maps of single heads, all on one grid.

    Attributes:
        codes: of each head the zlib stream of its classes, uint8, k fastest.
        grid: their voxels.
    """

    codes: tuple[bytes, ...]
    grid: Grid

    def classes(self, number: int, device: torch.device | str = "cpu") -> torch.Tensor:
        """Class at each voxel of a head, (I, J, K) uint8."""
        values = np.frombuffer(bytearray(zlib.decompress(self.codes[number])), dtype=np.uint8)
        return torch.from_numpy(values.reshape(self.grid.shape)).to(device)


def finer(grid: Grid) -> Grid:
    """The grid of the heads of an atlas on `grid`."""
    affine = np.array(grid.affine)
    affine[:3, :3] /= FINER
    affine[:3, 3] = grid.points_mm(np.full(3, (1 / FINER - 1) / 2))
    return Grid(three(FINER * n for n in grid.shape), affine)


def encode(classes: torch.Tensor) -> bytes:
    """The code of a head's classes (I, J, K) uint8."""
    return zlib.compress(classes.to(torch.uint8).cpu().contiguous().numpy().tobytes(), 9)


def pack_heads(heads: AtlasHeads) -> dict[str, torch.Tensor]:
    """The codes as tensors: all bytes, and how many are of each head."""
    return {CODES: torch.from_numpy(np.frombuffer(b"".join(heads.codes), dtype=np.uint8).copy()),
            SIZES: torch.tensor([len(code) for code in heads.codes])}


def unpack_heads(tensors: dict[str, torch.Tensor], count: int, grid: Grid, classes: int) -> AtlasHeads | None:
    """The heads in a model's weights, each unpacked once as a check; None where `count` is 0.

    Args:
        grid: the atlas's.
        classes: how many there are; a head may hold no others.

    Raises:
        ModelError: the tensors are not there, or hold something else.
    """
    if not count:
        return None
    codes, sizes = tensors.get(CODES), tensors.get(SIZES)
    damaged = ModelError(f"The {count} heads of the atlas cannot be read from the weights. Install the model again.")
    if codes is None or sizes is None or len(sizes) != count or min(sizes.tolist()) < 1 or sizes.sum() != len(codes):
        raise damaged
    data, ends = codes.numpy().tobytes(), np.cumsum(sizes.tolist()).tolist()
    heads = AtlasHeads(tuple(data[a:b] for a, b in zip([0, *ends], ends, strict=False)), finer(grid))
    voxels = int(np.prod(heads.grid.shape))
    for code in heads.codes:
        try:
            values = zlib.decompressobj().decompress(code, voxels + 1)
        except zlib.error:
            raise damaged from None
        if len(values) != voxels or max(values) >= classes:
            raise damaged
    return heads
