"""The verb `meddl.explain`."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from meddl.classification.classify import TASK as CLASSIFICATION
from meddl.core.config import SegmentConfig, check_config
from meddl.core.device import describe, free_memory_bytes, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import InputError, OutOfMemoryError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.explanation.classification import VolumeClass
from meddl.explanation.config import EXPLANATIONS, ExplainConfig
from meddl.explanation.grad_cam import grad_cam
from meddl.explanation.layers import Layer
from meddl.explanation.network_view import NetworkView
from meddl.explanation.occlusion import Box, occlude
from meddl.explanation.segmentation import SegmentedStructure
from meddl.explanation.subject import Networks, Request, Subject
from meddl.io import VolumeLike, as_volume
from meddl.models.loaded_networks import read_network
from meddl.models.store.store import ModelStore
from meddl.results import Explanation
from meddl.segmentation.region_of_interest import inside_roi
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume


def explain(volume: VolumeLike, model: str, structures: str | int | Iterable[str | int] = "",
            explain: ExplainConfig | None = None, config: SegmentConfig | None = None, *,
            others: Sequence[Volume] | Mapping[str, Volume] = (), region: Volume | np.ndarray | None = None,
            device: str = "auto", on_progress: ProgressCallback | None = None) -> Explanation:
    """Where in a volume a structure of its segmentation, or its class, depends on.

    Args:
        volume, model, others, device: as of `meddl.segment`; or a classifier's, as of `meddl.classify`.
        structures: one structure by name or label value, or several that are explained as one, as
            `structure_names.match_structures` takes them; of a classifier a class, if not given the likeliest.
        explain: method, and how fine.
        config: of the segmentation.
        region: where parts are hidden, as `region_of_interest.inside_roi` takes it; the body, if not given.

    Returns:
        The map on the volume's grid, a sentence on how to read it, and a report with method, subject ("pipeline" or
        "network"), structures, runs and sizes_mm (largest and smallest edge of the hidden parts) or layer and
        layer_voxels_mm, seconds, device, peak_memory_mb and warnings.

    Raises:
        InputError: the model has no such structure or class, or does not find it in this volume; a method, a number of
            runs or a layer that is not possible; a program for Grad-CAM.
        OutOfMemoryError: the CPU's memory is not enough.
        Cancelled: from `on_progress`. After the coarse grid of an occlusion `should_stop` ends it with what there is.
    """
    begin = time.perf_counter()
    explain, config = check_config(explain, ExplainConfig), check_config(config, SegmentConfig)
    volume = as_volume(volume, component="all")
    if explain.method not in EXPLANATIONS:
        raise InputError(f"A method is {' or '.join(EXPLANATIONS)}; got '{explain.method}'.")
    card, warnings = ModelStore().card(model), list[str]()
    chosen = select_device(device, warnings)
    first = 1 / (explain.runs + 1) if explain.method == "occlusion" else 0.4
    request = Request(volume, card, [structures] if isinstance(structures, int) else structures,
                      config, others, chosen, warnings)
    subject: Subject = (VolumeClass(request) if card.task == CLASSIFICATION
                        else SegmentedStructure(request, span(on_progress, 0.0, first)))
    if explain.method == "occlusion":
        map_, figures = _explain_pipeline(subject, explain, region, warnings, span(on_progress, first, 1.0))
    else:
        map_, figures = _explain_network(subject, explain.layer, chosen, warnings, span(on_progress, first, 1.0))
    report(on_progress, 1.0, "Done")
    return Explanation(
        Volume.scalar(map_, subject.volume.affine),
        subject.readings[explain.method].format(names=", ".join(subject.names), model=model),
        {"model": model, "structures": list(subject.names), "method": explain.method,
         "seconds": {"total": round(time.perf_counter() - begin, 3)}, "device": describe(chosen),
         "peak_memory_mb": round(peak_mb(), 1), "warnings": warnings, **figures})


def _explain_pipeline(subject: Subject, explain: ExplainConfig, region: Volume | np.ndarray | None,
                      warnings: list[str], on_progress: ProgressCallback | None) -> tuple[np.ndarray, dict]:
    """Occlusion of everything from the volume to the result."""
    inside = subject.body() if region is None else inside_roi(region, subject.volume.grid)
    found = occlude(subject.volume, subject.score, _box_around(inside), explain.runs - 1, explain.smallest_mm,
                    on_progress)
    if not found.complete:
        warnings.append("The occlusion was ended early; the map is coarser than it would have become.")
    if not found.drops.any():
        warnings.append("Nothing was lost, whichever part was hidden.")
    return found.drops, {"subject": "pipeline", "runs": found.runs + 1, "sizes_mm": list(found.sizes_mm)}


def _explain_network(subject: Subject, layer_name: str, device: torch.device, warnings: list[str],
                     on_progress: ProgressCallback | None) -> tuple[np.ndarray, dict]:
    """Grad-CAM of the networks, on the volume's grid, the largest value 1."""
    def run(device: torch.device) -> tuple[torch.Tensor, NetworkView, Layer]:
        networks = subject.networks(device, span(on_progress, 0.0, 0.3))
        layer, view = _plan(networks, layer_name, device, warnings)
        total = torch.zeros(view.image.shape[1:])
        for number, target in enumerate(networks.targets):
            begin = 0.3 + 0.65 * number / len(networks.targets)
            network = read_network(networks.card, target.network).to(device)
            total += grad_cam(network, view.image, target.mask.to(device), target.channel, layer.name, view.windows,
                              span(on_progress, begin, begin + 0.65 / len(networks.targets)))
        return total, view, layer

    (total, view, layer), _ = with_cpu_fallback(
        run, device, warnings, "The gradients need more memory than is free. Choose occlusion, or crop or resample the "
        "volume.")
    highest = float(total.max())
    if highest > 0:
        total /= highest
    else:
        warnings.append(f"No features of the layer '{layer.name}' speak for {', '.join(subject.names)}.")
    patch = np.array(_whole_patch(view), dtype=float)
    voxels_mm = view.grid.spacing_mm[-len(patch):] * patch / np.array(layer.shape)
    on_volume = resample(Volume.scalar(total.numpy(), view.grid.affine), subject.volume.grid)
    return on_volume.data[0], {"subject": "network", "layer": layer.name, "networks": list(view.networks),
                               "layer_voxels_mm": [round(float(size), 2) for size in voxels_mm]}


