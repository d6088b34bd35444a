"""Sliding-window inference: scores of an image larger than a network's patch, row by row of the first axis.

Rows are given out as soon as no later window touches them, so that only the depth of one patch is held, however
many classes there are.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.device import in_fast_precision
from meddl.core.memory import return_freed_memory
from meddl.core.progress import ProgressCallback, report
from meddl.models.recipes import Windows

_LARGEST_ROWS = 8  # given out at once
_LARGEST_PIECE = 1 << 25  # numbers given out at once, where a row is not more
_SIDE_BY_SIDE = 16
_VOXELS_AT_ONCE = 150_000  # of several small windows
_WIDE_BYTES = 512 << 20  # sums of features that take no more are held in float32, also where a recipe says half


def mean_score_rows(networks: Sequence[torch.nn.Module], image: torch.Tensor, windows: Windows, channels: int,
                    exact: bool = False, on_progress: ProgressCallback | None = None) -> Iterator[torch.Tensor]:
    """The mean of `score_rows` over several networks.

    Where the networks end in a convolution of one voxel (`networks.nnunet`), and have fewer features before it than
    scores after it, the features are blended and the convolution comes last: it is linear, so is blending. With
    `exact` every network's scores are blended and rounded by themselves, as their makers do.
    """
    if exact:
        yield from _mean_of_runs(networks, image, windows, channels, exact, on_progress)
        return
    heads = [network.head for network in networks if hasattr(network, "features")]
    if len(heads) < len(networks) or sum(head.in_channels for head in heads) >= channels:
        if windows.half and len(networks) * _sums_bytes(channels, image.shape[1:], windows) <= _WIDE_BYTES:
            yield from _mean_of_runs(networks, image, windows, channels, exact, on_progress)  # rounded as by its makers
        else:
            network = _Mean(networks) if len(networks) > 1 else networks[0]
            yield from score_rows(network, image, windows, channels, exact, on_progress)
        return
    weight = torch.cat([head.weight.flatten(1) for head in heads], dim=1) / len(heads)
    bias = sum(head.bias for head in heads) / len(heads)
    if windows.half and _sums_bytes(weight.shape[1], image.shape[1:], windows) <= _WIDE_BYTES:
        windows = replace(windows, half=False)
    features = score_rows(_Features(networks), image, windows, weight.shape[1], exact, on_progress)
    for piece in features:
        for rows in piece.split(_rows_at_once(channels, piece.shape[2:]), dim=1):
            yield F.linear(rows.permute(1, 2, 3, 0).float(), weight, bias).permute(3, 0, 1, 2)


class _Mean:
    """The mean of several networks' scores."""

    def __init__(self, networks: Sequence[torch.nn.Module]):
        self.networks = networks
        self.one_image = _any_of_one_image(networks)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        total = self.networks[0](image)
        for network in self.networks[1:]:
            total = total + network(image)
        return total / len(self.networks)


class _Features:
    """The features of several networks, side by side."""

    def __init__(self, networks: Sequence[torch.nn.Module]):
        self.networks = networks
        self.one_image = _any_of_one_image(networks)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        found = [network.features(image) for network in self.networks]
        return torch.cat(found, dim=1) if len(found) > 1 else found[0]


def _any_of_one_image(networks) -> bool:
    return any(getattr(network, "one_image", False) for network in networks)


def _mean_of_runs(networks, image, windows, channels, exact, on_progress) -> Iterator[torch.Tensor]:
    fractions = [0.0] * len(networks)

    def progress_of(n: int) -> ProgressCallback:
        def within(fraction: float, message: str) -> None:
            fractions[n] = fraction
            report(on_progress, sum(fractions) / len(fractions), message)
        return within

    runs = []
    for n, network in enumerate(networks):
        late = hasattr(network, "features") and network.head.in_channels < channels
        runs.append(score_rows(_Features([network]) if late else network, image, windows, channels, exact,
                               progress_of(n), network.head if late else None))
    for pieces in zip(*runs, strict=True):
        total = pieces[0]
        for piece in pieces[1:]:
            total += piece
        yield total.div_(len(networks)) if len(networks) > 1 else total


