"""Uncertainty of a segmentation: labels of repeated runs over folds, mirrors and small changes of the volume."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import torch

from meddl.core.config import SegmentConfig, check_config
from meddl.core.device import free_memory_bytes
from meddl.core.errors import OutOfMemoryError
from meddl.core.progress import ProgressCallback, RunCounter, report, span
from meddl.io import VolumeLike, as_volume
from meddl.models.cards import ModelCard
from meddl.models.store.store import ModelStore
from meddl.results import Segmentation, Uncertainty
from meddl.segmentation import segment
from meddl.segmentation.channels import join_channels, with_finite_values
from meddl.segmentation.region_of_interest import inside_roi
from meddl.spatial.volume import Volume
from meddl.uncertainty.agreement import label_disagreement, structure_intervals
from meddl.uncertainty.config import UncertaintyConfig
from meddl.uncertainty.perturbation import Perturbation, draw_perturbations, perturb, restore, reverse

_READING = {
    "entropy": "0 where all {runs} runs gave the same label; up to {most:.2f} where each gave another.",
    "variation-ratio": "The fraction of the {runs} runs that did not give the most frequent label: 0 where all agree.",
}


def segment_with_uncertainty(
        volume: VolumeLike, model: str = "brain", config: SegmentConfig | None = None,
        uncertainty: UncertaintyConfig | None = None, *, others: Sequence[Volume] | Mapping[str, Volume] = (),
        roi: Volume | np.ndarray | None = None, device: str = "auto",
        on_progress: ProgressCallback | None = None) -> tuple[Segmentation, Uncertainty]:
    """Segment a volume, and say how sure that is.

    The first run is `meddl.segment` of the volume; the others see perturbed copies. Of a model of several folds each
    of these runs one, in turn; a model that was trained with mirroring, or knows left from right, sees every second
    copy mirrored, and then averages over no mirrors itself.

    Args:
        volume, model, config, others, roi, device: as of `meddl.segment`.
        uncertainty: number and size of the perturbations, and what the map shows.

    Returns:
        The segmentation of the unperturbed volume, and its uncertainty: the map on the volume's grid; its report has
        measure, runs, perturbations, folds (of each run, where there are several), memory_bytes and structures, the
        rows of `agreement.structure_intervals`.

    Raises:
        InputError: as `meddl.segment`, or an impossible number or size of perturbations.
        OutOfMemoryError: as `meddl.segment`, or the label maps of all runs do not fit into memory.
        Cancelled: from `on_progress`; nothing is left behind.
    """
    config, uncertainty = check_config(config, SegmentConfig), check_config(uncertainty, UncertaintyConfig)
    volume = as_volume(volume, component="all")
    card = ModelStore().card(model)
    mirror = mirrored_values(card) if uncertainty.mirror else None
    changes = draw_perturbations(uncertainty, mirror is not None)
    volume, _ = join_channels(volume, others, card.channel_names, on_progress)
    volume, _ = with_finite_values(volume)
    inside = None if roi is None else inside_roi(roi, volume.grid)
    bytes_needed = _check_memory(volume, card, uncertainty.runs)
    counter = RunCounter(span(on_progress, 0.0, 0.95), uncertainty.runs)
    folds = _folds_of_runs(card, config, uncertainty.runs)
    label_maps, first = [], None
    for change, fold in zip(changes, folds, strict=True):
        one = config if first is None else _config_of_copy(config, fold, mirror is not None)
        found = segment(perturb(volume, change), model, one, roi=_roi_of_copy(inside, volume, change), device=device,
                        on_progress=counter.next_run())
        label_maps.append(restore(found.labels, change, volume.grid, mirror))
        first = first or found
    assert first is not None
    report(on_progress, 0.95, "Comparing the runs")
    spread = label_disagreement(label_maps, uncertainty.measure)
    rows = structure_intervals(label_maps, first.segments, volume.grid.voxel_volume_ml, span(on_progress, 0.97, 1.0))
    report(on_progress, 1.0, "Done")
    reading = _READING[uncertainty.measure].format(runs=uncertainty.runs, most=np.log(uncertainty.runs))
    return first, Uncertainty(Volume.scalar(spread, volume.affine), reading, {
        "measure": uncertainty.measure, "runs": uncertainty.runs, "model": model,
        "perturbations": [asdict(change) for change in changes],
        **({"folds": list(folds)} if any(folds) else {}), "memory_bytes": bytes_needed, "structures": rows})


def mirrored_values(card: ModelCard) -> np.ndarray | None:
    """For each label value that of the mirrored structure; None where the model is not meant for mirrored
    volumes.

    A model of another tool mirrors where it was trained with mirroring along every axis; MedDL's own names the
    structure on the other side.
    """
    if card.parts:
        return None
    table = np.arange(max(label.value for label in card.labels) + 1)
    if card.recipe is not None:
        windows = card.recipe.windows
        trained = len(windows.mirror_axes) == len(windows.patch_voxels) == 3
        return table if trained and card.recipe.previous is None else None
    for label in card.labels:
        table[label.value] = label.mirror
    return table


def _config_of_copy(config: SegmentConfig, fold: str | None, mirror: bool) -> SegmentConfig:
    """The configuration of a run on a perturbed copy: one fold, and no mirrors but the copy's own."""
    changed = config if fold is None else replace(config, folds=(fold,))
    return replace(changed, mirror_axes=0) if mirror and config.mirror_axes is None else changed


def _folds_of_runs(card: ModelCard, config: SegmentConfig, runs: int) -> list[str | None]:
    """The fold that each run but the first takes, in turn; None where the model has one, or the user chose."""
    networks = card.recipe.networks if card.recipe is not None and card.recipe.previous is None else ()
    if len(networks) < 2 or config.folds:
        return [None] * runs
    return [None, *(networks[n % len(networks)] for n in range(runs - 1))]


def _roi_of_copy(inside: np.ndarray | None, volume: Volume, change: Perturbation) -> Volume | None:
    """The region of interest (I, J, K) bool as it lies over a perturbed copy."""
    if inside is None:
        return None
    mask = inside.astype(np.uint8)[None]
    return Volume(reverse(mask, volume.affine) if change.mirror else mask, volume.affine)


def _check_memory(volume: Volume, card: ModelCard, runs: int) -> int:
    """The bytes that the label maps of all runs and the map take.

    Raises:
        OutOfMemoryError: they are not free.
    """
    itemsize = 1 if max(label.value for label in card.labels) < 256 else 2
    voxels = int(np.prod(volume.shape))
    needed = voxels * (runs * itemsize + 8 + 4 * volume.channels)
    free = free_memory_bytes(torch.device("cpu"))
    if needed > free:
        raise OutOfMemoryError(
            f"The label maps of {runs} runs take {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free. Choose "
            "fewer runs, or crop or resample the volume.")
    return needed
