"""The verb `meddl.segment`."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from meddl.clock import StageClock
from meddl.config import SegmentConfig
from meddl.device import describe, is_out_of_memory, select_device
from meddl.errors import ModelError, OutOfMemoryError
from meddl.geometry import Grid, reorientation
from meddl.memory import peak_mb
from meddl.models.store import ModelStore
from meddl.normalize import unit_range
from meddl.progress import ProgressCallback, report, span
from meddl.results import Segmentation
from meddl.segmentation.by_recipe import labels_by_recipe
from meddl.segmentation.channels import join_channels
from meddl.segmentation.components import keep_largest
from meddl.segmentation.evidence import Evidence
from meddl.segmentation.exact_labels import labels_on_grid
from meddl.segmentation.live_labels import show_classes
from meddl.segmentation.locate import Location, locate
from meddl.segmentation.memory_plan import check_memory
from meddl.segmentation.model import SegmentationModel, load_model
from meddl.segmentation.parts import segment_parts
from meddl.segmentation.predict import predict
from meddl.segmentation.prepare import prepare
from meddl.segmentation.refine import adapt_to_intensities, bound_by_location
from meddl.segmentation.regions import region, sample_region
from meddl.segmentation.scope import inside_roi, scope_of
from meddl.segmentation.structures import NOTHING_FOUND, chosen_values, narrowed, volumes_ml
from meddl.segmentation.tuning import tuned
from meddl.volume import Volume

MARGIN_MM = 16.0
USUAL_CONFIDENCE = 0.53  # real heads of ten kinds reached 0.56 to 0.62, limbs and abdomens 0.21 to 0.51
FLUIDS = (24,)  # label of the fluid around the brain: not of it, and in many pieces


def segment(volume: Volume, model: str = "brain", config: SegmentConfig | None = None, *,
            others: Sequence[Volume] | Mapping[str, Volume] = (), roi: Volume | np.ndarray | None = None,
            device: str = "auto", on_progress: ProgressCallback | None = None) -> Segmentation:
    """Label the structures that a model knows in a volume.

    Args:
        volume: one channel, (1, I, J, K), any orientation, spacing and range; all channels of a model that takes more.
        model: identifier of an installed model.
        config: choices; the defaults where None.
        others: further volumes for a model of several channels, on any grids in the same world: in the model's order
            after `volume`, or by name; see `channels.join_channels`.
        roi: region of interest, see `scope.inside_roi`: labels outside of it are background. An imported model runs
            only the windows that reach into it, with the same answer inside as without it.
        device: auto, cpu, cuda, cuda:N or mps. A GPU that runs out of memory hands over to the CPU.

    Returns:
        Labels on the volume's own grid, with volumes and confidence by structure in the report.

    Raises:
        InputError, GeometryError: the volume cannot be segmented.
        ModelNotFoundError, ModelError, IntegrityError: the model cannot be used.
        OutOfMemoryError: the CPU's memory is not enough either.
        Cancelled: from `on_progress`; nothing is left behind.
    """
    config = config or SegmentConfig()
    chosen = select_device(device)
    card = ModelStore().card(model)
    volume, notes = join_channels(volume, others, card.channel_names, on_progress)
    values = chosen_values(card.labels, config.structures)
    inside = None if roi is None else inside_roi(roi, volume.grid)
    found = _segment_anywhere(chosen, volume, model, config, on_progress, notes, inside)
    return narrowed(found, values, inside) if config.structures or inside is not None else found


def _segment_anywhere(chosen: torch.device, volume: Volume, model: str, config: SegmentConfig,
                      on_progress: ProgressCallback | None, notes: tuple[str, ...],
                      inside: np.ndarray | None) -> Segmentation:
    """On the chosen device, or on the CPU where that runs out of memory."""
    try:
        return _segment_on(chosen, volume, model, config, on_progress, notes, inside)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if chosen.type == "cpu":
            if isinstance(error, OutOfMemoryError):
                raise
            raise OutOfMemoryError("This volume needs more memory than is free. Close other programs, "
                                   "or crop or resample the volume.") from error
        note = f"{chosen} ran out of memory; the CPU did the work."
    if chosen.type == "cuda":
        torch.cuda.empty_cache()
    return _segment_on(torch.device("cpu"), volume, model, config, on_progress, (*notes, note), inside)


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
        report(on_progress, 0.0, "Loading the model")
        model = load_model(model_id, device)
    if model.card.recipe is not None:
        return _segment_by_recipe(model, volume, config, clock, on_progress, notes, inside)
    with clock.stage("prepare"):
        patch = model.card.networks["segmenter"].patch_voxels
        check_memory(device, volume.shape, patch, len(model.values))
        report(on_progress, 0.05, "Preparing the volume")
        prepared = prepare(volume, device)
    with clock.stage("locate"):
        report(on_progress, 0.12, "Finding the brain")
        location = locate(model.networks["locator"], model.card.networks["locator"], prepared.image, prepared.grid)
    with clock.stage("segment"):
        near = _field_of_view(model, prepared.grid, location)
        view = sample_region(prepared.image, prepared.grid, near)
        floor, width = (float(bound) for bound in unit_range(view[None, None]))
        view = view.sub_(floor).div_(width).clamp_(0, 1)
        scores = predict(model.networks["segmenter"], view, patch, model.mirror if config.flip_averaging else None,
                         span(on_progress, 0.2, 0.5))
        show_classes(model.card, scores, model.values, near.affine, on_progress)
    with clock.stage("refine"):
        report(on_progress, 0.5, "Fitting the structures to the volume")
        brain = [n for n, value in enumerate(model.values) if n and value not in FLUIDS]
        refined = bound_by_location(scores, location, near, brain)
        if config.contrast_adaptation:
            adapted = adapt_to_intensities(refined, view, near, model.mirror, brain, model.atlas, config.atlas_heads,
                                           span(on_progress, 0.5, 0.85))
            refined = adapted.scores
    with clock.stage("clean up"):
        report(on_progress, 0.85, "Cleaning up")
        if config.largest_component:
            keep_largest(refined, tuple(brain))
    with clock.stage("labels"):
        report(on_progress, 0.88, "Writing labels on the volume's grid")
        evidence = None
        if config.contrast_adaptation and adapted.likelihood is not None:
            evidence = Evidence(adapted.prior(refined, view), adapted.gain, adapted.likelihood, prepared.image, floor,
                                width)
        classes = labels_on_grid(refined, near, prepared.grid, evidence)
        dtype = np.uint8 if max(model.values) < 256 else np.uint16
        labels = np.array(model.values, dtype=dtype)[classes.numpy()]
        best = refined.argmax(dim=0)
        probability = scores.gather(0, best[None])[0].exp()  # the network's, before the intensities made it surer
        confidence = _probability_on_grid(probability, near, prepared.grid) if config.confidence else None
    report(on_progress, 0.98, "Measuring")
    facts = _facts(model, labels, best, probability, prepared.grid)
    warnings = [*notes, *prepared.warnings, *([location.warning] if location.warning else []), *facts.pop("warnings")]
    result = Segmentation(
        _to_input_axes(labels, volume), volume.affine, model.card.segments,
        None if confidence is None else _to_input_axes(confidence, volume),
        {"model": model_id, "seconds": clock.seconds, "device": describe(device), "warnings": warnings,
         "peak_memory_mb": round(peak_mb(), 1), **facts})
    report(on_progress, 1.0, "Done")
    return result


def _segment_by_recipe(model: SegmentationModel, volume: Volume, config: SegmentConfig, clock: StageClock,
                       on_progress: ProgressCallback | None, notes: tuple[str, ...],
                       inside: np.ndarray | None) -> Segmentation:
    """A model that others trained. Nothing but its recipe shapes the answer: MedDL's own refinements are left out."""
    recipe, changes = tuned(model.card.recipe, config)
    with clock.stage("prepare"):
        scope, more = scope_of(volume, config, inside)
    labels = labels_by_recipe(model, volume, clock, config.float32, span(on_progress, 0.05, 0.98), recipe=recipe,
                              scope=scope)
    volumes = volumes_ml(labels, model.card.segments, volume.grid)
    warnings = [*notes, *([] if any(volumes.values()) else [NOTHING_FOUND])]
    result = Segmentation(np.asfortranarray(labels), volume.affine, model.card.segments, None,
                          {"model": model.card.id, "seconds": clock.seconds, "device": describe(model.device),
                           "warnings": warnings, "peak_memory_mb": round(peak_mb(), 1), "confidence": {},
                           "volumes_ml": volumes, "changed_by_options": [*changes, *more]})
    report(on_progress, 1.0, "Done")
    return result


