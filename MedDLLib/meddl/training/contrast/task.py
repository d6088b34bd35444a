"""Contrast synthesis as a task of the training loop: heads of random label maps, rendered in two contrasts."""

import math
from typing import NamedTuple

import torch
from torch import nn

from meddl.contrast_synthesis.contrasts import TARGETS
from meddl.contrast_synthesis.network_input import SPACING_MM, bright_level, to_network_range
from meddl.networks import build_network
from meddl.synthesis import HeadGenerator, LabelMaps, SynthesisConfig

ARCHITECTURE = "monai.UNet"
ARGUMENTS: dict = {"spatial_dims": 3, "in_channels": 1, "out_channels": len(TARGETS), "channels": [24, 32, 48, 40],
                   "strides": [2, 2, 2], "num_res_units": 2, "norm": ["instance", {"affine": True}]}
SHAPE = (80, 96, 80)
_INPUTS = ("T1", "T2", "FLAIR", "PD")
_HEADS = SynthesisConfig(
    spacing_mm=SPACING_MM, shape=SHAPE, center_jitter_mm=8.0, rotation_degrees=15.0, prior_probability=0.9,
    tissue_sd=(0.0, 0.06), bias_sd=(0.0, 0.3), gamma_sd=0.2, thickness_mm=(2.0, 6.0), isotropic_mm=(0.5, 2.5),
    anisotropic_probability=0.25, noise_sd=(0.0, 0.04), crop_probability=0.1, stripped_probability=0.5,
    dark_background_probability=0.9, clip_probability=0.2, shape_probability=0.5, lesion_probability=0.4)
_BACKGROUND = 0.1  # weight of a voxel outside of the head; of one in the brain twice that of one in the head
_VALIDATION_SEED, _VALIDATION_HEADS = 20_000, 6


class Batch(NamedTuple):
    """Images (B, 1, I, J, K) as the network sees them, targets (B, 3, I, J, K), and weights (B, 1, I, J, K)."""

    images: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


class ContrastTask:
    """Rendered heads in, mean absolute error of the three contrasts out; the score is the PSNR in the head, dB, on
    rendered heads of held-out maps."""

    def __init__(self, maps: LabelMaps, held_out: LabelMaps, batch: int = 1, seed: int = 0):
        self.batch = batch
        self.network = build_network(ARCHITECTURE, ARGUMENTS)
        self.generator = HeadGenerator(maps, _HEADS, seed, _INPUTS, tuple(TARGETS.values()))
        measured = HeadGenerator(held_out, _HEADS, _VALIDATION_SEED, _INPUTS, tuple(TARGETS.values()))
        self.held_out = [_draw(measured, 1) for _ in range(_VALIDATION_HEADS)]

    def sample(self, _done: float) -> Batch:
        return _draw(self.generator, self.batch)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean absolute error, weighted."""
        found = network(batch.images)
        return ((found - batch.targets).abs() * batch.weights).mean() / batch.weights.mean()

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Mean PSNR over the three contrasts in the heads, dB, for a range of 1."""
        network.eval()
        found = []
        for batch in self.held_out:
            squared = (network(batch.images).clamp(0, 1) - batch.targets) ** 2
            head = (batch.weights > _BACKGROUND).expand_as(squared)
            found += [-10 * math.log10(float(squared[:, one][head[:, one]].mean())) for one in range(len(TARGETS))]
        network.train()
        return sum(found) / len(found)

    def state(self) -> dict:
        return self.generator.state()

    def resume(self, state: dict) -> None:
        self.generator.resume(state)


def _draw(generator: HeadGenerator, count: int) -> Batch:
    drawn = generator.sample(count)
    images = torch.stack([to_network_range(image, bright_level(image[0])) for image in drawn.images])
    table = generator.maps.table
    brain = torch.as_tensor(table.targets > 0, device=drawn.rows.device)[drawn.rows.long()]
    weights = (_BACKGROUND + (drawn.rows > 0).float() + brain.float()) * drawn.seen
    return Batch(images, drawn.targets, weights[:, None])
