"""The verb `meddl.explain`."""

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from meddl.core.config import SegmentConfig
from meddl.core.device import describe, free_memory_bytes, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import InputError, OutOfMemoryError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.explanation.config import EXPLANATIONS, ExplainConfig
from meddl.explanation.grad_cam import grad_cam
from meddl.explanation.layers import Layer, choose_layer, convolutions
from meddl.explanation.network_view import NetworkView, view_of_networks
from meddl.explanation.occlusion import Box, occlude
from meddl.measures.overlap import dice
from meddl.models.cards import ModelCard
from meddl.models.catalog.structure_names import match_structures
from meddl.models.loaded_networks import read_network
from meddl.models.store.store import ModelStore
from meddl.results import Explanation, Segmentation
from meddl.segmentation import segment
from meddl.segmentation.brain.loaded_model import load_model
from meddl.segmentation.channels import join_channels, with_finite_values
from meddl.segmentation.region_of_interest import body_mask, inside_roi
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

_READINGS = {
    "occlusion": "How much of {names} the whole pipeline of '{model}' loses where this part of the volume is hidden: 0 "
                 "nothing, 1 all of it.",
    "grad-cam": "Where features of the network of '{model}' speak for {names}, relative to the strongest: 1 most, 0 "
                "not at all; what comes after the network is not explained.",
}


@dataclass(frozen=True, eq=False)
class _Question:
    """Everything that is asked about."""

    volume: Volume
    card: ModelCard
    names: tuple[str, ...]
    values: tuple[int, ...]
    found: Segmentation
    config: SegmentConfig
    explain: ExplainConfig
    device: torch.device
    warnings: list[str]


def explain(volume: Volume, model: str, structures: str | int | Iterable[str | int],
            explain: ExplainConfig | None = None, config: SegmentConfig | None = None, *,
            others: Sequence[Volume] | Mapping[str, Volume] = (), region: Volume | np.ndarray | None = None,
            device: str = "auto", on_progress: ProgressCallback | None = None) -> Explanation:
    """Where in a volume a structure of its segmentation depends on.

    Args:
        volume, model, others, device: as of `meddl.segment`.
        structures: one structure by name or label value, or several that are explained as one, as
            `structure_names.match_structures` takes them.
        explain: method, and how fine.
        config: of the segmentation.
        region: where parts are hidden, as `region_of_interest.inside_roi` takes it; the body, if not given.

    Returns:
        The map on the volume's grid, a sentence on how to read it, and a report with method, subject ("pipeline" or
        "network"), structures, runs and sizes_mm (largest and smallest edge of the hidden parts) or layer and
        layer_voxels_mm, seconds, device, peak_memory_mb and warnings.

    Raises:
        InputError: the model has no such structure, or does not find it in this volume; a method, a number of runs or
            a layer that is not possible; a program for Grad-CAM.
        OutOfMemoryError: the CPU's memory is not enough.
        Cancelled: from `on_progress`. After the coarse grid of an occlusion `should_stop` ends it with what there is.
    """
    begin = time.perf_counter()
    explain, config = explain or ExplainConfig(), config or SegmentConfig()
    if explain.method not in EXPLANATIONS:
        raise InputError(f"A method is {' or '.join(EXPLANATIONS)}; got '{explain.method}'.")
    card = ModelStore().card(model)
    structures = [structures] if isinstance(structures, int) else structures
    if isinstance(structures, str) and not structures.strip(" ,;"):
        raise InputError("Name the structure that is to be explained.")
    wanted = match_structures(card.labels, structures)
    names = tuple(label.name for label in wanted)
    volume, notes = join_channels(volume, others, card.channel_names, on_progress)
    volume, more = with_finite_values(volume)
    config = replace(config, structures=names, confidence=False)
    warnings = [*notes, *more]
    chosen = select_device(device, warnings)
    first = 1 / (explain.runs + 1) if explain.method == "occlusion" else 0.4
    found = segment(volume, model, config, device=device, on_progress=span(on_progress, 0.0, first))
    if not found.labels.any():
        raise InputError(f"'{model}' does not find {_listing(names)} in this volume: there is nothing to explain.")
    question = _Question(volume, card, names, tuple(label.value for label in wanted), found, config, explain, chosen,
                         warnings)
    work = _explain_pipeline if explain.method == "occlusion" else _explain_network
    map_, figures = work(question, region, span(on_progress, first, 1.0))
    report(on_progress, 1.0, "Done")
    return Explanation(
        Volume.scalar(map_, volume.affine), _READINGS[explain.method].format(names=_listing(names), model=model),
        {"model": model, "structures": list(names), "method": explain.method,
         "seconds": {"total": round(time.perf_counter() - begin, 3)}, "device": describe(chosen),
         "peak_memory_mb": round(peak_mb(), 1), "warnings": warnings, **figures})


