"""Inference of an imported model by its recipe: preprocessing, sliding window, label map on the volume's voxels."""

import numpy as np
import torch

from meddl.core.errors import InputError
from meddl.core.memory import reuse_freed_memory
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.models.recipes import Recipe
from meddl.networks.cpu import buffer_pool
from meddl.segmentation.brain.loaded_model import SegmentationModel
from meddl.segmentation.imported.confidence import with_confidence
from meddl.segmentation.imported.labels_on_volume import labels_on_volume
from meddl.segmentation.imported.precision import in_best_precision
from meddl.segmentation.imported.sliding_window import mean_score_rows
from meddl.segmentation.imported.steps.preprocessing import Image
from meddl.segmentation.imported.steps.run_steps import run_steps
from meddl.segmentation.live_labels import with_preview
from meddl.segmentation.region_of_interest import OnlyWhereNeeded, Scope, apply_scope, reorient_scope
from meddl.spatial.grid import reorientation
from meddl.spatial.resample import to_tensor
from meddl.spatial.volume import Volume


def labels_by_recipe(model: SegmentationModel, volume: Volume, clock: StageClock, exact: bool = False,
                     on_progress: ProgressCallback | None = None, *, recipe: Recipe | None = None,
                     scope: Scope | None = None, figures: dict | None = None) -> np.ndarray:
    """Segment a volume by a recipe: label values on its voxels, (I, J, K) uint8 or uint16.

    Args:
        volume: as many channels as the model takes, in its order.
        recipe: instead of the model's own.
        scope: where inference runs, on the volume's voxels; a cascade's first stage runs everywhere.
        exact: float32 throughout, as nnU-Net computes on a CPU; else the fastest precision that this network allows.
        figures: gets what was measured for the choice of the precision, see `precision`, and as "confidence" the mean
            probability by label value, see `confidence`.

    Raises:
        InputError: the volume cannot be used, or has another number of channels.
        ModelError: the recipe has an entry that this version does not know.
    """
    recipe = recipe or model.card.recipe
    scope = scope or Scope()
    _check(volume, recipe)
    upright = volume
    if recipe.orientation is not None:
        upright, scope = volume.reorient(recipe.orientation), reorient_scope(scope, volume.affine, recipe.orientation)
    labels = _labels_of_stage(model, recipe, upright, scope, clock, exact, on_progress,
                              {} if figures is None else figures)
    if scope.needed is not None:
        labels = np.where(scope.needed, labels, labels.dtype.type(0))
    return labels if recipe.orientation is None else _to_input_axes(labels, volume, recipe.orientation)


def _labels_of_stage(model: SegmentationModel, recipe: Recipe, volume: Volume, scope: Scope, clock: StageClock,
                     exact: bool, on_progress: ProgressCallback | None, figures: dict) -> np.ndarray:
    """Label values (I, J, K) of a volume; of a cascade's earlier stages first."""
    ready = 0.15 if recipe.previous is None else 0.4
    image, partly = network_input(model, recipe, volume, scope, clock, exact, span(on_progress, 0.0, ready), figures)
    on_progress = span(on_progress, ready, 1.0)
    networks = [model.networks[name] for name in recipe.networks]
    with clock.stage("segment"), reuse_freed_memory(), buffer_pool.reuse(), \
            in_best_precision(networks[0], model.card, recipe, image.data[:-1] if partly else image.data, exact,
                              figures):
        if partly:
            networks = [OnlyWhereNeeded(network, len(recipe.output.values)) for network in networks]
        pieces = mean_score_rows(networks, image.data, recipe.windows, len(recipe.output.values), exact,
                                 span(on_progress, 0.0, 0.94))
        confidence: dict[int, float] = {}
        pieces = with_confidence(pieces, recipe.output, confidence)
        pieces = with_preview(pieces, model.card, recipe.output, image.data.shape[1:], image.affine, on_progress)
        labels = labels_on_volume(pieces, image, volume.affine, volume.shape, recipe)
    figures["confidence"] = confidence
    report(on_progress, 0.94, "Writing labels on the volume's grid")
    return labels


def network_input(model: SegmentationModel, recipe: Recipe, volume: Volume, scope: Scope, clock: StageClock,
                  exact: bool = False, on_progress: ProgressCallback | None = None,
                  figures: dict | None = None) -> tuple[Image, bool]:
    """The image that a recipe's networks see of a volume, after the earlier stages of a cascade; and whether its last
    channel marks where patches are needed (see `apply_scope`).

    Args:
        volume: in the recipe's orientation.
        figures: as of `labels_by_recipe`, of the earlier stages.
    """
    earlier = None
    if recipe.previous is not None:
        found = _labels_of_stage(model, recipe.previous, volume, Scope(), clock, exact, span(on_progress, 0.0, 0.75),
                                 {} if figures is None else figures)
        earlier = torch.from_numpy(found.astype(np.int32)).to(model.device)
        on_progress = span(on_progress, 0.75, 1.0)
    with clock.stage("prepare"):
        image = Image(to_tensor(volume.data, model.device), np.array(volume.affine), labels=earlier)
        image = run_steps(image, recipe.steps, on_progress)
        return apply_scope(image, scope, volume.affine)


def _check(volume: Volume, recipe: Recipe) -> None:
    if volume.channels != len(recipe.inputs):
        raise InputError(f"The model takes {len(recipe.inputs)} channels ({', '.join(recipe.inputs)}); "
                         f"the volume has {volume.channels}.")


def _to_input_axes(labels: np.ndarray, volume: Volume, codes: str) -> np.ndarray:
    """Labels on the volume reoriented to `codes`, in the volume's own axis order."""
    permutation, flips = reorientation(volume.affine, codes)
    labels = labels[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    return labels.transpose(np.argsort(permutation))
