"""Grad-CAM: which features of a network speak for a structure or a class, and where they are.

Method: R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
ICCV 2017, doi:10.1109/ICCV.2017.74, by `monai.visualize.GradCAM`; a structure's score is the mean over its voxels, as
K. Vinogradova et al., "Towards interpretable semantic segmentation via gradient-weighted class activation mapping",
AAAI 2020, doi:10.1609/aaai.v34i10.7244.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.progress import ProgressCallback, report
from meddl.models.recipes import Windows
from meddl.segmentation.imported.sliding_window import window_starts, window_weights

Place = tuple[slice, slice, slice]


def grad_cam(network: nn.Module, image: torch.Tensor, mask: torch.Tensor, channel: int, layer: str, windows: Windows,
             on_progress: ProgressCallback | None = None) -> torch.Tensor:
    """The activation map of one channel of a network's scores, (x, y, z) float32 on the CPU, 0 and above.

    Args:
        network: as `loaded_networks.read_network` gives it; it is changed and used up.
        image: (C, x, y, z).
        mask: (x, y, z) bool: the structure; windows that hold nothing of it are left out.
        channel: of the scores.
        layer: name of the layer or block whose features are weighted.
        windows: how the network sees an image larger than its patch; nothing is mirrored.
    """
    from monai.visualize.class_activation_maps import GradCAM

    scored = _MeanScore(_watch(network, layer))
    cam = GradCAM(scored, f"network.{layer}.1", postprocessing=lambda found: found)
    sums, weights = torch.zeros(image.shape[1:]), torch.zeros(image.shape[1:])
    flat = len(windows.patch_voxels) == 2
    places = [place for place in window_slices(image.shape[1:], windows) if bool(mask[place].any())]
    for number, place in enumerate(places):
        report(on_progress, number / len(places), "Computing gradients")
        size = [side.stop - side.start for side in place]
        window, scored.mask = (_pad(part, _patch_of(windows, image.shape[1:]), windows)
                               for part in (image[(slice(None), *place)], mask[None][(slice(None), *place)]))
        window = window[:, 0] if flat else window
        scored.mask = scored.mask[:, 0] if flat else scored.mask
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.filterwarnings("ignore", message="Full backward hook")
            found = cam(window[None], class_idx=channel)[0, 0].detach().float().cpu()
        found = _unpad(found[None] if flat else found, size)
        weight = _unpad(window_weights(_patch_of(windows, image.shape[1:]), windows).float(), size)
        sums[place] += found * weight
        weights[place] += weight
    return sums / weights.clamp_min(1e-12)


def window_slices(shape, windows: Windows) -> Iterator[Place]:
    """Where windows lie on an image of this shape (x, y, z), cut off at its edges."""
    patch = _patch_of(windows, shape)
    starts = [window_starts(max(n, p), p, windows) for n, p in zip(shape, patch, strict=True)]
    for x, y, z in itertools.product(*starts):
        yield (slice(x, min(x + patch[0], shape[0])), slice(y, min(y + patch[1], shape[1])),
               slice(z, min(z + patch[2], shape[2])))


class _MeanScore(nn.Module):
    """The mean of each channel of a network's scores over a mask: what MONAI takes for the scores of a classifier. The
    scores of a classifier stay as they are."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.mask = torch.ones(1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(1, C, ...) to (1, channels)."""
        scores = self.network(image).float()
        if scores.ndim == 2:
            return scores
        axes = tuple(range(2, scores.ndim))
        return (scores * self.mask[None]).sum(dim=axes) / self.mask.sum().clamp_min(1)


class _Leaf(nn.Module):
    """Features from which gradients begin: what made them needs none, which halves the memory."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The same values, a leaf of the graph."""
        return features.detach().requires_grad_()


class _Copy(nn.Module):
    """Features that later layers may overwrite, whose gradient lies in memory as MONAI takes it."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The same values in memory of their own."""
        copy = features.clone()
        copy.register_hook(lambda gradient: gradient.contiguous())
        return copy


def _watch(network: nn.Module, layer: str) -> nn.Module:
    """The network, with a leaf after the layer; its parameters need no gradients, and nothing is done in place."""
    network.requires_grad_(False)
    for module in network.modules():
        if "inplace" in vars(module):
            vars(module)["inplace"] = False
    owner, _, name = layer.rpartition(".")
    parent = network.get_submodule(owner)
    watched = nn.Sequential(getattr(parent, name), _Leaf(), _Copy())
    for kept in ("in_channels", "out_channels", "kernel_size"):  # of a convolution, which others ask it for
        if hasattr(getattr(parent, name), kept):
            setattr(watched, kept, getattr(getattr(parent, name), kept))
    setattr(parent, name, watched)
    return network


def _patch_of(windows: Windows, shape) -> tuple[int, int, int]:
    patch = tuple(windows.patch_voxels)
    whole = tuple(p or n for p, n in zip((1, *patch) if len(patch) == 2 else patch, shape, strict=True))
    return whole[0], whole[1], whole[2]


def _pad(part: torch.Tensor, patch: tuple[int, int, int], windows: Windows) -> torch.Tensor:
    """(C, ...) in the middle of a window; a mask is padded with False."""
    around = []
    for size, wanted in zip(part.shape[:0:-1], patch[::-1], strict=True):
        around += [(wanted - size) // 2, wanted - size - (wanted - size) // 2]
    if not any(around):
        return part
    if windows.padding == "zeros" or part.dtype == torch.bool:
        return F.pad(part, around)
    return F.pad(part[None], around, mode="replicate")[0]


def _unpad(found: torch.Tensor, size: list[int]) -> torch.Tensor:
    starts = [(own - wanted) // 2 for own, wanted in zip(found.shape, size, strict=True)]
    return found[tuple(slice(start, start + wanted) for start, wanted in zip(starts, size, strict=True))]