@torch.no_grad()
def score_rows(network, image: torch.Tensor, windows: Windows, channels: int, exact: bool = False,
               on_progress: ProgressCallback | None = None,
               head: torch.nn.Module | None = None) -> Iterator[torch.Tensor]:
    """Blended scores of an image, in pieces (channels, rows, y, z) that follow one another along the first axis.

    Args:
        network: takes several windows at once where these are small, unless it says `one_image`.
        image: (C, x, y, z); smaller ones are padded around.
        channels: of the scores.
        exact: float32 throughout; else the device's fastest precision.
        head: makes scores of what the network gives, voxel by voxel, few rows at once: a window's scores of many
            classes are then never held.
    """
    flat = len(windows.patch_voxels) == 2
    patch, before, around, starts = _window_grid(image.shape[1:], windows)
    inside = tuple(slice(b, b + min(n, p)) for b, n, p in zip(before, image.shape[1:], patch, strict=True))
    weights = window_weights(patch, windows).to(image.device)[inside]
    dtype = torch.half if windows.half else torch.float32
    total, done = len(starts[0]) * len(starts[1]) * len(starts[2]), 0
    at_once = 1 if getattr(network, "one_image", False) else max(1, _VOXELS_AT_ONCE // math.prod(patch))
    size, depth = image.shape[1:], len(weights)
    sums = _zeros(channels, (depth, *size[1:]), dtype, image.device)
    weight_sums = torch.zeros(depth, *size[1:], dtype=dtype, device=image.device)
    for n, x in enumerate(starts[0]):
        return_freed_memory()
        boxes = [(..., slice(y, y + patch[1]), slice(z, z + patch[2])) for y, z in itertools.product(*starts[1:])]
        for place in range(0, len(boxes), at_once):
            report(on_progress, done / total, "Segmenting")
            seen = boxes[place:place + at_once]
            cut = partial(_cut, image[:, x:x + patch[0]], seen, around, windows.padding, flat)
            found = _window_scores(network, cut, windows.mirror_axes, exact)
            for box, scores in zip(seen, found, strict=True):
                _blend(sums[box], (scores[:, None] if flat else scores)[(..., *inside)], weights, head)
                weight_sums[box] += weights
            del found, scores  # the network works without them
            done += len(seen)
        rows = (starts[0][n + 1] if n + 1 < len(starts[0]) else size[0]) - x
        few = _rows_at_once(channels, size[1:])
        for row in range(0, rows, few):
            done_rows = slice(row, min(row + few, rows))
            yield sums[:, done_rows] / weight_sums[done_rows]
        for held in (sums.movedim(1, 0), weight_sums):
            for row in range(depth):
                held[row] = held[row + rows] if row + rows < depth else 0
    report(on_progress, 1.0, "Segmenting")


def window_of_most(image: torch.Tensor, foreground: torch.Tensor, windows: Windows) -> torch.Tensor:
    """The window (1, C, ...) of an image (C, x, y, z) that holds most of a mask (x, y, z), as a network sees it."""
    patch, _, around, starts = _window_grid(image.shape[1:], windows)
    boxes = [(..., *(slice(start, start + size) for start, size in zip(first, patch, strict=True)))
             for first in itertools.product(*starts)]
    box = max(boxes, key=lambda box: int(foreground[box].sum()))
    return _cut(image, [box], around, windows.padding, len(windows.patch_voxels) == 2)


def _window_grid(size, windows: Windows) -> tuple[tuple[int, ...], list[int], list[int], list[list[int]]]:
    """Patch (3,), voxels before an image of this size that is smaller, those around it for `F.pad`, and the starts."""
    patch = (1, *windows.patch_voxels)[-3:]
    patch = tuple(p or n for p, n in zip(patch, size, strict=True))
    before = [max(0, p - n) // 2 for p, n in zip(patch, size, strict=True)]
    after = [max(0, p - n) - b for p, n, b in zip(patch, size, before, strict=True)]
    around = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
    return patch, before, around, [window_starts(max(n, p), p, windows) for n, p in zip(size, patch, strict=True)]


def _cut(image: torch.Tensor, boxes: list[tuple], around: list[int], padding: str, flat: bool) -> torch.Tensor:
    """Windows (B, C, ...) of an image, padded where it is smaller than they are."""
    cut = torch.stack([image[box] for box in boxes])
    if any(around):
        cut = F.pad(cut, around) if padding == "zeros" else F.pad(cut, around, mode="replicate")
    return cut[:, :, 0] if flat else cut


def _blend(sums: torch.Tensor, scores: torch.Tensor, weights: torch.Tensor, head: torch.nn.Module | None) -> None:
    """Add weighted scores, few rows at once: where types differ, torch makes copies of all that it adds at once."""
    for row in range(0, len(weights), _LARGEST_ROWS):
        rows = slice(row, row + _LARGEST_ROWS)
        part = scores[:, rows]
        if head is not None:
            of_slices = len(head.kernel_size) == 2
            part = head(part.transpose(0, 1)).transpose(0, 1) if of_slices else head(part[None])[0]
        sums[:, rows] += part * weights[rows]


def _sums_bytes(channels: int, size, windows: Windows) -> int:
    """Memory of float32 sums: one depth of windows over the image's whole cross-section."""
    patch = (1, *windows.patch_voxels)[-3:]
    return 4 * channels * min(patch[0] or size[0], size[0]) * math.prod(size[1:])


def _rows_at_once(channels: int, size) -> int:
    return max(1, min(_LARGEST_ROWS, _LARGEST_PIECE // (channels * size[0] * size[1])))


def _zeros(channels: int, shape, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros (channels, ...), in memory as networks give scores: many channels lie side by side."""
    if channels < _SIDE_BY_SIDE:
        return torch.zeros(channels, *shape, dtype=dtype, device=device)
    return torch.zeros(*shape, channels, dtype=dtype, device=device).movedim(-1, 0)


def window_starts(size: int, patch: int, windows: Windows) -> list[int]:
    """Where windows begin along an axis of at least `patch` voxels; a window of one slice sees each of them once."""
    if patch == 1:
        return list(range(size))
    if windows.placement == "dense":
        step = max(1, int(patch * (1 - windows.overlap))) if size > patch else patch
        return [min(start, size - patch) for start in range(0, max(size - patch + step, 1), step)]
    count = int(np.ceil((size - patch) / (patch * (1 - windows.overlap)))) + 1
    return [int(np.round((size - patch) / max(1, count - 1) * n)) for n in range(count)]


@lru_cache(maxsize=4)
def window_weights(patch: tuple[int, int, int], windows: Windows) -> torch.Tensor:
    """How much each voxel of a window counts, shape `patch`, on the CPU."""
    dtype = torch.half if windows.half else torch.float32
    if windows.weighting == "constant":
        return torch.ones((), dtype=dtype).expand(patch)
    if windows.weighting == "centered":
        return _centered_weights(patch, windows.sigma_scale).to(dtype)
    from scipy.ndimage import gaussian_filter1d

    parts = []
    for n in patch:
        line = np.zeros(n)
        line[n // 2] = 1
        parts.append(gaussian_filter1d(line, n * windows.sigma_scale, mode="constant") if n > 1 else np.ones(1))
    weights = np.einsum("i,j,k->ijk", *parts)
    weights = torch.from_numpy(10 * weights / weights.max()).to(dtype)
    return torch.where(weights == 0, weights[weights > 0].min(), weights)


def _centered_weights(patch: tuple[int, int, int], sigma_scale: float) -> torch.Tensor:
    """A Gaussian about the middle of the window, as MONAI weighs windows."""
    coordinates = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch]
    parts = [torch.exp(-(place**2) / (2 * (n * sigma_scale) ** 2)) if n > 1 else torch.ones(1)
             for place, n in zip(coordinates, patch, strict=True)]
    return torch.einsum("i,j,k->ijk", *parts).clamp_min(1e-3)


def _window_scores(network, cut: Callable[[], torch.Tensor], mirror_axes: tuple[int, ...], exact: bool) -> torch.Tensor:
    """Mean scores (B, channels, ...) of windows (B, C, ...), which `cut` gives, over their mirror images, float32."""
    flips = [flip for count in range(len(mirror_axes) + 1) for flip in itertools.combinations(mirror_axes, count)]
    total = None
    for flip in flips:
        axes = [axis + 2 for axis in flip]
        scores = _scores(network, cut, axes, exact)
        scores = torch.flip(scores, axes) if axes else scores
        total = scores if total is None else total.add_(scores)
    return total.div_(len(flips)) if len(flips) > 1 else total


def _scores(network, cut: Callable[[], torch.Tensor], axes: list[int], exact: bool) -> torch.Tensor:
    image = cut()
    image = [(torch.flip(image, axes) if axes else image).contiguous()]
    with in_fast_precision(image[0].device, exact):
        return _forward(network)(image.pop()).float()


def _forward(network) -> Callable[[torch.Tensor], torch.Tensor]:
    """What a network computes, without the call around it, which would hold the image until it returns."""
    return network.forward if isinstance(network, torch.nn.Module) else network
