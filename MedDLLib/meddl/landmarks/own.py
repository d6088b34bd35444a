"""Landmarks and boxes that a model of one's own finds in a volume."""

import time
from collections.abc import Sequence

import numpy as np
import torch

from meddl.core.device import describe, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.detection.detect import TASK, check_landmark_model, detect
from meddl.detection.mirrors import mirrors_of
from meddl.detection.result import Detection
from meddl.detection.view import NETWORK
from meddl.landmarks.alignment import lateral_direction
from meddl.landmarks.result import Landmarks
from meddl.models.loaded_networks import load_networks
from meddl.models.store.store import ModelStore
from meddl.recognition.fit import reasons_against
from meddl.spatial.points import Boxes, Points
from meddl.spatial.volume import Volume


def find_own(volume: Volume, model: str, device: str = "auto", store: ModelStore | None = None,
             on_progress: ProgressCallback | None = None) -> Landmarks:
    """What a model finds with enough confidence; arguments and errors as of `find_landmarks`."""
    begin = time.perf_counter()
    card, output = check_landmark_model(model, store)
    doubts = list(reasons_against(volume, card))
    if doubts:
        raise InputError(f"The volume is none of those that '{model}' is for. {' '.join(doubts)}")
    warnings: list[str] = []
    chosen = select_device(device, warnings)

    def run(where: torch.device) -> Detection:
        network = load_networks(model, TASK, where, store)[1][NETWORK]
        return detect(volume, card.networks[NETWORK], output, network, where, on_progress)

    found, used = with_cpu_fallback(run, chosen, warnings, "The network needs more memory than is free.")
    sure = np.array(found.confidence) >= output.least_confidence
    if not sure.any():
        raise InputError(f"Nothing that '{model}' knows was found in the volume: the highest confidence is "
                         f"{max(found.confidence):.2f}, {output.least_confidence:.2f} is the least.")
    names, missing = output.names, [name for name, one in zip(output.names, sure, strict=True) if not one]
    if missing:
        warnings.append(f"Not found (confidence below {output.least_confidence:.2f}): {', '.join(missing)}.")
    unsure = [name for name, one in zip(names, found.confidence, strict=True)
              if output.least_confidence <= one < output.usual_confidence]
    if unsure:
        warnings.append(f"Less certain than usual (confidence below {output.usual_confidence:.2f}): "
                        f"{', '.join(unsure)}. Check them.")
    of_points, of_boxes = sure[:len(output.points)], sure[len(output.points):]
    points = Points(found.points.positions[of_points], _select(output.points, of_points))
    boxes = Boxes(found.boxes.centers[of_boxes], found.boxes.sizes[of_boxes], _select(tuple(output.boxes), of_boxes))
    confidence = np.array(found.confidence)
    report(on_progress, 1.0, "Done")
    return Landmarks(points, tuple(confidence[:len(of_points)][of_points].tolist()), _direction(points), {
        "model": model, "seconds": {"total": round(time.perf_counter() - begin, 3)}, "device": describe(used),
        "warnings": warnings, "missing": missing}, boxes, tuple(confidence[len(of_points):][of_boxes].tolist()))


def _select(names: Sequence[str], taken: np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, one in zip(names, taken, strict=True) if one)


def _direction(points: Points) -> np.ndarray | None:
    """Across the mid-sagittal plane, from landmarks named for the left and the right."""
    mirrors = mirrors_of(points.labels)
    return lateral_direction([(points.positions[number], points.positions[mirror])
                              for number, mirror in enumerate(mirrors)
                              if "left" in points.labels[number].casefold() and mirror != number])
