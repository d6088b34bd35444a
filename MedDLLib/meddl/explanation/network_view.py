"""What the networks of a model see of a volume, whichever kind of model it is."""

from dataclasses import dataclass

import numpy as np
import torch

from meddl.core.config import SegmentConfig
from meddl.core.progress import ProgressCallback
from meddl.core.stage_clock import StageClock
from meddl.models.recipes import Windows
from meddl.segmentation.brain.loaded_model import SegmentationModel
from meddl.segmentation.imported.recipe_options import apply_options
from meddl.segmentation.imported.segment_by_recipe import network_input as input_by_recipe
from meddl.segmentation.region_of_interest import Scope
from meddl.spatial.grid import Grid, three
from meddl.spatial.volume import Volume


@dataclass(frozen=True, eq=False)
class NetworkView:
    """An image as networks see it.

    Attributes:
        image: (C, x, y, z) float32.
        grid: where its voxels lie in the world.
        windows: how the networks see an image larger than their patch.
        networks: their names in the model's card; their scores are averaged.
        channels: channel of the scores by label value.
    """

    image: torch.Tensor
    grid: Grid
    windows: Windows
    networks: tuple[str, ...]
    channels: dict[int, int]


def view_of_networks(model: SegmentationModel, volume: Volume, config: SegmentConfig,
                     on_progress: ProgressCallback | None = None) -> NetworkView:
    """The image, its grid and windows, and which channel of the scores stands for which label.

    Raises:
        InputError, GeometryError: the volume cannot be segmented.
    """
    if model.card.recipe is None:
        from meddl.segmentation.brain.segment_head import network_input

        seen = network_input(model, volume, config, StageClock(), on_progress)
        patch = model.card.networks["segmenter"].patch_voxels
        return NetworkView(seen.patch[None], seen.grid, Windows(patch), ("segmenter",),
                           {value: channel for channel, value in enumerate(model.values)})
    recipe, _ = apply_options(model.card.recipe, config)
    upright = volume if recipe.orientation is None else volume.reorient(recipe.orientation)
    image, _ = input_by_recipe(model, recipe, upright, Scope(), StageClock(), config.float32, on_progress)
    order = recipe.output.order or range(len(recipe.output.values))
    shape = three(image.data.shape[1:])
    return NetworkView(image.data, Grid(shape, np.array(image.affine)), recipe.windows, recipe.networks,
                       dict(zip(recipe.output.values, order, strict=True)))
