"""What a volume shows: certain rules first, then the classifier."""

import math
from dataclasses import replace

import numpy as np
import torch

from meddl.io import VolumeLike, as_volume
from meddl.models.catalog.catalog import VolumeMetadata
from meddl.models.catalog.volume_check import LUNG_FRACTION, look_at, reasons_to_doubt
from meddl.models.loaded_networks import load_networks
from meddl.models.store.store import ModelStore
from meddl.models.volume_metadata import metadata_of_volume
from meddl.recognition.coarse import coarse_copy, frame_object
from meddl.recognition.orientations import UPRIGHT, describe_turn
from meddl.recognition.outputs import logits_of
from meddl.recognition.result import UNKNOWN, Recognition
from meddl.spatial.volume import Volume
from meddl.synthesis.contrasts import CONTRASTS

MODEL = "recognition"
HEAD_EXTENT_MM = (90.0, 420.0)  # smallest and largest extent of a field of view that may be said to show a head
# Probabilities from which a class is named, and below which a head is none. Of a head the axes have to be seen, too.
# Chosen on synthetic volumes of maps 11 and 12 and of no head: see `docs/benchmarks.md`.
_HEAD, _NO_HEAD, _CONTRAST, _STRIPPED, _AXES = 0.8, 0.1, 0.7, 0.9, 0.3
_HEADERS_FIT = 20.0  # how many times as often the axes in a header fit the anatomy as they lie in one other way


def recognize(volume: VolumeLike, modality: str | None = None, store: ModelStore | None = None) -> Recognition:
    """Say what a volume shows, on the CPU.

    A volume of NaN, of one value, of labels, with few slices or very small gets "unknown": nothing is raised.

    Args:
        volume: (C, I, J, K), or the path of a file; the first channel is looked at.
        modality: "CT" or "MR" where a header says so; None: intensities that are surely Hounsfield units are CT.

    Raises:
        InputError, FileFormatError, GeometryError: a file that cannot be read.
        ModelNotFoundError: the model does not lie where models that ship are looked for.
    """
    volume = as_volume(volume, component="all")
    metadata = metadata_of_volume(volume, modality)
    ct = metadata.modality == "CT"
    look = look_at(volume.data[0].transpose(2, 1, 0), metadata.modality)
    if reasons_to_doubt(look, metadata):
        return Recognition(contrast="CT" if ct else UNKNOWN)
    if look.lung_fraction > LUNG_FRACTION:
        return Recognition("chest", "CT")
    extent = volume.grid.extent_mm
    if not (extent.min() >= HEAD_EXTENT_MM[0] / 2 and HEAD_EXTENT_MM[0] <= extent.max()):
        return Recognition(contrast="CT" if ct else UNKNOWN)
    if extent.min() > HEAD_EXTENT_MM[1]:
        return Recognition("no head", "CT" if ct else UNKNOWN)
    return _conclude(_probabilities(volume, ct, store), ct)


def _probabilities(volume: Volume, ct: bool, store: ModelStore | None) -> dict[str, np.ndarray]:
    """What the classifier says: the probabilities of the classes, by question."""
    _, networks = load_networks(MODEL, "recognition", torch.device("cpu"), store)
    cube = frame_object(*coarse_copy(volume, hounsfield=ct))
    logits = logits_of(networks["network"], cube)
    logits["turn"][UPRIGHT] += math.log(_HEADERS_FIT)
    return {name: values.double().softmax(dim=0).numpy() for name, values in logits.items()}


def metadata_with_region(volume: Volume) -> VolumeMetadata:
    """What the catalog asks of a volume, with the region that it shows where that is known. Raises as `recognize`."""
    return replace(metadata_of_volume(volume), region=recognize(volume).known_region)


def _conclude(found: dict[str, np.ndarray], ct: bool) -> Recognition:
    """What is sure enough to be said."""
    head, turn = float(found["head"][1]), int(found["turn"].argmax())
    confidence = {name: float(values.max()) for name, values in found.items()}
    contrast = int(found["contrast"].argmax())
    named = "CT" if ct else UNKNOWN
    if head < _HEAD or confidence["turn"] < _AXES:
        return Recognition("no head" if head < _NO_HEAD else UNKNOWN, named, confidence=confidence)
    if not ct and confidence["contrast"] >= _CONTRAST:
        named = CONTRASTS[contrast]
    stripped = bool(found["stripped"].argmax()) if confidence["stripped"] >= _STRIPPED else None
    return Recognition("head", named, stripped, describe_turn(turn), turn, confidence)
