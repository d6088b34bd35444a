"""A U-Net that synthesizes contrasts, trained on rendered heads: for comparison with what `meddl synthesize` does.

    python Testing/Benchmarks/synthesize_network.py --minutes 30 --out FOLDER
    python Testing/Benchmarks/bench_synthesize.py --network FOLDER

A rendered head of any contrast in, T1, T2 and FLAIR of it out, in voxels of 2 mm; then on the grid of the volume by the
guided filter. Maps 1 to 12 train, 13 to 16 are held out.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from meddl.contrast_synthesis.contrasts import TARGETS
from meddl.contrast_synthesis.detail import guided_filter
from meddl.core.paths import data_folder
from meddl.networks import build_network
from meddl.segmentation.brain.preprocess import prepare
from meddl.segmentation.sampling_grids import covering, sample_region
from meddl.spatial.grid import axis_codes
from meddl.spatial.normalize import object_threshold, percentiles
from meddl.spatial.volume import Volume
from meddl.synthesis import HeadGenerator, LabelMaps, SynthesisConfig, load_label_maps
from meddl.training.loop import LoopOptions, train, trained_so_far

SPACING_MM, SHAPE = 2.0, (72, 88, 72)
ARGUMENTS: dict = {"spatial_dims": 3, "in_channels": 1, "out_channels": len(TARGETS), "channels": [24, 32, 48, 40],
                   "strides": [2, 2, 2], "num_res_units": 2, "norm": ["instance", {"affine": True}]}
_INPUTS = ("T1", "T2", "FLAIR", "PD")
_HEADS = SynthesisConfig(
    spacing_mm=SPACING_MM, shape=SHAPE, center_jitter_mm=8.0, rotation_degrees=15.0, prior_probability=0.9,
    tissue_sd=(0.0, 0.06), bias_sd=(0.0, 0.3), gamma_sd=0.2, thickness_mm=(2.0, 6.0), isotropic_mm=(0.5, 2.5),
    anisotropic_probability=0.25, noise_sd=(0.0, 0.04), crop_probability=0.1, stripped_probability=0.5,
    dark_background_probability=0.9, clip_probability=0.2, shape_probability=0.5, lesion_probability=0.4)
_BACKGROUND = 0.1  # weight of a voxel outside of the head; of one in the brain twice that of one in the head
_BRIGHT, _LARGEST, _SAMPLES = 0.95, 1.6, 1 << 16  # quantile of the head that is 1, what is clipped, voxels looked at


def unit_image(image: torch.Tensor) -> torch.Tensor:
    """An image (I, J, K) with black at 0 and the bright part of the head at 1."""
    values = image.reshape(-1)[::max(1, image.numel() // _SAMPLES)]
    seen = values[values > object_threshold(values.double().numpy())]
    bright = float(percentiles(seen[None], (_BRIGHT,))[0, 0]) if seen.numel() else 0.0
    return (image / bright).clamp(0, _LARGEST) if bright > 0 else torch.zeros_like(image)


class Batch(NamedTuple):
    """Images (B, 1, I, J, K) as the network sees them, targets (B, 3, I, J, K), and weights (B, 1, I, J, K)."""

    images: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


class ContrastTask:
    """Rendered heads in, mean absolute error of the contrasts out; the score is the PSNR in held-out heads, dB."""

    def __init__(self, maps: LabelMaps, held_out: LabelMaps):
        self.network = build_network("monai.UNet", ARGUMENTS)
        self.generator = HeadGenerator(maps, _HEADS, 0, _INPUTS, tuple(TARGETS.values()))
        measured = HeadGenerator(held_out, _HEADS, 20_000, _INPUTS, tuple(TARGETS.values()))
        self.held_out = [draw(measured) for _ in range(4)]

    def sample(self, _done: float) -> Batch:
        return draw(self.generator)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        return ((network(batch.images) - batch.targets).abs() * batch.weights).mean() / batch.weights.mean()

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
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


def draw(generator: HeadGenerator) -> Batch:
    """A rendered head."""
    drawn, table = generator.sample(1), generator.maps.table
    brain = torch.as_tensor(table.targets > 0)[drawn.rows.long()]
    weights = (_BACKGROUND + (drawn.rows > 0).float() + brain.float()) * drawn.seen
    return Batch(unit_image(drawn.images[0, 0])[None, None], drawn.targets, weights[:, None])


@torch.no_grad()
def synthesize(folder: Path, volume: Volume, contrast: str) -> np.ndarray:
    """The contrast (I, J, K) of a volume by the network of a folder."""
    task = type("Trained", (), {"network": build_network("monai.UNet", ARGUMENTS)})
    network = trained_so_far(task, folder, torch.device("cpu")).eval()
    prepared = prepare(volume, torch.device("cpu"), "MR")
    grid = covering(prepared.grid, SPACING_MM, 16, 16)
    found = network(unit_image(sample_region(prepared.image, prepared.grid, grid))[None, None])[0]
    made = sample_region(found[list(TARGETS).index(contrast)], grid, prepared.grid)
    guide = unit_image(prepared.image)
    made = guided_filter(guide, made, torch.ones_like(guide, dtype=torch.bool), 2, 1e-3)
    return Volume.scalar(made.numpy(), prepared.grid.affine).reorient(axis_codes(volume.affine)).scalar_data


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    maps, held_out = (load_label_maps(data_folder() / "labelmaps", *numbers) for numbers in ((1, 12), (13, 16)))
    torch.manual_seed(0)
    options = LoopOptions.of_length(chosen.minutes, None, learning_rate=2e-3, half_precision=False, ema_decay=0.99)
    train(ContrastTask(maps, held_out), chosen.out, options, torch.device("cpu"),
          lambda _, message: print(f"\r\x1b[2K{message}", end="", file=sys.stderr, flush=True))


if __name__ == "__main__":
    main()
