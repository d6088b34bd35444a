"""How far two answers lie apart."""

from __future__ import annotations

import numpy as np
import torch

from meddl.results import Registration
from meddl.spatial.volume import Volume


def of_labels(found: np.ndarray, wanted: np.ndarray, few_voxels: int) -> dict:
    """Share of equal voxels, and Dice of each class that has `few_voxels` in `wanted`."""
    values, counts = np.unique(wanted, return_counts=True)
    by_class = {int(value): _dice(found == value, wanted == value)
                for value, count in zip(values, counts, strict=True) if value and count >= few_voxels}
    return {"equal": float((found == wanted).mean()), "dice": by_class,
            "smallest_dice": min(by_class.values(), default=1.0)}


def _dice(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(2 * (found & wanted).sum() / (found.sum() + wanted.sum()))


def of_maps(found: Registration, wanted: Registration, volume: Volume, every: int = 4) -> dict:
    """Distances in mm between where each takes the bright points of the fixed volume, of every fourth along an axis."""
    data = volume.scalar_data[::every, ::every, ::every]
    points = volume.grid.points_mm(np.argwhere(data > data.mean()) * every)
    apart = np.linalg.norm(found.points(points) - wanted.points(points), axis=1)
    return {"largest_mm": float(apart.max()), "mean_mm": float(apart.mean())}


def psnr_db(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio over the truth's range; infinite for equal ones."""
    image, truth = image.astype(np.float64), truth.astype(np.float64)
    error = np.square(image - truth).mean()
    return float(10 * np.log10((truth.max() - truth.min()) ** 2 / error)) if error else float("inf")


def of_gradients(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> dict:
    """Norm of the difference over the norm: of all numbers together, and of the tensor where it is largest.

    Tensors that are next to nothing beside the others are left out of the latter.
    """
    norms = {name: float(tensor.double().norm()) for name, tensor in wanted.items()}
    apart = {name: float((found[name].double() - tensor.double()).norm()) for name, tensor in wanted.items()}
    whole = float(np.linalg.norm(list(norms.values())))
    fractions = {name: apart[name] / norms[name] for name in norms if norms[name] > 1e-3 * whole}
    worst = max(fractions, key=fractions.get)
    return {"relative": float(np.linalg.norm(list(apart.values()))) / whole, "worst": fractions[worst],
            "worst_tensor": worst}
