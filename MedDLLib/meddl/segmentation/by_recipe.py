"""Running a model that others trained, as its recipe says, from a volume to labels on its own voxels."""

import numpy as np
import torch

from meddl.clock import StageClock
from meddl.errors import InputError
from meddl.geometry import reorientation
from meddl.models.recipes import Recipe
from meddl.progress import ProgressCallback, report, span
from meddl.resample import to_tensor
from meddl.segmentation.model import SegmentationModel
from meddl.segmentation.run_steps import run_steps
from meddl.segmentation.steps import Image
from meddl.segmentation.to_volume import labels_on_volume
from meddl.segmentation.windows import mean_score_rows
from meddl.volume import Volume


def labels_by_recipe(model: SegmentationModel, volume: Volume, clock: StageClock, exact: bool = False,
                     on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Label values on the volume's voxels, (I, J, K) uint8 or uint16.

    Args:
        volume: as many channels as the model takes, in its order.
        exact: float32 throughout, as nnU-Net computes on a CPU; else the device's fastest precision.

    Raises:
        InputError: the volume cannot be used, or has another number of channels.
        ModelError: the recipe asks for something that this version does not know.
    """
    recipe = model.card.recipe
    _check(volume, recipe)
    upright = volume if recipe.orientation is None else volume.reorient(recipe.orientation)
    data = to_tensor(upright.data, model.device)
    labels = _labels_of_stage(model, recipe, data, upright.affine, clock, exact, on_progress)
    return labels if recipe.orientation is None else _turned_back(labels, volume, recipe.orientation)


def _labels_of_stage(model: SegmentationModel, recipe: Recipe, data: torch.Tensor, affine: np.ndarray,
                     clock: StageClock, exact: bool, on_progress: ProgressCallback | None) -> np.ndarray:
    """Label values (I, J, K) of an image (C, I, J, K); of a cascade's earlier stages first."""
    earlier = None
    if recipe.previous is not None:
        found = _labels_of_stage(model, recipe.previous, data, affine, clock, exact, span(on_progress, 0.0, 0.3))
        earlier = torch.from_numpy(found.astype(np.int32)).to(data.device)
        on_progress = span(on_progress, 0.3, 1.0)
    with clock.stage("prepare"):
        image = Image(data, np.array(affine), labels=earlier)
        image = run_steps(image, recipe.steps, span(on_progress, 0.0, 0.15))
    with clock.stage("segment"):
        pieces = mean_score_rows([model.networks[name] for name in recipe.networks], image.data, recipe.windows,
                                 len(recipe.output.values), exact, span(on_progress, 0.15, 0.95))
        labels = labels_on_volume(pieces, image, affine, data.shape[1:], recipe)
    report(on_progress, 0.95, "Writing labels on the volume's grid")
    return labels


def _check(volume: Volume, recipe: Recipe) -> None:
    if volume.channels != len(recipe.inputs):
        raise InputError(f"The model takes {len(recipe.inputs)} channels ({', '.join(recipe.inputs)}); "
                         f"the volume has {volume.channels}.")
    if volume.data.dtype.kind == "f" and not np.isfinite(volume.data).all():
        raise InputError("The volume holds NaN or infinite voxels. Replace them first, for example by the background "
                         "value.")


def _turned_back(labels: np.ndarray, volume: Volume, codes: str) -> np.ndarray:
    """Labels on the volume turned to `codes`, in the volume's own axis order."""
    permutation, flips = reorientation(volume.affine, codes)
    labels = labels[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    return labels.transpose(np.argsort(permutation))


def facts_of_labels(model: SegmentationModel, labels: np.ndarray, voxel_volume_ml: float) -> dict:
    """Volumes by structure, and a warning where nothing was found."""
    counts = np.bincount(labels.reshape(-1), minlength=max(model.values) + 1)
    volumes = {label.name: round(float(counts[label.value]) * voxel_volume_ml, 3) for label in model.card.labels}
    return {"volumes_ml": volumes, "warnings": [] if counts[1:].any() else ["No structure was found."]}