def _whole_patch(view: NetworkView) -> tuple[int, ...]:
    """The voxels of a window; those of the image along axes where it is as long."""
    sizes = view.windows.patch_voxels
    return tuple(p or n for p, n in zip(sizes, view.image.shape[-len(sizes):], strict=True))


def _plan(networks: Networks, layer: str, device: torch.device, warnings: list[str]) -> tuple[Layer, NetworkView]:
    """The layer to look at, and windows whose gradients fit into the device's memory: halved until they do.

    Raises:
        OutOfMemoryError: not even the smallest windows that the network takes fit.
    """
    view = networks.view
    spec, windows = networks.card.networks[view.networks[0]], view.windows
    patch = whole = _whole_patch(view)
    while True:
        chosen = networks.choose(spec, view.image.shape[0], patch, layer)
        free = free_memory_bytes(device)
        if chosen.bytes_after <= free:
            break
        strides = np.array(patch) // np.array(chosen.shape)
        axis = int(np.argmax(patch))
        half = patch[axis] // 2
        if not networks.in_parts or half % max(int(strides[axis]), 1) or half < 2 * strides[axis]:
            raise OutOfMemoryError(
                f"The gradients of a window of {' x '.join(map(str, patch))} voxels take "
                f"{chosen.bytes_after / 1e9:.1f} GB; {device} has "
                f"{free / 1e9:.1f} GB free. Choose occlusion, which takes no gradients.")
        patch = tuple(half if n == axis else size for n, size in enumerate(patch))
    if patch != whole:
        warnings.append(f"Gradients were computed in windows of {' x '.join(map(str, patch))} voxels, not of "
                        f"{' x '.join(map(str, whole))}, to fit into memory.")
    return chosen, replace(view, windows=replace(windows, patch_voxels=patch))


def _box_around(inside: np.ndarray) -> Box:
    sides = []
    for axis in range(3):
        present = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        sides.append(slice(int(present[0]), int(present[-1]) + 1))
    return sides[0], sides[1], sides[2]
