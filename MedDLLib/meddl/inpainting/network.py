"""A network that fills masks in heads at 2 mm: what it adds to the smooth fill."""

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.progress import ProgressCallback
from meddl.inpainting.config import MODEL
from meddl.models.loaded_networks import load_networks
from meddl.networks.inference import between_layers
from meddl.spatial.grid import centered_grid, padded_grid
from meddl.spatial.resample import resample, sample_at
from meddl.spatial.volume import Volume
from meddl.superres.acquisition.value_range import ValueRange
from meddl.superres.methods.blocks import Blocking, cut_blocks

SPACING_MM = 2.0
_AROUND = 16    # voxels around the mask that the network sees
_LEAST = 40     # voxels along an axis, as in training
_BLOCKS = Blocking(1, _AROUND, 96)
_PRESENT = 0.01  # of a voxel at 2 mm that is masked


@torch.inference_mode()
def network_change(smooth: Volume, inside: np.ndarray, other: np.ndarray | None, device: torch.device,
                   on_progress: ProgressCallback | None = None) -> tuple[np.ndarray, str]:
    """What the network adds to the smooth fill in the mask, (N,) in intensities, and the model that ran.

    Args:
        smooth: one channel, its masked voxels filled smoothly.
        inside: (I, J, K) bool, the mask.
        other: (N,) what the other hemisphere shows in the mask; None: it is not known.
    """
    card, networks = load_networks(MODEL, "inpaint", device)
    network = networks["network"]
    values = ValueRange.of(smooth.scalar_data)
    given = np.zeros((3, *smooth.shape), np.float32)
    given[0], given[1] = values.to_unit(smooth.scalar_data), inside
    if other is not None:
        given[2][inside] = (other - smooth.scalar_data[inside]) / values.width
    seen = _window(Volume(given, smooth.affine).reorient("RAS"))
    data = torch.from_numpy(seen.data)
    data[1] = (data[1] > _PRESENT).float()
    change = torch.zeros(data.shape[1:])
    blocks = [(window, core) for window, core in cut_blocks(change.shape, _BLOCKS) if bool(data[1][core].any())]
    for number, (window, core) in enumerate(blocks):
        def alive(*_, number=number) -> None:
            if on_progress is not None:
                on_progress(number / len(blocks), "Inpainting")

        with between_layers([network], alive):
            made = network(data[(slice(None), *window)][None].to(device))[0, 0].cpu()
        change[core] = made[tuple(slice(c.start - w.start, c.stop - w.start)
                                  for c, w in zip(core, window, strict=True))]
    points = smooth.grid.points_mm(np.argwhere(inside))
    found = sample_at(Volume.scalar(change.numpy() * values.width, seen.affine), points)
    return found[:, 0], f"{card.id} {card.version}"


def _window(given: Volume) -> Volume:
    """What the network sees: the channels at 2 mm in a box around the mask, a multiple of four voxels long."""
    at_2_mm = resample(given, centered_grid(given.grid, SPACING_MM), clamp=True)
    masked = np.argwhere(at_2_mm.data[1] > _PRESENT)
    if not len(masked):  # of less than a voxel
        masked = np.array([np.array(at_2_mm.shape) // 2])
    low = np.maximum(masked.min(axis=0) - _AROUND, 0)
    high = np.minimum(masked.max(axis=0) + 1 + _AROUND, at_2_mm.shape)
    box = at_2_mm.data[(slice(None), *(slice(a, b) for a, b in zip(low, high, strict=True)))]
    wanted = -(-np.maximum(high - low, _LEAST) // 4) * 4
    before = (wanted - (high - low)) // 2
    after = wanted - (high - low) - before
    sides = [int(one) for pair in zip(before[::-1], after[::-1], strict=True) for one in pair]
    padded = F.pad(torch.from_numpy(np.ascontiguousarray(box))[None], sides, mode="replicate")[0].numpy()
    grid = padded_grid(at_2_mm.grid, before - low, after - (np.array(at_2_mm.shape) - high))
    return Volume(padded, grid.affine)
