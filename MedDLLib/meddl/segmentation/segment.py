"""The verb `meddl.segment`."""

from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
import torch

from meddl.core.config import SegmentConfig, check_config
from meddl.core.device import describe, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import ModelError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.io import VolumeLike, as_volume
from meddl.models.catalog.structure_names import chosen_values
from meddl.models.recipes import Recipe
from meddl.models.store.store import ModelStore
from meddl.results import Segmentation
from meddl.segmentation.brain.loaded_model import SegmentationModel, load_model
from meddl.segmentation.channels import join_channels, with_finite_values
from meddl.segmentation.imported.collection import segment_parts
from meddl.segmentation.imported.recipe_options import apply_options
from meddl.segmentation.imported.segment_by_recipe import labels_by_recipe
from meddl.segmentation.region_of_interest import inside_roi, scope_of
from meddl.segmentation.structures import NOTHING_FOUND, restrict_to, volumes_ml
from meddl.spatial.volume import Volume


def segment(volume: VolumeLike, model: str = "brain", config: SegmentConfig | None = None, *,
            others: Sequence[VolumeLike] | Mapping[str, VolumeLike] = (), roi: VolumeLike | np.ndarray | None = None,
            device: str = "auto", on_progress: ProgressCallback | None = None) -> Segmentation:
    """Segment the structures of a volume with a model.

    Args:
        volume: one channel, (1, I, J, K), any orientation, spacing and range; all channels of a model that takes more;
            or the path of a file.
        model: identifier of an installed model.
        config: configuration; the defaults where None.
        others: further volumes for a model of several channels, on any grids in the same world: in the model's order
            after `volume`, or by name; see `channels.join_channels`.
        roi: region of interest, see `region_of_interest.inside_roi`: labels outside of it are background. An imported
            model runs only the patches that reach into it, with the same result inside as without it.
        device: auto, cpu, cuda, cuda:N or mps. Where a GPU fails, the CPU is used.

    Returns:
        Labels on the volume's own grid, with volumes and confidence by structure in the report.

    Raises:
        InputError, GeometryError: the volume cannot be segmented.
        ModelNotFoundError, ModelError, IntegrityError: the model cannot be used.
        OutOfMemoryError: the CPU's memory is not enough either.
        Cancelled: from `on_progress`; nothing is left behind.
    """
    config = check_config(config, SegmentConfig)
    warnings: list[str] = []
    chosen = select_device(device, warnings)
    card = ModelStore().card(model)
    first = as_volume(volume, "volume", "all" if len(card.channel_names) > 1 and not others else None)
    joined, notes = join_channels(first, _volumes(others), card.channel_names, on_progress)
    image, more = with_finite_values(joined)
    values = chosen_values(card.labels, config.structures)
    region = as_volume(roi, "roi") if isinstance(roi, str | PathLike) else roi
    inside = None if region is None else inside_roi(region, image.grid)
    warnings += [*notes, *more]
    found, _ = with_cpu_fallback(
        lambda where: _segment_on(where, image, model, config, on_progress, tuple(warnings), inside), chosen, warnings,
        "This volume needs more memory than is free. Close other programs, or crop or resample the volume.")
    return restrict_to(found, values, inside) if config.structures or inside is not None else found


def _volumes(others: Sequence[VolumeLike] | Mapping[str, VolumeLike]) -> Sequence[Volume] | Mapping[str, Volume]:
    """The further channels, those given by their paths read."""
    if isinstance(others, Mapping):
        return {name: as_volume(one, name) for name, one in others.items()}
    return [as_volume(one, "others") for one in others]


def _segment_on(device: torch.device, volume: Volume, model_id: str, config: SegmentConfig,
                on_progress: ProgressCallback | None, notes: tuple[str, ...],
                inside: np.ndarray | None = None) -> Segmentation:
    """With all structures that the model knows; `inside` (I, J, K) bool says where labels are wanted."""
    card = ModelStore().card(model_id)
    if card.parts:
        def run_part(part: str, progress: ProgressCallback | None) -> Segmentation:
            if ModelStore().card(part).parts:
                raise ModelError(f"'{part}', a part of '{model_id}', is a collection itself. Merge its parts instead.")
            return _segment_on(device, volume, part, config, progress, (), inside)

        return segment_parts(card, volume, config.structures, notes, run_part, on_progress)
    clock = StageClock()
    with clock.stage("load"):
        report(on_progress, 0.01, "Loading the model")
        model = load_model(model_id, device, on_progress=span(on_progress, 0.01, 0.03))
        report(on_progress, 0.03, "Loading the model")
    recipe = model.card.recipe
    if recipe is not None:
        return _segment_by_recipe(model, recipe, volume, config, clock, on_progress, notes, inside)
    from meddl.segmentation.brain.segment_head import segment_head  # which needs registration, as no other model does

    return segment_head(model, volume, config, clock, on_progress, notes)


def _segment_by_recipe(model: SegmentationModel, recipe: Recipe, volume: Volume, config: SegmentConfig,
                       clock: StageClock, on_progress: ProgressCallback | None, notes: tuple[str, ...],
                       inside: np.ndarray | None) -> Segmentation:
    """A model that others trained. Nothing but its recipe shapes the labels: MedDL's own refinements are left out."""
    recipe, changes = apply_options(recipe, config)
    with clock.stage("prepare"):
        scope, more = scope_of(volume, config, inside)
    figures: dict = {}
    labels = labels_by_recipe(model, volume, clock, config.float32, span(on_progress, 0.05, 0.98), recipe=recipe,
                              scope=scope, figures=figures)
    sure = figures.pop("confidence", {})
    confidence = {one.name: round(sure[one.value], 4) for one in model.card.segments if one.value in sure}
    volumes = volumes_ml(labels, model.card.segments, volume.grid)
    warnings = [*notes, *([] if any(volumes.values()) else [NOTHING_FOUND])]
    result = Segmentation(np.asfortranarray(labels), volume.affine, model.card.segments, None,
                          {"model": model.card.id, "seconds": clock.seconds, "device": describe(model.device),
                           "warnings": warnings, "peak_memory_mb": round(peak_mb(), 1), "confidence": confidence,
                           "volumes_ml": volumes, "changed_by_options": [*changes, *more], **figures})
    report(on_progress, 1.0, "Done")
    return result
