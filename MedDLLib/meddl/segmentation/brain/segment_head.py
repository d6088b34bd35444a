"""Segmentation of the head with MedDL's own model: localization, network, atlas and mixture model, labels."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from meddl.core.config import SegmentConfig
from meddl.core.device import describe
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, UnevenProgress, report, span
from meddl.core.stage_clock import StageClock
from meddl.results import Segmentation
from meddl.segmentation.atlas.likelihood import IntensityModel
from meddl.segmentation.atlas.tissues import Tissues
from meddl.segmentation.brain.calibration import label_probability, scale_probability
from meddl.segmentation.brain.csf import distance_beyond_csf_mm
from meddl.segmentation.brain.exact_labels import labels_on_grid
from meddl.segmentation.brain.inference import predict, undo_balance
from meddl.segmentation.brain.loaded_model import SegmentationModel
from meddl.segmentation.brain.locate import Location, locate
from meddl.segmentation.brain.preprocess import Prepared, prepare
from meddl.segmentation.brain.refine import adapt_to_intensities, bound_by_location
from meddl.segmentation.brain.skull_stripping import AGREEMENT, agreement, beyond_brain, rule_out
from meddl.segmentation.components import keep_largest
from meddl.segmentation.imported.memory_plan import check_memory
from meddl.segmentation.live_labels import show_classes
from meddl.segmentation.sampling_grids import region, sample_region
from meddl.segmentation.structures import NOTHING_FOUND, volumes_ml
from meddl.spatial.grid import Grid, reorientation
from meddl.spatial.label_maps import present_values
from meddl.spatial.normalize import unit_range
from meddl.spatial.volume import Volume

MARGIN_MM = 16.0
USUAL_CONFIDENCE = 0.53  # twelve real volumes of heads reached 0.62 to 0.70, limbs, abdomens, chests 0.29 to 0.42
CSF_LABELS = (24,)  # extracerebral CSF: no part of the brain, and in many pieces
VENTRICLES = (4, 5, 14, 15)  # hold CSF too


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """What the segmenter sees of a volume.

    Attributes:
        prepared: the whole volume.
        location: where the brain lies in it.
        grid: of the patch.
        image: (I, J, K) float32, the patch of the prepared volume.
    """

    prepared: Prepared
    location: Location
    grid: Grid
    image: torch.Tensor

    @property
    def patch(self) -> torch.Tensor:
        """The image in [0, 1]."""
        return _scale(self.image)[0]


def network_input(model: SegmentationModel, volume: Volume, config: SegmentConfig, clock: StageClock,
                  on_progress: ProgressCallback | None) -> NetworkInput:
    """The patch about the brain; arguments and errors as of `segment_head`."""
    device = model.device
    with clock.stage("prepare"):
        check_memory(device, volume.shape, model.card.networks["segmenter"].patch_voxels, len(model.values))
        report(on_progress, 0.05, "Preparing the volume")
        prepared = prepare(volume, device, config.modality)
    with clock.stage("locate"):
        report(on_progress, 0.12, "Finding the brain")
        location = locate(model.networks["locator"], model.card.networks["locator"], prepared.image, prepared.grid)
    with clock.stage("segment"):
        grid = _patch_grid(model, prepared.grid, location)
        return NetworkInput(prepared, location, grid, sample_region(prepared.image, prepared.grid, grid))


def segment_head(model: SegmentationModel, volume: Volume, config: SegmentConfig, clock: StageClock,
                 on_progress: ProgressCallback | None, notes: tuple[str, ...] = ()) -> Segmentation:
    """Segment a head with a model of two networks, a locator and a segmenter, on the volume's own grid.

    Args:
        volume: (1, I, J, K).
        notes: become warnings of the result.

    Raises:
        InputError, GeometryError: the volume cannot be segmented.
        OutOfMemoryError: it does not fit into the device's memory.
        Cancelled: from `on_progress`.
    """
    seen = network_input(model, volume, config, clock, on_progress)
    prepared, location, patch_grid, whole = seen.prepared, seen.location, seen.grid, seen.image
    with clock.stage("segment"):
        patch, floor, width = _scale(whole)
        scores = _infer(model, patch, config, span(on_progress, 0.2, 0.36))
        show_classes(model.card, scores, model.values, patch_grid.affine, on_progress)
    with clock.stage("refine"):
        report(on_progress, 0.36, "Adapting to the intensities")
        brain = [n for n, value in enumerate(model.values) if n and value not in CSF_LABELS]
        refined = bound_by_location(undo_balance(scores), location, patch_grid, brain)
        report(on_progress, 0.37, "Adapting to the intensities")
        if config.contrast_adaptation:
            without = _segment_brain_alone(model, seen, patch, refined, brain, config, span(on_progress, 0.37, 0.55))
            if without is not None:
                refined, (patch, floor, width), prepared = without
            adapted = adapt_to_intensities(refined, patch, patch_grid, _tissues(model), brain, model.atlas,
                                           config.atlas_label_maps, span(on_progress, 0.55, 0.85))
            refined = adapted.scores
    with clock.stage("clean up"):
        report(on_progress, 0.85, "Cleaning up")
        if config.largest_component:
            keep_largest(refined, tuple(brain))
        beyond_csf_mm = distance_beyond_csf_mm(refined, brain, float(patch_grid.spacing_mm.mean()))
    with clock.stage("labels"):
        report(on_progress, 0.88, "Writing labels on the volume's grid")
        intensity_model = None
        if config.contrast_adaptation and adapted.likelihood is not None:
            intensity_model = IntensityModel(adapted.prior(refined, patch), adapted.gain, adapted.likelihood,
                                             prepared.image, floor, width)
        classes = labels_on_grid(refined, patch_grid, prepared.grid, intensity_model, span(on_progress, 0.89, 0.96))
        dtype = np.uint8 if max(model.values) < 256 else np.uint16
        labels = np.array(model.values, dtype=dtype)[classes.numpy()]
        report(on_progress, 0.96, "Writing labels on the volume's grid")
        labels[np.isin(labels, CSF_LABELS) & (sample_region(beyond_csf_mm, patch_grid, prepared.grid) > 0).numpy()] = 0
        report(on_progress, 0.97, "Measuring")
        best = refined.argmax(dim=0)
        probability = scores.gather(0, best[None])[0].exp()  # of the network alone, before the refinement
        confidence = _confidence(model, refined, best, patch_grid, prepared.grid) if config.confidence else None
    report(on_progress, 0.98, "Measuring")
    measured = _measure(model, labels, best, probability, prepared.grid)
    located = [location.warning] if location.warning else []
    warnings = [*notes, *prepared.warnings, *located, *measured.pop("warnings")]
    result = Segmentation(
        _to_input_axes(labels, volume), volume.affine, model.card.segments,
        None if confidence is None else _to_input_axes(confidence, volume),
        {"model": model.card.id, "seconds": clock.seconds, "device": describe(model.device), "warnings": warnings,
         "peak_memory_mb": round(peak_mb(), 1), **measured})
    report(on_progress, 1.0, "Done")
    return result


def _scale(image: torch.Tensor) -> tuple[torch.Tensor, float, float]:
    """An image (I, J, K) in [0, 1], with the intensity that is 0 in it, and how far above it is 1."""
    floor, width = (float(bound) for bound in unit_range(image[None, None]))
    return ((image - floor) / width).clamp_(0, 1), floor, width


def _infer(model: SegmentationModel, patch: torch.Tensor, config: SegmentConfig,
           on_progress: ProgressCallback | None) -> torch.Tensor:
    """The segmenter's class log-probabilities (C, I, J, K) of a patch (I, J, K) in [0, 1]."""
    return predict(model.networks["segmenter"], patch, model.card.networks["segmenter"].patch_voxels,
                   model.mirror if config.flip_averaging else None, on_progress)


