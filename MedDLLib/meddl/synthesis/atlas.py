"""A population-average label map."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from meddl.io import save
from meddl.spatial.volume import Volume
from meddl.synthesis.labels import LabelMaps, load_label_maps

ATLAS_MAPS = (1, 12)


def average_label_map(maps: LabelMaps, spacing_mm: float = 1.5, rounds: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Align the maps by the centers of their structures, average every label, take the likeliest.

    Each head is brought to the mean by the affine map that best fits the centers of gravity of the structures
    that all heads have; left and right are averaged with their mirror images, so that the result is symmetric
    in place.

    Returns:
        `(labels, affine)`: (I, J, K) int16 values of the table's labels, and voxel index to RAS mm, the mean
        brain's center at the origin.
    """
    table = maps.table
    structures = [n for n, target in enumerate(table.targets) if target > 0 and target != 24]
    centers = np.stack([_centers(rows.numpy(), len(table.labels)) for rows in maps.rows])
    common = [n for n in structures if np.isfinite(centers[:, n]).all()]
    points = centers[:, common] - maps.centers.numpy()[:, None]
    mirrors = [common.index(int(table.mirrors[n])) for n in common]
    mean = points.mean(axis=0)
    for _ in range(rounds):
        mean = 0.5 * (mean + mean[mirrors] * (-1, 1, 1))
        fitted = np.stack([np.c_[p, np.ones(len(p))] @ _affine_fit(p, mean) for p in points])
        mean = fitted.mean(axis=0) * np.linalg.norm(points - points.mean(1, keepdims=True)) / np.linalg.norm(
            fitted - fitted.mean(1, keepdims=True))
    shape = tuple(2 * (int(n / spacing_mm) // 2) for n in (180, 230, 240))
    votes = torch.zeros((len(table.labels), *shape), dtype=torch.uint8)
    axes = [(np.arange(n) - (n - 1) / 2) * spacing_mm for n in shape]
    axes[2] = axes[2] - 20.0  # the brain lies in the upper part of a head
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    for rows, head, center in zip(maps.rows, points, maps.centers.numpy(), strict=True):
        back = _affine_fit(mean, head)
        coordinates = torch.from_numpy((grid @ back[:3] + back[3] + center).round()).long()
        inside = torch.ones(shape, dtype=torch.bool)
        for axis, size in enumerate(rows.shape):
            inside &= (coordinates[..., axis] >= 0) & (coordinates[..., axis] < size)
            coordinates[..., axis].clamp_(0, size - 1)
        found = rows[coordinates[..., 0], coordinates[..., 1], coordinates[..., 2]] * inside
        votes.scatter_add_(0, found[None].long(), torch.ones((1, *shape), dtype=torch.uint8))
    best = torch.zeros(shape)
    labels = torch.zeros(shape, dtype=torch.int64)
    for row in range(len(table.labels)):
        fraction = F.avg_pool3d(votes[row][None, None].float(), 3, stride=1, padding=1)[0, 0]
        better = fraction > best
        labels[better] = row
        best = torch.maximum(best, fraction)
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = [axis[0] for axis in axes]
    return table.labels[labels.numpy()].astype(np.int16), affine


def _centers(rows: np.ndarray, count: int) -> np.ndarray:
    """Center of gravity of each label in voxels, (count, 3); NaN where it is absent."""
    flat = rows.reshape(-1)
    size = np.bincount(flat, minlength=count).astype(np.float64)
    size[size == 0] = np.nan
    centers = []
    for axis in range(3):
        along = np.arange(rows.shape[axis], dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        weights = np.broadcast_to(along, rows.shape).reshape(-1)
        centers.append(np.bincount(flat, weights=weights, minlength=count) / size)
    return np.stack(centers, axis=1)


def _affine_fit(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Least-squares (4, 3) matrix that takes points (N, 3) with a one appended to `onto`."""
    return np.linalg.lstsq(np.c_[points, np.ones(len(points))], onto, rcond=None)[0]


def write_atlas(data: str | Path, folder: str | Path) -> None:
    """Compute the average of maps 01 to 12 in `data` and write it, with its table, where samples are looked for."""
    maps = load_label_maps(data, *ATLAS_MAPS)
    labels, affine = average_label_map(maps)
    save(Volume.scalar(labels, affine), Path(folder) / "head_labels.nii.gz")
    table = (Path(data) / "labels.csv").read_text(encoding="utf-8")
    (Path(folder) / "labels.csv").write_text(table, encoding="utf-8", newline="\n")
