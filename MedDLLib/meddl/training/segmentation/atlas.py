"""`meddl train atlas`: the probabilistic atlas of a brain model from label maps, into its weights and its card.

The label maps are registered to their mean shape by affines of their structures' centers, then deformably to their
average in turn, with the regularization of the later registration of the atlas: the average is as sharp as the
deformation can follow (Van Leemput 2009, doi:10.1109/TMI.2008.2010434). Left and right are averaged with their mirror
images. The label maps themselves are stored too, each transformed to atlas space by its affine alone.
"""

import argparse
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.errors import ModelError
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import AtlasSpec, load_card
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_weights, save_weights
from meddl.registration.deformable.diffeomorphic import Stage, on_grid, refine
from meddl.registration.deformable.metrics.feature_difference import FeatureDifference
from meddl.registration.images.warped_image import WarpedImage, linear_coordinates
from meddl.segmentation.atlas.atlas_label_maps import AtlasLabelMaps, encode, label_map_grid
from meddl.segmentation.atlas.atlas_registration import FACTOR, SIDE_WEIGHT, STEPS, centers_mm, features, fit_affine
from meddl.segmentation.atlas.label_fusion import nearest_class
from meddl.segmentation.atlas.probabilistic_atlas import Atlas, pack
from meddl.segmentation.atlas.tissues import Tissues
from meddl.spatial.grid import Grid, grid_around, three
from meddl.synthesis.labels import LabelMaps, load_label_maps

