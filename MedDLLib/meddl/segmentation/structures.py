"""Selection of a model's structures by the user, and their volumes."""

import difflib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from meddl.core.errors import InputError
from meddl.models.cards import Label
from meddl.results import Segment, Segmentation
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import structure_volumes_ml

NOTHING_FOUND = "No structure was found."
_SHOWN = 12


def chosen_values(labels: Iterable[Label], wanted: Iterable[str | int]) -> tuple[int, ...]:
    """Label values of the selected structures, each once, in the labels' order; all where none is selected.

    Args:
        labels: of the model.
        wanted: names, without regard to case, underscores and hyphens; or label values.

    Raises:
        InputError: the model has no such structure; the message names similar ones.
    """
    labels = tuple(labels)
    by_name = {_plain(label.name): label.value for label in labels}
    by_value = {str(label.value): label.value for label in labels}
    chosen = set()
    for one in wanted:
        value = by_name.get(_plain(one), by_value.get(str(one).strip()))
        if value is None:
            raise InputError(f"The model has no structure '{one}'. {_similar(str(one), labels)}")
        chosen.add(value)
    return tuple(label.value for label in labels if not chosen or label.value in chosen)


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
    if not any(volumes.values()) and NOTHING_FOUND not in report["warnings"]:
        report["warnings"] = [*report["warnings"], NOTHING_FOUND]
    return replace(found, labels=np.asfortranarray(labels), segments=segments, report=report)


def volumes_ml(labels: np.ndarray, segments: Iterable[Segment], grid: Grid) -> dict[str, float]:
    """The volume of each structure by its name."""
    segments = tuple(segments)
    volumes = structure_volumes_ml(labels, [segment.value for segment in segments], grid.voxel_volume_ml)
    return {segment.name: round(float(volume), 3) for segment, volume in zip(segments, volumes, strict=True)}


def _plain(name: str | int) -> str:
    return " ".join(str(name).replace("_", " ").replace("-", " ").casefold().split())


def _similar(name: str, labels: tuple[Label, ...]) -> str:
    """Names like this one; else some of all."""
    names = {_plain(label.name): label.name for label in labels}
    close = difflib.get_close_matches(_plain(name), names, n=5, cutoff=0.5)
    close += [plain for plain in names if _plain(name) in plain and plain not in close][:5]
    if close:
        return f"Similar: {', '.join(names[plain] for plain in close)}."
    more = len(names) - _SHOWN
    return f"It has: {', '.join(list(names.values())[:_SHOWN])}{f' and {more} more' if more > 0 else ''}."
