"""Augmentation of volumes for training, by MONAI's transforms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

_ROTATION, _SCALE = 0.35, 0.25  # radians, fraction
_KNOTS = (3, 8)                 # of the curves of a random contrast: at least, and less than
_AS_IT_IS, _OF_CLASS = 0.1, 0.5  # probabilities: the contrast stays; a structure has an intensity of its own


def augmentation(patch: tuple[int, ...], spacing_mm: Sequence[float]):
    """MONAI's random transforms of {"image": (C, x, y, z), "classes": (1, x, y, z)}: one that turns, scales and cuts to
    the patch, and one for intensities.

    What lies outside after a turn is 0 in both: classes that count come moved up by one.

    Args:
        patch: voxels (x, y, z).
        spacing_mm: of the voxels; nothing is turned across thick slices.
    """
    from monai.transforms.compose import Compose
    from monai.transforms.intensity import dictionary as intensities
    from monai.transforms.spatial import dictionary as spatial

    spacing = np.array(spacing_mm, dtype=np.float64)
    thick = int(spacing.argmax()) if spacing.max() > 2 * spacing.min() else None
    rotation = [_ROTATION if thick in (None, axis) else 0.0 for axis in range(3)]
    scale = [0.0 if axis == thick else _SCALE for axis in range(3)]
    affine = spatial.RandAffined(["image", "classes"], prob=1.0, rotate_range=rotation, scale_range=scale,
                                 spatial_size=patch, mode=("bilinear", "nearest"), padding_mode="zeros")
    intensity = Compose([
        intensities.RandGaussianNoised("image", prob=0.1, std=0.2),
        intensities.RandGaussianSmoothd("image", prob=0.1, sigma_x=(0.4, 0.9), sigma_y=(0.4, 0.9), sigma_z=(0.4, 0.9)),
        intensities.RandScaleIntensityd("image", factors=0.25, prob=0.3),
        intensities.RandShiftIntensityd("image", offsets=0.2, prob=0.2),
        intensities.RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
        spatial.RandSimulateLowResolutiond("image", prob=0.15, zoom_range=(0.5, 1.0))])
    return affine, intensity


def plain_tensors(pair: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Image and classes of a pair, float32, without MONAI's metadata."""
    image, classes = (pair[key].as_tensor() if hasattr(pair[key], "as_tensor") else pair[key]
                      for key in ("image", "classes"))
    return image.float(), classes.float()


def random_contrast(image: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A patch in another contrast: intensities follow a random curve, which may invert them, and some structures get an
    intensity of their own; mean and standard deviation of each channel stay.

    Random intensities for each tissue, where all tissues are labeled, are those of B. Billot et al., Medical Image
    Analysis 86, 2023, doi:10.1016/j.media.2023.102789; here the image's own intensities stand for tissues without a
    label.

    Args:
        image: (C, x, y, z) float32.
        classes: (x, y, z) integers; 0 and below are no structure.
    """
    made = np.empty_like(image)
    structures = [value for value in np.unique(classes) if value > 0]
    for number, channel in enumerate(image):
        spread = float(channel.std())
        if spread == 0 or rng.random() < _AS_IT_IS:
            made[number] = channel
            continue
        knots = np.quantile(channel[::2, ::2, ::2], np.linspace(0, 1, int(rng.integers(*_KNOTS))))
        heights = rng.random(len(knots))
        changed = np.interp(channel, knots, heights).astype(np.float32)
        for value in structures:
            if rng.random() < _OF_CLASS:
                inside = classes == value
                texture = 0.1 * (channel[inside] - channel[inside].mean()) / spread
                changed[inside] = rng.random() + texture
        made[number] = (changed - changed.mean()) * (spread / max(float(changed.std()), 1e-6)) + channel.mean()
    return made