def _explain_pipeline(question: _Question, region: Volume | np.ndarray | None,
                      on_progress: ProgressCallback | None) -> tuple[np.ndarray, dict]:
    """Occlusion of the whole pipeline: Dice of the structure with that of the volume as it is."""
    whole = (question.found.labels > 0).astype(np.uint8)

    def score(hidden: Volume, progress: ProgressCallback | None) -> float:
        labels = segment(hidden, question.card.id, question.config, device=str(question.device),
                         on_progress=progress).labels
        return float(dice((labels > 0).astype(np.uint8), whole, [1])[0])

    inside = body_mask(question.volume, question.config.modality) if region is None else inside_roi(
        region, question.volume.grid)
    found = occlude(question.volume, score, _box_around(inside), question.explain.runs - 1,
                    question.explain.smallest_mm, on_progress)
    if not found.complete:
        question.warnings.append("The occlusion was ended early; the map is coarser than it would have become.")
    if not found.drops.any():
        question.warnings.append("Nothing was lost, whichever part was hidden.")
    return found.drops, {"subject": "pipeline", "runs": found.runs + 1, "sizes_mm": list(found.sizes_mm)}


def _explain_network(question: _Question, _region: object,
                     on_progress: ProgressCallback | None) -> tuple[np.ndarray, dict]:
    """Grad-CAM of the networks, on the volume's grid, the largest value 1."""
    card, values = _card_of_networks(question.card, question.values)

    def run(device: torch.device) -> tuple[torch.Tensor, NetworkView, Layer]:
        view = view_of_networks(load_model(card.id, device), question.volume, question.config,
                                span(on_progress, 0.0, 0.3))
        layer, view = _plan(card, view, question.explain.layer, device, question.warnings)
        labels = resample(Volume.scalar(question.found.labels, question.volume.affine), view.grid, "nearest").data[0]
        total = torch.zeros(view.image.shape[1:])
        pairs = list(itertools.product(view.networks, zip(values, question.values, strict=True)))
        for number, (name, (own, value)) in enumerate(pairs):
            begin = 0.3 + 0.65 * number / len(pairs)
            network, mask = read_network(card, name).to(device), torch.from_numpy(labels == value).to(device)
            total += grad_cam(network, view.image, mask, view.channels[own], layer.name, view.windows,
                              span(on_progress, begin, begin + 0.65 / len(pairs)))
        return total, view, layer

    (total, view, layer), _ = with_cpu_fallback(
        run, question.device, question.warnings, "The gradients need more memory than is free. Choose occlusion, or "
        "crop or resample the volume.")
    highest = float(total.max())
    if highest > 0:
        total /= highest
    else:
        question.warnings.append(f"No features of the layer '{layer.name}' speak for the structure.")
    patch = np.array(view.windows.patch_voxels, dtype=float)
    voxels_mm = view.grid.spacing_mm[-len(patch):] * patch / np.array(layer.shape)
    on_volume = resample(Volume.scalar(total.numpy(), view.grid.affine), question.volume.grid)
    return on_volume.data[0], {"subject": "network", "layer": layer.name, "networks": list(view.networks),
                               "layer_voxels_mm": [round(float(size), 2) for size in voxels_mm]}


def _plan(card: ModelCard, view: NetworkView, layer: str, device: torch.device,
          warnings: list[str]) -> tuple[Layer, NetworkView]:
    """The layer to look at, and windows whose gradients fit into the device's memory: halved until they do.

    Raises:
        OutOfMemoryError: not even the smallest windows that the network takes fit.
    """
    spec, windows = card.networks[view.networks[0]], view.windows
    whole = tuple(p or n for p, n in zip(windows.patch_voxels, view.image.shape[-len(windows.patch_voxels):],
                                         strict=True))
    patch = whole
    while True:
        chosen = choose_layer(convolutions(spec, view.image.shape[0], patch), layer)
        free = free_memory_bytes(device)
        if chosen.bytes_after <= free:
            break
        strides = np.array(patch) // np.array(chosen.shape)
        axis = int(np.argmax(patch))
        half = patch[axis] // 2
        if half % max(int(strides[axis]), 1) or half < 2 * strides[axis]:
            raise OutOfMemoryError(
                f"The gradients of a window of {' x '.join(map(str, patch))} voxels take "
                f"{chosen.bytes_after / 1e9:.1f} GB; {device} has "
                f"{free / 1e9:.1f} GB free. Choose occlusion, which takes no gradients.")
        patch = tuple(half if n == axis else size for n, size in enumerate(patch))
    if patch != whole:
        warnings.append(f"Gradients were computed in windows of {' x '.join(map(str, patch))} voxels, not of "
                        f"{' x '.join(map(str, whole))}, to fit into memory.")
    return chosen, replace(view, windows=replace(windows, patch_voxels=patch))


def _card_of_networks(card: ModelCard, values: tuple[int, ...]) -> tuple[ModelCard, tuple[int, ...]]:
    """The card of the model whose networks know the structures, and their values there: a part of a collection.

    Raises:
        InputError: no one part knows all of them.
    """
    if not card.parts:
        return card, values
    for part in card.parts:
        own = {new: old for old, new in part.values.items()}
        if all(value in own for value in values):
            return ModelStore().card(part.model), tuple(own[value] for value in values)
    raise InputError("These structures come from several parts of the model. Choose one structure, or occlusion.")


def _box_around(inside: np.ndarray) -> Box:
    sides = []
    for axis in range(3):
        present = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        sides.append(slice(int(present[0]), int(present[-1]) + 1))
    return sides[0], sides[1], sides[2]


def _listing(names: tuple[str, ...]) -> str:
    return ", ".join(names)