ATLAS = "atlas."  # tensors of an atlas among a model's weights
TRAINING_MAPS = (1, 12)
SPACING_MM = 2.0
SHAPE = (80, 104, 88)
ROUNDS = 4
ITERATIONS = 40
MARGIN_VOXELS = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path,
                        help="folder with labels.csv and heads/head_NN.nii.gz, of which 01-12 are averaged")
    source.add_argument("--from", dest="start", help="a model whose atlas is taken: its identifier or its folder")
    parser.add_argument("--model", default="brain",
                        help="the brain model that gets the atlas: its identifier or its folder")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Make the atlas and put it into a model's weights and card.

    Returns:
        The model's folder.

    Raises:
        InputError: the data folder does not hold label maps.
        ModelNotFoundError, ModelError: a model is not there, its files cannot be read, it brings no atlas, or one of
            other structures.
    """
    folder = _folder(arguments.model)
    card = load_card(folder / "card.json")
    values = (0, *(label.value for label in card.labels))
    mirror = tuple(values.index(m) for m in (0, *(label.mirror for label in card.labels)))
    structures = tuple(values[n] for n in Tissues(mirror).classes)
    if arguments.start is not None:
        other = _folder(arguments.start)
        spec = load_card(other / "card.json").atlas
        if spec is None or spec.structures != structures:
            raise ModelError(f"'{arguments.start}' was expected to bring an atlas of the structures of "
                             f"'{arguments.model}'; it brings {'none' if spec is None else 'one of others'}.")
        tensors = load_weights(other / "weights.safetensors")
        give_atlas(folder, {name: tensor for name, tensor in tensors.items() if name.startswith(ATLAS)}, spec)
        return folder
    report(on_progress, 0.0, "Reading the label maps")
    maps = load_label_maps(arguments.data, *TRAINING_MAPS)
    atlas = average_label_maps(maps, values, Tissues(mirror), span(on_progress, 0.1, 0.95))
    first, last = TRAINING_MAPS
    give_atlas(folder, pack(atlas), AtlasSpec(
        structures, SPACING_MM, atlas.grid.shape,
        f"SynthSeg label maps head_{first:02d} to head_{last:02d} (BBillot/SynthSeg), averaged and singly",
        "Apache-2.0", "meddl train atlas --data LABELMAPS --model MODEL", len(atlas.label_maps.codes)))
    return folder


def average_label_maps(maps: LabelMaps, values: tuple[int, ...], tissues: Tissues,
                  on_progress: ProgressCallback | None = None, spacing_mm: float = SPACING_MM, shape=SHAPE,
                  rounds: int = ROUNDS) -> Atlas:
    """The probabilistic atlas of some label maps.

    Args:
        values: label value of each class, background first.
        spacing_mm, shape: of the atlas; the first of `shape` is even.
    """
    factor = round(spacing_mm)
    heads = [_head(rows, center, maps, values, tissues, factor)
             for rows, center in zip(maps.rows, maps.centers.numpy(), strict=True)]
    grid = grid_around(np.zeros(3), shape, np.eye(3) * spacing_mm)
    weight = np.sqrt(np.mean([sizes for *_, sizes in heads], axis=0))
    weight[[n for n, value in enumerate(values) if value in (0, 24)]] = 0  # no centers: what surrounds the brain
    points = np.stack([centers for _, _, centers, _ in heads])
    mirror = [int(torch.nonzero((tissues.of_class == t) & (tissues.sign == -s))[0])
              for t, s in zip(tissues.of_class, tissues.sign, strict=True)]
    mean = _mean_shape(points, weight, mirror)
    affines = [fit_affine(mean, p, weight) for p in points]
    average = _average([_warp(channels, own, grid, affine) for (channels, own, *_), affine
                        in zip(heads, affines, strict=True)])
    sparse = Atlas(average, grid).coarse(FACTOR)
    for number in range(rounds):
        displacements = []
        for n, ((channels, own, *_), affine) in enumerate(zip(heads, affines, strict=True)):
            report(on_progress, (number + n / len(heads)) / rounds, "Averaging the label maps")
            moving = WarpedImage(_halve_resolution(channels)[1:], sparse.grid,
                                 np.linalg.inv(own.affine) @ affine @ sparse.grid.affine)
            fixed = features(sparse.probabilities, sparse.leftness(), tissues)
            stage = Stage(FeatureDifference(fixed), moving, float(sparse.grid.spacing_mm[0]), ITERATIONS)
            displacements.append(refine([stage], STEPS)[0])
        drift = torch.stack(displacements).mean(dim=0)
        drift = (drift + drift.flip(1) * drift.new_tensor([-1, 1, 1]).reshape(3, 1, 1, 1)) / 2
        average = _average([_warp(channels, own, grid, affine, on_grid(moved - drift, sparse.grid, grid))
                            for (channels, own, *_), affine, moved in zip(heads, affines, displacements, strict=True)])
        sparse = Atlas(average, grid).coarse(FACTOR)
    own = label_map_grid(grid)
    return Atlas(average, grid, AtlasLabelMaps(tuple(
        encode(_classes_on(own, rows, center, affine, maps, values))
        for rows, center, affine in zip(maps.rows, maps.centers.numpy(), affines, strict=True)), own))


def give_atlas(folder: Path, tensors: dict[str, torch.Tensor], spec: AtlasSpec) -> None:
    """Write an atlas into a model's weights and card; measured figures, of the weights before, are taken out."""
    path = folder / "card.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    weights = folder / content["weights"]["file"]
    networks = {name: tensor for name, tensor in load_weights(weights).items() if not name.startswith(ATLAS)}
    save_weights(networks | tensors, weights)
    data = weights.read_bytes()
    content["weights"] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    content["atlas"] = asdict(spec)
    content["accuracy"] = []
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    load_card(path)


def _folder(model: str) -> Path:
    """The folder of a model, named by its identifier or by the folder itself."""
    place = Path(model)
    return place if place.is_dir() else ModelStore().folder(model)


