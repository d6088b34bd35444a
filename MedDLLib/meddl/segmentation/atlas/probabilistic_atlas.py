"""A probabilistic atlas of tissues, compact enough to be stored with a model's weights."""

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.errors import ModelError
from meddl.core.progress import ProgressCallback, report
from meddl.models.cards import AtlasSpec, ModelCard
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_weights
from meddl.segmentation.atlas.atlas_label_maps import AtlasLabelMaps, pack_label_maps, unpack_label_maps
from meddl.segmentation.atlas.tissues import Tissues
from meddl.spatial.grid import Grid, grid_around

PRESENT, VALUES = "atlas.present", "atlas.values"  # tensors among a model's weights
_KEPT = 2
_loaded: OrderedDict[tuple[str, str], "Atlas"] = OrderedDict()


@dataclass(frozen=True)
class Atlas:
    """Prior probabilities of tissues in space, symmetric: the left half is the mirror image of the right one.

    Attributes:
        probabilities: (T, I, J, K) float32, of each tissue in each voxel; they sum to 1. I is even.
        grid: its voxels, along R, A, S; the plane between left and right is x = 0.
        label_maps: segmentations of single subjects that it is the average of, or None.
    """

    probabilities: torch.Tensor
    grid: Grid
    label_maps: AtlasLabelMaps | None = None

    def coarse(self, factor: int) -> "Atlas":
        """The atlas averaged over blocks of `factor` voxels along each axis; what is left over is cut off."""
        shape = np.array(self.grid.shape) // factor
        shape[0] -= shape[0] % 2
        start = (np.array(self.grid.shape) - shape * factor) // 2
        box = tuple(slice(s, s + n * factor) for s, n in zip(start, shape, strict=True))
        affine = np.array(self.grid.affine)
        affine[:3, 3] = self.grid.points_mm(start + (factor - 1) / 2)
        affine[:3, :3] *= factor
        return Atlas(F.avg_pool3d(self.probabilities[(slice(None), *box)][None], factor)[0], Grid(tuple(shape), affine))

    def leftness(self) -> torch.Tensor:
        """1 on the left, -1 on the right, smooth between, (I, 1, 1)."""
        spacing = float(self.grid.spacing_mm[0])
        index = torch.arange(self.grid.shape[0], device=self.probabilities.device)
        across = float(self.grid.affine[0, 3]) + spacing * index
        return (-across / spacing).clamp(-1, 1)[:, None, None]

    def by_class(self, tissues: Tissues) -> torch.Tensor:
        """Prior probabilities of classes, (C, I, J, K)."""
        left = (1 + self.leftness()) / 2
        side = torch.stack([left, torch.ones_like(left), 1 - left])[(1 - tissues.sign).long()]
        return self.probabilities[tissues.of_class] * side

    def to(self, device: torch.device) -> "Atlas":
        """The same atlas on another device."""
        return replace(self, probabilities=self.probabilities.to(device))


def pack(atlas: Atlas) -> dict[str, torch.Tensor]:
    """The atlas as tensors: which values of the right half, without background, are not zero, and those; label maps."""
    half = atlas.probabilities[1:, atlas.probabilities.shape[1] // 2:]
    values = (half * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    values[values < 2] = 0
    label_maps = {} if atlas.label_maps is None else pack_label_maps(atlas.label_maps)
    return {PRESENT: torch.from_numpy(np.packbits(values > 0)), VALUES: torch.from_numpy(values[values > 0]),
            **label_maps}


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
        raise ModelError("The card states an atlas, but the weights hold none. Install the model again.")
    bits = np.unpackbits(present.numpy().astype(np.uint8))
    if spec.shape[0] % 2 or not size <= len(bits) < size + 8 or int(bits[:size].sum()) != len(values):
        raise ModelError(f"The atlas in the weights does not have the shape {spec.shape} with {len(spec.structures)} "
                         "structures that the card states. Install the model again.")
    half = np.zeros(size, dtype=np.float32)
    half[bits[:size] > 0] = values.numpy().astype(np.float32) / 255
    right = torch.from_numpy(half.reshape(shape))
    named = torch.cat([right.flip(1), right], dim=1)
    background = (1 - named.sum(dim=0, keepdim=True)).clamp_min(0)
    probabilities = torch.cat([background, named])
    grid = grid_around(np.zeros(3), spec.shape, np.eye(3) * spec.spacing_mm)
    return Atlas(probabilities / probabilities.sum(dim=0), grid, unpack_label_maps(tensors, spec.heads, grid, classes))


def load_atlas(card: ModelCard, mirror: tuple[int, ...], device: torch.device,
               store: ModelStore | None = None, on_progress: ProgressCallback | None = None) -> Atlas | None:
    """The atlas of a model, from memory where it was used before; None where its card states none.

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
        report(on_progress, 0.4, "Loading the atlas")
        _loaded[key] = unpack(tensors, card.atlas, len(values)).to(device)
    _loaded.move_to_end(key)
    while len(_loaded) > _KEPT:
        _loaded.popitem(last=False)
    return _loaded[key]
