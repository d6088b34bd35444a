"""An embedded head, so that everything can be tried without any download.

The anatomy is a population average computed from the SynthSeg label maps 01 to 12 (`make sample`), rendered
in a contrast and at a resolution of your choice by the project's own synthesis.
"""

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from meddl.errors import InputError
from meddl.geometry import Grid, centered_grid
from meddl.models.store import ModelStore
from meddl.paths import resources_folder
from meddl.results import Segmentation
from meddl.synthesis.acquisition import along_axis
from meddl.synthesis.contrasts import CONTRASTS, tissue_means
from meddl.synthesis.labels import LabelTable
from meddl.volume import Volume

LABELS_FILE = "head_labels.nii.gz"
TABLE_FILE = "labels.csv"
_TEXTURE, _NOISE, _BIAS = 0.025, 0.012, 0.12
_RANGE = 1000.0


def head(contrast: str = "T1", spacing_mm: float | tuple[float, float, float] = 1.5,
         seed: int = 0) -> tuple[Volume, Segmentation]:
    """A head and the truth about it.

    Args:
        contrast: T1, T2, FLAIR, PD or CT (in Hounsfield-like units).
        spacing_mm: voxel size along R, A, S; along an axis of thick slices the image is averaged over the slice.
        seed: 0 is the average head; any other number is a head of its own shape, the same each time.

    Returns:
        `(image, truth)`: a volume of int16 and a segmentation with the label values of the model `brain`, on one grid.

    Raises:
        InputError: unknown contrast, or a voxel size that is not between 0.5 and 20 mm.
    """
    if contrast not in CONTRASTS:
        raise InputError(f"A sample's contrast is one of {', '.join(CONTRASTS)}; got '{contrast}'.")
    given = np.atleast_1d(np.asarray(spacing_mm, dtype=np.float64))
    if given.shape not in ((1,), (3,)) or not ((given >= 0.5) & (given <= 20)).all():
        raise InputError(f"A sample's voxel size is one number or three, each 0.5 to 20 mm; got {given.tolist()}.")
    sizes = np.broadcast_to(given, (3,))
    rows, grid, table = _atlas()
    rng = torch.Generator().manual_seed(seed)
    if seed:
        rows = _reshaped(rows, float(grid.spacing_mm[0]), rng)
    tissues = torch.as_tensor(table.tissues)
    means = tissue_means(table)[CONTRASTS.index(contrast)]
    image = means[tissues][rows.long()]
    texture = F.avg_pool3d(torch.randn((1, 1, *rows.shape), generator=rng), 3, stride=1, padding=1)[0, 0]
    image = image + texture * _TEXTURE * 5 * (rows > 0)
    bias = _BIAS * torch.randn((1, 1, 3, 3, 3), generator=rng) * (contrast != "CT")
    image = image * F.interpolate(bias, size=rows.shape, mode="trilinear", align_corners=True)[0, 0].exp()
    target = centered_grid(grid, sizes)
    for axis in range(3):
        matrix = _slices(rows.shape[axis], float(grid.spacing_mm[axis]), target.shape[axis], float(sizes[axis]))
        image = along_axis(image, matrix, axis)
    image = (image + torch.randn(image.shape, generator=rng) * _NOISE).clamp_min(0) * _RANGE
    if contrast == "CT":
        image = _hounsfield(image)
    nearest = [torch.arange(n).sub((n - 1) / 2).mul(s / g).add((m - 1) / 2).round().clamp(0, m - 1).long()
               for n, s, g, m in zip(target.shape, sizes, grid.spacing_mm, rows.shape, strict=True)]
    truth = rows[nearest[0]][:, nearest[1]][:, :, nearest[2]]
    labels = table.targets.astype(np.uint8)[truth.numpy()]
    segments = ModelStore().card("brain").segments
    volume = Volume.scalar(image.round().to(torch.int16).numpy(), target.affine)
    return volume, Segmentation(labels, target.affine, segments, None, {"contrast": contrast, "seed": seed})


@lru_cache(maxsize=1)
def _atlas() -> tuple[torch.Tensor, Grid, LabelTable]:
    """Rows of the table (I, J, K) uint8, their grid, and the table."""
    from meddl.io import load

    folder = resources_folder() / "Samples"
    table = LabelTable.read(folder / TABLE_FILE)
    labels = load(folder / LABELS_FILE).reorient("RAS")
    row_of = np.zeros(int(table.labels.max()) + 1, dtype=np.uint8)
    row_of[table.labels] = np.arange(len(table.labels))
    return torch.from_numpy(np.ascontiguousarray(row_of[labels.scalar_data])), labels.grid, table


def _reshaped(rows: torch.Tensor, spacing_mm: float, rng: torch.Generator) -> torch.Tensor:
    """The anatomy seen through a random smooth map."""
    from meddl.synthesis.config import SynthesisConfig
    from meddl.synthesis.deformation import look_up, random_affine, random_displacement, source_coordinates

    config = SynthesisConfig(spacing_mm=1.0, shape=tuple(rows.shape), rotation_degrees=8.0, scale=(0.92, 1.08),
                             elastic_mm=3.5 / spacing_mm, elastic_spacing_mm=24.0 / spacing_mm)
    center = (torch.tensor(rows.shape, dtype=torch.float32)[None] - 1) / 2
    coordinates = source_coordinates(random_affine(1, config, rng), center, random_displacement(1, config, rng), config)
    return look_up(rows[None], torch.zeros(1, dtype=torch.int64), coordinates)[0]


def _slices(source: int, source_mm: float, target: int, target_mm: float) -> torch.Tensor:
    """(target, source) weights of a Gaussian slice profile as wide as a slice; linear where slices are thinner."""
    fine = (torch.arange(source) - (source - 1) / 2) * source_mm
    coarse = ((torch.arange(target) - (target - 1) / 2) * target_mm).clamp(float(fine[0]), float(fine[-1]))
    distance = coarse[:, None] - fine[None]
    if target_mm <= source_mm:
        weights = (1 - distance.abs() / source_mm).clamp_min(0)
    else:
        weights = torch.exp(-0.5 * (distance / (math.sqrt(target_mm**2 - (0.7 * source_mm) ** 2) / 2.355)) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


def _hounsfield(image: torch.Tensor) -> torch.Tensor:
    """A brain window's gray values (0 to 1000) as Hounsfield units: air, soft tissue, bone."""
    soft = (image - 300) / 8  # fluid near 0, white matter near 18, gray near 25
    bone = soft + (image - 700).clamp_min(0) * 3
    air = (150 - image).clamp_min(0) / 150
    return torch.where(image < 80, -1000 * torch.ones_like(image), bone - 300 * air)