def _head(rows: torch.Tensor, center: np.ndarray, maps: LabelMaps, values: tuple[int, ...], tissues: Tissues,
          factor: int) -> tuple[torch.Tensor, Grid, np.ndarray, np.ndarray]:
    """Of one label map: tissue probabilities and left minus right (T + 1, I, J, K), grid, class centers, volumes."""
    targets = maps.table.targets
    brain = torch.as_tensor((targets > 0) & (targets != 24))[rows.long()]
    starts, stops = [], []
    for axis in range(3):
        inside = torch.nonzero(brain.any(dim=(axis + 1) % 3, keepdim=True).any(dim=(axis + 2) % 3, keepdim=True)
                               .reshape(-1))
        margin = MARGIN_VOXELS * factor
        starts.append(max(0, int(inside[0]) - margin))
        stops.append(min(rows.shape[axis], int(inside[-1]) + margin))
    part = _class_of_row(maps, values)[rows[tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))].long()]
    probabilities = torch.stack([F.avg_pool3d((part == n).float()[None, None], factor)[0, 0]
                                 for n in range(len(values))])
    affine = np.diag([factor, factor, factor, 1.0])
    affine[:3, 3] = np.array(starts) + (factor - 1) / 2 - center
    grid = Grid(three(probabilities.shape[1:]), affine)
    channels = torch.cat([tissues.merge(probabilities), tissues.left_minus_right(probabilities)[None]])
    return channels, grid, *centers_mm(probabilities, grid)


def _class_of_row(maps: LabelMaps, values: tuple[int, ...]) -> torch.Tensor:
    """The class of each row of the maps' table, (N,) uint8."""
    return torch.tensor([values.index(t) if t in values else 0 for t in maps.table.targets.tolist()],
                        dtype=torch.uint8)


def _classes_on(grid: Grid, rows: torch.Tensor, center: np.ndarray, affine: np.ndarray, maps: LabelMaps,
                values: tuple[int, ...]) -> torch.Tensor:
    """Classes of a label map on a grid in atlas space, (I, J, K) uint8, each that of the nearest voxel of the map."""
    to_map = affine @ grid.affine
    coordinates = linear_coordinates(to_map[:3, :3], to_map[:3, 3] + center, None, 0, grid.shape[0], grid.shape,
                           torch.empty(0, dtype=torch.float32, device=rows.device))
    return nearest_class(_class_of_row(maps, values)[rows.long()], coordinates).to(torch.uint8)


def _mean_shape(points: np.ndarray, weight: np.ndarray, mirror: list[int], rounds: int = 3) -> np.ndarray:
    """Centers of the mean shape, (C, 3), left the mirror image of right, of the mean size of the shapes (M, C, 3)."""
    mean = points.mean(axis=0)
    for _ in range(rounds):
        mean = (mean + mean[mirror] * (-1, 1, 1)) / 2
        fits = [fit_affine(p, mean, weight) for p in points]
        fitted = np.stack([p @ fit[:3, :3].T + fit[:3, 3] for p, fit in zip(points, fits, strict=True)])
        mean = fitted.mean(axis=0) * _spread(points, weight) / _spread(fitted, weight)
    return (mean + mean[mirror] * (-1, 1, 1)) / 2


def _spread(points: np.ndarray, weight: np.ndarray) -> float:
    """Mean root mean square distance of structures from their center in shapes (M, C, 3)."""
    normalized_weight = weight / weight.sum()
    middle = np.einsum("c,mca->ma", normalized_weight, points)
    return float(np.sqrt(np.einsum("c,mca->m", normalized_weight, (points - middle[:, None]) ** 2)).mean())


def _warp(channels: torch.Tensor, own: Grid, grid: Grid, affine: np.ndarray,
          displacement: torch.Tensor | None = None) -> torch.Tensor:
    """Probabilities of the tissues of a label map on the atlas's grid."""
    warped = WarpedImage(channels[:-1], grid, np.linalg.inv(own.affine) @ affine @ grid.affine)
    warped.displacement = displacement
    return warped.all()


def _average(probabilities: list[torch.Tensor]) -> torch.Tensor:
    """The mean over label maps and their mirror images."""
    mean = sum(probabilities) / len(probabilities)
    return (mean + mean.flip(1)) / 2


def _halve_resolution(channels: torch.Tensor) -> torch.Tensor:
    """The channels of a label map averaged over neighbors, for half the resolution; left minus right at its weight."""
    smooth = F.avg_pool3d(channels[None], 3, stride=1, padding=1)[0]
    smooth[-1] *= SIDE_WEIGHT
    return smooth
