"""How large the inputs are: those of the goals, and small ones that a CPU does within minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Inputs and networks.

    Attributes:
        head_mm: voxel size of the heads that are compared between CPU and GPU.
        few_voxels: a class with fewer is not compared.
        volume: voxels of the head and of the pair that are timed, and their size.
        thick: voxels of the thick slices.
        body, body_mm: voxels of the volume for the nnU-Net models, and their size.
        spacing_mm, patch, features: of these models.
        classes: of these models, each one a model.
        training_patch: voxels of the image of the training step.
        adapted: whether the brain model sharpens its answer by the volume's intensities, as it does by default.
        matrix: of the products that the ceilings are measured by.
        repeats: of each timed run.
    """

    head_mm: float
    few_voxels: int
    volume: tuple[int, int, int]
    volume_mm: float
    thick: tuple[int, int, int]
    thick_mm: tuple[float, float, float]
    body: tuple[int, int, int]
    body_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    patch: tuple[int, int, int]
    features: tuple[int, ...]
    classes: tuple[int, ...]
    training_patch: tuple[int, int, int]
    adapted: bool
    matrix: int
    repeats: int


FULL = Sizes(2.0, 200, (256, 256, 256), 1.0, (256, 256, 40), (1.0, 1.0, 4.0), (512, 512, 300), (0.75, 0.75, 1.5),
             (1.5, 1.5, 1.5), (128, 128, 128), (32, 64, 128, 256, 320, 320), (25, 118), (80, 104, 88), True, 8192,
             3)
SMALL = Sizes(5.0, 20, (40, 48, 40), 5.0, (24, 28, 8), (5.0, 5.0, 15.0), (40, 40, 30), (5.0, 5.0, 6.0),
              (6.0, 6.0, 6.0), (16, 16, 16), (4, 8, 8), (5, 9), (24, 32, 24), False, 256, 1)
