"""Estimate of the time and memory of a segmentation, from the model card, the volume's grid and the machine's speed."""

import math

import numpy as np
import torch

from meddl.core.config import SegmentConfig
from meddl.core.device import describe, select_device
from meddl.models.cards import ModelCard
from meddl.models.catalog.structure_names import chosen_values
from meddl.models.cost.expected import BASE_BYTES, Expected
from meddl.models.cost.machine_speed import gigamacs_per_second, megavoxels_per_second
from meddl.models.cost.network_cost import network_cost
from meddl.models.recipes import Recipe
from meddl.models.store.store import ModelStore
from meddl.segmentation.imported.memory_plan import needed_bytes
from meddl.segmentation.imported.recipe_options import apply_options
from meddl.segmentation.imported.sliding_window import window_starts
from meddl.spatial.grid import reorientation

# Measured beside the networks, in seconds: at each start; for each MB of weights; for each million voxels of the volume
# and of the networks' image (resampling, normalization, labels); for each million scores of windows (blending).
_START_S, _MB_S, _VOLUME_S, _IMAGE_S, _SCORE_S = 0.3, 0.003, 0.05, 0.25, 0.008
# Of MedDL's own model: what its multiply-adds take beside those by which the machine's speed is measured, and
# interpolations that take as long as its other parts, for each voxel of the patch: labels, the adaptation to the
# intensities, each label map.
_OWN_EFFORT, _OWN_LABELS, _OWN_ADAPTATION, _OWN_LABEL_MAP = 3.5, 75.0, 115.0, 65.0
_LAYERS = 1.6  # a network's memory beside its largest layer's: the layers that wait for the decoder


def expected_run(model: str, shape, affine, config: SegmentConfig | None = None, *,
                 device: str = "auto") -> Expected:
    """What `meddl.segment` will take. An estimate: a run on this machine is more exact.

    Args:
        model: identifier of an installed model.
        shape: (I, J, K) of the volume; affine: its 4x4, voxel index to mm.

    Raises:
        ModelNotFoundError, ModelError: the model cannot be used.
        InputError: no such device.
    """
    config = config or SegmentConfig()
    store, chosen = ModelStore(), select_device(device)
    card = store.card(model)
    if card.parts:
        wanted = set(chosen_values(card.labels, config.structures))
        parts = [_estimate(store.card(part.model), shape, affine, config, chosen) for part in card.parts
                 if wanted & set(part.values.values())]
        return Expected(sum(part.seconds for part in parts), max(part.memory_bytes for part in parts),
                        describe(chosen), sum(part.windows for part in parts))
    return _estimate(card, shape, affine, config, chosen)


def _estimate(card: ModelCard, shape, affine, config: SegmentConfig, device: torch.device) -> Expected:
    if card.recipe is None:
        work, memory, windows, interpolations = _own(card, shape, config)
        beside = interpolations / megavoxels_per_second(device)
    else:
        work, memory, windows, image, scores = _by_recipe(card, apply_options(card.recipe, config)[0], shape,
                                                          np.asarray(affine))
        beside = _IMAGE_S * image + _SCORE_S * scores
    seconds = (_START_S + _MB_S * card.weights.bytes / 1e6 + work / gigamacs_per_second(device, config.float32)
               + (_VOLUME_S * math.prod(shape) + beside) / 1e6)
    return Expected(seconds, BASE_BYTES + 2 * card.weights.bytes + memory, describe(device), windows)


def _own(card: ModelCard, shape, config: SegmentConfig):
    """Of MedDL's own model: multiply-adds in 1e9, bytes, passes of the segmenter and interpolations.

    The locator sees the head once; the segmenter twice, if the brain is stripped by its first answer."""
    patch = card.networks["segmenter"].patch_voxels
    passes = (2 if config.flip_averaging else 1) * (2 if config.contrast_adaptation else 1)
    work = _OWN_EFFORT * sum(network_cost(spec.architecture, spec.arguments, 1, spec.patch_voxels).gigamacs
                             * (passes if name == "segmenter" else 1) for name, spec in card.networks.items())
    fused = config.atlas_label_maps if card.atlas is not None else 0
    each = _OWN_LABELS + (_OWN_ADAPTATION + _OWN_LABEL_MAP * fused if config.contrast_adaptation else 0.0)
    return work, needed_bytes(shape, patch, len(card.labels) + 1), passes, each * math.prod(patch)


def _by_recipe(card: ModelCard, recipe: Recipe, shape, affine: np.ndarray):
    """Multiply-adds in 1e9, bytes, windows, voxels of the network's image and scores of all windows."""
    earlier = (0.0, 0.0, 0, 0, 0) if recipe.previous is None else _by_recipe(card, recipe.previous, shape, affine)
    image_shape = _image_shape(recipe, shape, affine)
    patch = tuple(recipe.windows.patch_voxels)
    patch = tuple(p or n for p, n in zip((1, *patch) if len(patch) == 2 else patch, image_shape, strict=True))
    padded = [max(n, p) for n, p in zip(image_shape, patch, strict=True)]
    windows = math.prod(len(window_starts(n, p, recipe.windows)) for n, p in zip(padded, patch, strict=True))
    passes = windows * 2 ** len(recipe.windows.mirror_axes)
    channels = len(recipe.inputs) + sum(len(step.arguments["values"]) for step in recipe.steps
                                        if step.name == "append_labels")
    seen = patch[1:] if len(recipe.windows.patch_voxels) == 2 else patch
    costs = [network_cost(card.networks[name].architecture, card.networks[name].arguments, channels, seen)
             for name in recipe.networks]
    scores = len(recipe.output.values) * math.prod(patch)
    sums = len(recipe.output.values) * patch[0] * math.prod(padded[1:]) * (2 if recipe.windows.half else 4)
    memory = (4 * channels * (math.prod(shape) + 3 * math.prod(image_shape)) + 2 * sums * len(costs)
              + _LAYERS * max(cost.layer_bytes for cost in costs))
    made = (passes * sum(cost.gigamacs for cost in costs), memory, windows, math.prod(image_shape),
            scores * windows * len(costs))
    return (made[0] + earlier[0], max(made[1], earlier[1]), *(new + old for new, old in zip(made[2:], earlier[2:])))


def _image_shape(recipe: Recipe, shape, affine: np.ndarray) -> list[int]:
    """Shape of the image that the networks see; crops are left out, so it may be smaller."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    sizes = np.array(shape)
    if recipe.orientation is not None:
        order = list(reorientation(affine, recipe.orientation)[0])
        spacing, sizes = spacing[order], sizes[order]
    for step in recipe.steps:
        arguments = step.arguments
        if step.name == "transpose":
            spacing, sizes = spacing[list(arguments["axes"])], sizes[list(arguments["axes"])]
        elif arguments.get("spacing_mm") is not None:
            target = np.array([own if new is None else new
                               for own, new in zip(spacing, arguments["spacing_mm"], strict=True)])
            sizes, spacing = np.maximum(np.round(sizes * spacing / target), 1).astype(int), target
        elif step.name == "resize_to":
            new = np.where(np.array(arguments["shape"]) > 0, arguments["shape"], sizes)
            sizes, spacing = new, spacing * sizes / new
        elif step.name == "pad_to":
            sizes = np.maximum(sizes, arguments["shape"])
        elif step.name == "pad_to_multiple":
            sizes = -(-sizes // np.array(arguments["multiple"])) * np.array(arguments["multiple"])
    return [int(n) for n in sizes]