def _segment_brain_alone(model: SegmentationModel, seen: NetworkInput, patch: torch.Tensor, scores: torch.Tensor,
                         brain: list[int], config: SegmentConfig, on_progress: ProgressCallback | None
                         ) -> tuple[torch.Tensor, tuple[torch.Tensor, float, float], Prepared] | None:
    """A second segmentation, of the volume without what lies beyond the brain of the first, `scores`: its scores, its
    image as of `_scale`, and the prepared volume without the same. None for a volume that is stripped already, and
    where the two do not agree."""
    progress = UnevenProgress(on_progress, "Adapting to the intensities", 0.1)
    beyond = beyond_brain(patch, scores, brain, float(seen.grid.spacing_mm.mean()))
    if beyond is None:
        return None
    progress.again()
    scaled = _scale(seen.image.masked_fill(beyond, 0))
    second = _infer(model, scaled[0], config, span(on_progress, 0.1, 0.9))
    progress.at(0.9)
    second = bound_by_location(undo_balance(second), seen.location, seen.grid, brain)
    progress.again()
    second = rule_out(second, beyond)
    progress.again()
    if agreement(scores, second, brain) < AGREEMENT:
        return None
    prepared = seen.prepared
    outside = sample_region(beyond.float(), seen.grid, prepared.grid) > 0.5
    return second, scaled, replace(prepared, image=prepared.image.masked_fill(outside, scaled[1]))


