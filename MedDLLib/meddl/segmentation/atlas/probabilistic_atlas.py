"""A probabilistic atlas: what lies where in heads on average, small enough to travel with a model's weights."""

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.errors import ModelError
from meddl.models.cards import AtlasSpec, ModelCard
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_weights
from meddl.segmentation.atlas.atlas_label_maps import AtlasHeads, pack_heads, unpack_heads
from meddl.segmentation.atlas.tissues import Tissues
from meddl.spatial.grid import Grid, grid_around

PRESENT, VALUES = "atlas.present", "atlas.values"  # tensors among a model's weights
_KEPT = 2
_loaded: OrderedDict[tuple[str, str], "Atlas"] = OrderedDict()


@dataclass(frozen=True)
class Atlas:
    """Shares of tissues in space, the left half the mirror image of the right one.

    Attributes:
        shares: (T, I, J, K) float32, of each tissue in each voxel; they sum to 1. I is even.
        grid: its voxels, along R, A, S; the plane between left and right is x = 0.
        heads: some of those that it is the average of, or None.
    """

    shares: torch.Tensor
    grid: Grid
    heads: AtlasHeads | None = None

    def coarse(self, factor: int) -> "Atlas":
        """The shares averaged over blocks of `factor` voxels along each axis; what is left over is cut off."""
        shape = np.array(self.grid.shape) // factor
        shape[0] -= shape[0] % 2
        start = (np.array(self.grid.shape) - shape * factor) // 2
        box = tuple(slice(s, s + n * factor) for s, n in zip(start, shape, strict=True))
        affine = np.array(self.grid.affine)
        affine[:3, 3] = self.grid.points_mm(start + (factor - 1) / 2)
        affine[:3, :3] *= factor
        return Atlas(F.avg_pool3d(self.shares[(slice(None), *box)][None], factor)[0], Grid(tuple(shape), affine))

    def leftness(self) -> torch.Tensor:
        """1 on the left, -1 on the right, smooth between, (I, 1, 1)."""
        spacing = float(self.grid.spacing_mm[0])
        across = float(self.grid.affine[0, 3]) + spacing * torch.arange(self.grid.shape[0], device=self.shares.device)
        return (-across / spacing).clamp(-1, 1)[:, None, None]

    def by_class(self, tissues: Tissues) -> torch.Tensor:
        """Shares of classes, (C, I, J, K)."""
        left = (1 + self.leftness()) / 2
        side = torch.stack([left, torch.ones_like(left), 1 - left])[(1 - tissues.sign).long()]
        return self.shares[tissues.of_class] * side

    def to(self, device: torch.device) -> "Atlas":
        """The same atlas on another device."""
        return replace(self, shares=self.shares.to(device))


def pack(atlas: Atlas) -> dict[str, torch.Tensor]:
    """The atlas as tensors: of the right half and without background, which values are not zero, and those; heads."""
    half = atlas.shares[1:, atlas.shares.shape[1] // 2:]
    values = (half * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    values[values < 2] = 0
    heads = {} if atlas.heads is None else pack_heads(atlas.heads)
    return {PRESENT: torch.from_numpy(np.packbits(values > 0)), VALUES: torch.from_numpy(values[values > 0])} | heads


def unpack(tensors: dict[str, torch.Tensor], spec: AtlasSpec, classes: int) -> Atlas:
    """The atlas in a model's weights.

    Args:
        classes: of the model.

    Raises:
        ModelError: the tensors are not there, or do not fit each other or the card.
    """
    shape = (len(spec.structures) - 1, spec.shape[0] // 2, *spec.shape[1:])
    size = int(np.prod(shape))
    present, values = (tensors.get(name) for name in (PRESENT, VALUES))
    if present is None or values is None:
        raise ModelError("The card tells of an atlas, but the weights hold none. Install the model again.")
    bits = np.unpackbits(present.numpy().astype(np.uint8))
    if spec.shape[0] % 2 or not size <= len(bits) < size + 8 or int(bits[:size].sum()) != len(values):
        raise ModelError(f"The atlas in the weights does not have the shape {spec.shape} with {len(spec.structures)} "
                         "structures that the card states. Install the model again.")
    half = np.zeros(size, dtype=np.float32)
    half[bits[:size] > 0] = values.numpy().astype(np.float32) / 255
    right = torch.from_numpy(half.reshape(shape))
    named = torch.cat([right.flip(1), right], dim=1)
    background = (1 - named.sum(dim=0, keepdim=True)).clamp_min(0)
    shares = torch.cat([background, named])
    grid = grid_around(np.zeros(3), spec.shape, np.eye(3) * spec.spacing_mm)
    return Atlas(shares / shares.sum(dim=0), grid, unpack_heads(tensors, spec.heads, grid, classes))


def load_atlas(card: ModelCard, mirror: tuple[int, ...], device: torch.device,
               store: ModelStore | None = None) -> Atlas | None:
    """The atlas of a model, from memory where it was used before; None where its card tells of none.

    Raises:
        ModelError: the atlas is damaged or does not fit the model's labels.
    """
    if card.atlas is None:
        return None
    values = (0, *(label.value for label in card.labels))
    if card.atlas.structures != tuple(values[n] for n in Tissues(mirror).classes):
        raise ModelError(f"The atlas of the model '{card.id}' is of other structures than its labels. Install the "
                         "model again.")
    key = card.weights.sha256, str(device)
    if key not in _loaded:
        tensors = load_weights((store or ModelStore()).weights_path(card.id))
        _loaded[key] = unpack(tensors, card.atlas, len(values)).to(device)
    _loaded.move_to_end(key)
    while len(_loaded) > _KEPT:
        _loaded.popitem(last=False)
    return _loaded[key]