def _field_of_view(model: SegmentationModel, grid: Grid, location: Location) -> Grid:
    """The segmenter's own field of view about the brain, larger only for a brain that does not fit."""
    spec = model.card.networks["segmenter"]
    needed = np.ceil((location.extent_mm + MARGIN_MM) / spec.spacing_mm / 8).astype(int) * 8
    return region(grid, location.center_mm, np.maximum(spec.patch_voxels, needed), spec.spacing_mm)


def _probability_on_grid(probability: torch.Tensor, source: Grid, target: Grid) -> np.ndarray:
    """Probability of the best class, (I, J, K) float32, linear between coarse voxels; 1 outside the field of view."""
    unsure = sample_region(1 - probability, source, target)
    return (1 - unsure).cpu().numpy()


def _facts(model: SegmentationModel, labels: np.ndarray, best: torch.Tensor, probability: torch.Tensor,
           grid: Grid) -> dict:
    """Volumes, mean confidence by structure, and what does not look right."""
    counts = np.bincount(labels.reshape(-1), minlength=max(model.values) + 1)
    flat = best.reshape(-1)
    voxels = torch.bincount(flat, minlength=len(model.values)).clamp_min(1)
    total = torch.bincount(flat, weights=probability.reshape(-1).double(), minlength=len(model.values))
    means = (total / voxels).tolist()
    names = {label.value: label.name for label in model.card.labels}
    volumes = {names[v]: round(float(counts[v]) * grid.voxel_volume_ml, 3) for v in model.values[1:]}
    confidence = {names[v]: round(means[n], 3) for n, v in enumerate(model.values) if n and counts[v]}
    warnings = []
    found = [m for n, m in enumerate(means) if n and counts[model.values[n]]]
    if not found:
        warnings.append(NOTHING_FOUND)
    elif np.mean(found) < USUAL_CONFIDENCE:
        warnings.append(f"The mean confidence is only {np.mean(found):.2f}, where heads reach more than "
                        f"{USUAL_CONFIDENCE:.2f}: the volume looks unlike a head.")
    return {"volumes_ml": volumes, "confidence": confidence, "warnings": warnings}


def _to_input_axes(array: np.ndarray, volume: Volume) -> np.ndarray:
    """An array on the volume's grid turned to RAS, back in the volume's own axis order, contiguous."""
    permutation, flips = reorientation(volume.affine, "RAS")
    array = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    return np.asfortranarray(array.transpose(np.argsort(permutation)))