def _tissues(model: SegmentationModel) -> Tissues:
    """The model's tissues, those that are CSF among them."""
    csf = tuple(model.values.index(value) for value in (*CSF_LABELS, *VENTRICLES) if value in model.values)
    return Tissues(model.mirror, model.device, csf)


def _patch_grid(model: SegmentationModel, grid: Grid, location: Location) -> Grid:
    """The grid of the segmenter's patch, centered on the brain, larger only for a brain that does not fit."""
    spec = model.card.networks["segmenter"]
    needed = np.ceil((location.extent_mm + MARGIN_MM) / spec.spacing_mm / 8).astype(int) * 8
    return region(grid, location.center_mm, np.maximum(spec.patch_voxels, needed), spec.spacing_mm)


def _confidence(model: SegmentationModel, scores: torch.Tensor, best: torch.Tensor, source: Grid,
                target: Grid) -> np.ndarray:
    """Calibrated probability of the best class, (I, J, K) float32, linear between coarse voxels; 1 beyond the patch."""
    probability = label_probability(scores, best)
    if model.card.calibration is not None:
        scaled = scale_probability(probability.cpu().numpy(), model.card.calibration.temperature)
        probability = torch.from_numpy(scaled).to(probability)
    return (1 - sample_region(1 - probability, source, target)).cpu().numpy()


def _measure(model: SegmentationModel, labels: np.ndarray, best: torch.Tensor, probability: torch.Tensor,
           grid: Grid) -> dict:
    """Volumes and mean confidence by structure, and warnings."""
    flat = best.reshape(-1)
    voxels = torch.bincount(flat, minlength=len(model.values)).clamp_min(1)
    total = torch.bincount(flat, weights=probability.reshape(-1).double(), minlength=len(model.values))
    means = (total / voxels).tolist()
    names = {label.value: label.name for label in model.card.labels}
    volumes = volumes_ml(labels, model.card.segments, grid)
    found = set(present_values(labels).tolist())
    present = {n: names[value] for n, value in enumerate(model.values) if value in found}
    confidence = {name: round(means[n], 3) for n, name in present.items()}
    warnings = []
    if not present:
        warnings.append(NOTHING_FOUND)
    elif (usual := np.mean([means[n] for n in present])) < USUAL_CONFIDENCE:
        warnings.append(f"The mean confidence is only {usual:.2f}, where heads reach more than "
                        f"{USUAL_CONFIDENCE:.2f}: the volume looks unlike a head.")
    usual = model.card.usual_confidence
    csf = {names[value] for value in (*CSF_LABELS, *VENTRICLES) if value in names}
    brain_ml = math.fsum(volume for name, volume in volumes.items() if name not in csf)
    return {"volumes_ml": volumes, "brain_volume_ml": round(brain_ml, 3), "confidence": confidence,
            "usual_confidence": dict(usual.ranges) if usual is not None else {}, "warnings": warnings}


def _to_input_axes(array: np.ndarray, volume: Volume) -> np.ndarray:
    """An array on the volume's grid reoriented to RAS, back in the volume's own axis order, contiguous."""
    permutation, flips = reorientation(volume.affine, "RAS")
    array = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    return np.asfortranarray(array.transpose(np.argsort(permutation)))
