"""Finding landmarks and boxes as a training task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.progress import ProgressCallback, report
from meddl.detection.detect import detect
from meddl.detection.view import image_of
from meddl.training.supervised.data.augmentation import augmentation, plain_tensors
from meddl.training.supervised.data.volumes import load_volume
from meddl.training.supervised.landmarks.inspection import MarkedFigures
from meddl.training.supervised.landmarks.network import LandmarkPlan

_TURNED, _MIRRORED, _CROPPED, _FOREIGN = 0.4, 0.5, 0.1, 0.1  # probabilities
_LEFT = (0.4, 0.8)   # of an image whose field of view is cropped
_AROUND = 1.3        # a patch that is turned is cut from one so much longer
_SHIFT = 0.1         # of the patch: how far it is moved at most from the middle of the image, or from a landmark
_ON_LANDMARK = 0.7   # of the patches of images that are larger than a patch
_BLOCKS = 4          # along each axis, that an image of nothing known is put together from in another order
_SIZE_WEIGHT = 1.0


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """A case as the network sees it.

    Attributes:
        image: (2, x, y, z) uint8.
        positions: (landmarks and boxes, 3) voxel indices, NaN where the case does not have one.
        sizes: (boxes, 3) logarithm of the size over the mean one.
    """

    image: np.ndarray
    positions: np.ndarray
    sizes: np.ndarray


def prepare_images(cases: Sequence[MarkedFigures], plan: LandmarkPlan,
                   on_progress: ProgressCallback | None = None) -> list[PreparedImage]:
    """All cases in memory, one byte a voxel and channel. Raises Cancelled: from `on_progress`."""
    prepared = []
    for n, one in enumerate(cases):
        report(on_progress, n / len(cases), f"Preprocessing {one.case.name}")
        image, grid = image_of(load_volume(one.case.image), plan.spacing_mm)
        nowhere = np.full(3, np.nan)
        positions = [*(one.points.get(name, nowhere) for name in plan.points),
                  *(one.boxes[name][0] if name in one.boxes else nowhere for name in plan.boxes)]
        sizes = [np.log(one.boxes[name][1] / mean) if name in one.boxes else np.zeros(3)
                 for name, mean in plan.boxes.items()]
        prepared.append(PreparedImage((255 * image).round().byte().numpy(), grid.indices(np.array(positions)),
                                      np.array(sizes).reshape(-1, 3)))
    return prepared


class LandmarkTask:
    """Patches in, a loss out: the divergence of what the network gives a landmark (see `meddl.detection.peaks`) from a
    Gaussian about its place, or from certainty that it is nowhere in the patch. The score is the mean error in mm on
    the held-out cases, times -1.

    Args:
        plan: of the network.
        network: with weights to start from.
        images: of the cases to train on.
        held_out: the cases to validate with.
        batch: patches a step.
    """

    def __init__(self, plan: LandmarkPlan, network: nn.Module, images: Sequence[PreparedImage],
                 held_out: Sequence[MarkedFigures], batch: int, device: torch.device, seed: int = 0):
        self.plan, self.network, self.images, self.device = plan, network, list(images), device
        self.batch, self.seed, self.drawn = batch, seed, 0
        self.held_out = [(load_volume(one.case.image), one) for one in held_out]
        self._affine: Any
        self._intensity: Any
        self._affine, self._intensity = augmentation(plan.patch_voxels, (1.0,) * 3)

    def sample(self, _done: float) -> tuple[torch.Tensor, ...]:
        drawn = [self._draw(np.random.default_rng([self.seed, self.drawn, n])) for n in range(self.batch)]
        self.drawn += 1
        return tuple(torch.stack(part).to(self.device) for part in zip(*drawn, strict=True))

    def loss(self, network: nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        images, positions, present, known, sizes = batch
        scores = network(images)
        with torch.autocast(self.device.type, enabled=False):
            return self._divergence(scores.float(), positions, present, known, sizes)

    def _divergence(self, scores: torch.Tensor, positions: torch.Tensor, present: torch.Tensor, known: torch.Tensor,
                    sizes: torch.Tensor) -> torch.Tensor:
        count = positions.shape[1]
        logits = F.pad(scores[:, :count].flatten(2), (1, 0))  # the first one: nowhere
        target = gaussians(positions, self.plan.patch_voxels, self.plan.sigma_mm / self.plan.spacing_mm)
        wanted = torch.cat([1 - present[..., None], target.flatten(2) * present[..., None]], dim=2)
        divergence = F.kl_div(logits.log_softmax(2), wanted, reduction="none").sum(2)
        loss = (divergence * known).sum() / known.sum().clamp_min(1)
        if sizes.shape[1]:
            boxes = slice(count - sizes.shape[1], count)
            found = scores[:, count:].unflatten(1, (sizes.shape[1], 3))
            off = F.smooth_l1_loss(found, sizes[..., None, None, None].expand_as(found), reduction="none", beta=0.1)
            weights = target[:, boxes] * (present * known)[:, boxes, None, None, None]
            loss = loss + _SIZE_WEIGHT * (off.mean(2) * weights).sum() / (present * known)[:, boxes].sum().clamp_min(1)
        return loss

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        network.eval()
        errors = []
        for volume, truth in self.held_out:
            found = detect(volume, self.plan.spec, self.plan.output(), network, self.device)
            errors += [float(np.linalg.norm(position - truth.points[name])) for name, position in
                       zip(found.points.labels, found.points.positions, strict=True) if name in truth.points]
            errors += [float(np.linalg.norm(center - truth.boxes[name][0])) for name, center in
                       zip(found.boxes.labels, found.boxes.centers, strict=True) if name in truth.boxes]
        network.train()
        return -float(np.mean(errors)) if errors else 0.0

    def state(self) -> dict:
        return {"drawn": self.drawn}

    def resume(self, state: dict) -> None:
        self.drawn = state["drawn"]

    def _draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
        """Image (2, x, y, z), positions (N, 3), where these are present and where known (N,), sizes of boxes (M, 3)."""
        case = self.images[int(rng.integers(len(self.images)))]
        turned = rng.random() < _TURNED
        patch = np.array(self.plan.patch_voxels)
        size = np.ceil(patch * _AROUND).astype(int) if turned else patch
        begin = self._begin(rng, case, size)
        image, positions = cut(case.image, begin, size), case.positions - begin
        known, sizes = ~np.isnan(positions[:, 0]), case.sizes
        pair: dict[str, Any] = {"image": torch.from_numpy(image[:1]), "classes": torch.from_numpy(image[1:])}
        if turned:
            pair = self._affine.set_random_state(int(rng.integers(1 << 31)))(pair)
            matrix = np.linalg.inv(np.asarray(pair["image"].affine, dtype=np.float64))
            positions = positions @ matrix[:3, :3].T + matrix[:3, 3]
            sizes = self._turn_sizes(sizes, matrix[:3, :3])
        pair = self._intensity.set_random_state(int(rng.integers(1 << 31)))(pair)
        intensities, inside = plain_tensors(pair)
        made = torch.cat([intensities * inside, inside])
        if self.plan.mirrors and rng.random() < _MIRRORED:
            made, positions, known, sizes = self._mirror(made, positions, known, sizes)
        present = known & ((positions > -0.5) & (positions < patch - 0.5)).all(axis=1)
        if rng.random() < _CROPPED:
            present &= crop_field_of_view(made, positions, rng)
        if rng.random() < _FOREIGN:
            made, present, known = shuffle_blocks(made, rng), np.zeros_like(present), np.ones_like(known)
        return (made, torch.from_numpy(np.nan_to_num(positions, nan=-1e3)).float(), torch.from_numpy(present).float(),
                torch.from_numpy(known).float(), torch.from_numpy(sizes).float())

    def _turn_sizes(self, sizes: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """Sizes of boxes after a linear map, as if what is in them were ellipsoids."""
        mean = np.array(list(self.plan.boxes.values())).reshape(-1, 3)
        return np.log(np.sqrt((mean * np.exp(sizes)) ** 2 @ (linear**2).T) / mean)

    def _mirror(self, image: torch.Tensor, positions: np.ndarray, known: np.ndarray, sizes: np.ndarray):
        """Left and right exchanged, names too."""
        order = list(self.plan.mirrors)
        of_boxes = [number - len(self.plan.points) for number in order[len(self.plan.points):]]
        mirrored = positions[order].copy()
        mirrored[:, 0] = self.plan.patch_voxels[0] - 1 - mirrored[:, 0]
        return image.flip(1), mirrored, known[order], sizes[of_boxes]

    def _begin(self, rng: np.random.Generator, case: PreparedImage, size: np.ndarray) -> np.ndarray:
        """The first voxel of a patch."""
        whole = np.array(case.image.shape[1:])
        center = (whole - 1) / 2
        known = case.positions[~np.isnan(case.positions[:, 0])]
        if (whole > size).any():
            center = (known[rng.integers(len(known))] if rng.random() < _ON_LANDMARK and len(known)
                      else rng.random(3) * (whole - 1))
        shift = _SHIFT * np.array(self.plan.patch_voxels) * rng.uniform(-1, 1, 3)
        return np.round(center + shift - (size - 1) / 2).astype(int)


def gaussians(positions: torch.Tensor, shape: Sequence[int], sigma: float) -> torch.Tensor:
    """Gaussians (B, N, x, y, z) of sum 1 about positions (B, N, 3), in voxels; 0 about positions far outside."""
    lines = [torch.exp(-((torch.arange(n, device=positions.device) - positions[..., axis, None]) / sigma) ** 2 / 2)
             for axis, n in enumerate(shape)]
    x, y, z = (line / line.sum(2, keepdim=True).clamp_min(1e-12) for line in lines)
    return x[..., :, None, None] * y[..., None, :, None] * z[..., None, None, :]


def cut(image: np.ndarray, begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A patch (2, x, y, z) float32, 0 to 1, of an image in bytes; outside of it 0."""
    made = np.zeros((len(image), *size), dtype=np.float32)
    inside = tuple(slice(max(0, b), max(0, min(b + n, whole)))
                   for b, n, whole in zip(begin, size, image.shape[1:], strict=True))
    place = tuple(slice(part.start - b, part.start - b + max(0, part.stop - part.start))
                  for part, b in zip(inside, begin, strict=True))
    made[(slice(None), *place)] = image[(slice(None), *inside)] / np.float32(255)
    return made


def crop_field_of_view(image: torch.Tensor, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave a part of an image (C, x, y, z) along one axis, 0 elsewhere; which positions (N, 3) are still in it."""
    axis = int(rng.integers(3))
    size = image.shape[axis + 1]
    length = int(size * rng.uniform(*_LEFT))
    begin = int(rng.integers(0, size - length + 1))
    image.narrow(axis + 1, 0, begin).zero_()
    image.narrow(axis + 1, begin + length, size - begin - length).zero_()
    return (positions[:, axis] > begin - 0.5) & (positions[:, axis] < begin + length - 0.5)


def shuffle_blocks(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """An image (C, x, y, z) of the same blocks in another order: nothing that is known is in it."""
    channels, *shape = image.shape
    split = [part for n in shape for part in (_BLOCKS, n // _BLOCKS)]
    blocks = image.reshape(channels, *split).permute(1, 3, 5, 0, 2, 4, 6)
    order = torch.from_numpy(rng.permutation(_BLOCKS**3))
    mixed = blocks.flatten(0, 2)[order].unflatten(0, (_BLOCKS,) * 3)
    return mixed.permute(3, 0, 4, 1, 5, 2, 6).reshape(image.shape)
