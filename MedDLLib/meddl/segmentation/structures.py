"""The selected structures of a segmentation, and their volumes."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from meddl.results import Segment, Segmentation
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import structure_volumes_ml

NOTHING_FOUND = "No structure was found."


def restrict_to(found: Segmentation, values: Iterable[int], inside: np.ndarray | None = None) -> Segmentation:
    """Restrict a segmentation and its report to these labels, and to where `inside` (I, J, K) holds."""
    values = set(values)
    table = np.zeros(max([int(found.labels.max()), *values]) + 1, dtype=found.labels.dtype)
    for value in values:
        table[value] = value
    labels = table[found.labels]
    if inside is not None:
        labels = np.where(inside, labels, labels.dtype.type(0))
    segments = tuple(segment for segment in found.segments if segment.value in values)
    volumes = volumes_ml(labels, segments, found.grid)
    report = found.report | {"volumes_ml": volumes, "confidence": {
        name: one for name, one in found.report.get("confidence", {}).items() if volumes.get(name)}}
    if len(segments) < len(found.segments) or inside is not None:
        report.pop("brain_volume_ml", None)  # of the whole brain
    if not any(volumes.values()) and NOTHING_FOUND not in report["warnings"]:
        report["warnings"] = [*report["warnings"], NOTHING_FOUND]
    return replace(found, labels=np.asfortranarray(labels), segments=segments, report=report)


def volumes_ml(labels: np.ndarray, segments: Iterable[Segment], grid: Grid) -> dict[str, float]:
    """The volume of each structure by its name."""
    segments = tuple(segments)
    volumes = structure_volumes_ml(labels, [segment.value for segment in segments], grid.voxel_volume_ml)
    return {segment.name: round(float(volume), 3) for segment, volume in zip(segments, volumes, strict=True)}
