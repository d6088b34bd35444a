"""A collection: several models, one after the other, whose labels become one result."""

from collections.abc import Callable, Iterable

import numpy as np

from meddl.core.errors import InputError, ModelError, ModelNotFoundError
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard, Part
from meddl.models.catalog.structure_names import chosen_values
from meddl.results import Segmentation
from meddl.segmentation.structures import NOTHING_FOUND, volumes_ml
from meddl.spatial.volume import Volume


def segment_parts(card: ModelCard, volume: Volume, structures: Iterable[str], notes: tuple[str, ...],
                  run: Callable[[str, ProgressCallback | None], Segmentation],
                  on_progress: ProgressCallback | None = None) -> Segmentation:
    """The labels of all parts that know one of the structures, in the collection's own values.

    Parts run in the card's order and are written over one another: where two label a voxel, the later one is right, as
    TotalSegmentator merges its parts.

    Args:
        structures: as `structure_names.match_structures` takes them; none: all.
        notes: warnings that the result starts with.
        run: the segmentation by a model of this identifier, on the volume's own voxels.

    Raises:
        ModelNotFoundError: a part is not installed.
        ModelError: a part is a collection itself, or takes other channels.
    """
    wanted = set(chosen_values(card.labels, structures))
    parts = [part for part in card.parts if wanted & set(part.values.values())]
    labels = np.zeros(volume.shape, dtype=np.uint8 if max(label.value for label in card.labels) < 256 else np.uint16,
                      order="F")
    reports = {}
    for n, part in enumerate(parts):
        progress = span(on_progress, 0.98 * n / len(parts), 0.98 * (n + 1) / len(parts),
                        f"Part {n + 1} of {len(parts)}: ")
        try:
            found = run(part.model, progress)
        except ModelNotFoundError as error:
            raise ModelNotFoundError(f"'{card.id}' consists of several models, one of which is missing. {error}"
                                     ) from error
        except InputError as error:
            raise type(error)(f"In the part '{part.model}' of '{card.id}': {error}") from error
        _write(labels, found, part)
        reports[part.model] = found.report
    volumes = volumes_ml(labels, card.segments, volume.grid)
    result = Segmentation(labels, volume.affine, card.segments, None, {
        "model": card.id, "seconds": _sum_seconds([one["seconds"] for one in reports.values()]),
        "device": "; ".join(sorted({one["device"] for one in reports.values()})),
        "warnings": [*notes, *_collect(reports, "warnings", but=NOTHING_FOUND),
                     *([] if any(volumes.values()) else [NOTHING_FOUND])],
        "peak_memory_mb": max(one["peak_memory_mb"] for one in reports.values()), "confidence": {},
        "volumes_ml": volumes, "changed_by_options": _collect(reports, "changed_by_options"), "parts": list(reports),
        "parts_left_out": [part.model for part in card.parts if part not in parts]})
    report(on_progress, 1.0, "Done")
    return result


def _write(labels: np.ndarray, found: Segmentation, part: Part) -> None:
    """A part's labels over what is there, in the collection's values."""
    unknown = set(part.values) - {segment.value for segment in found.segments}
    if unknown:
        raise ModelError(f"The collection expects the labels {sorted(unknown)} of '{part.model}', which does not have "
                         "them. Import that model again, and merge again.")
    table = np.zeros(max(int(found.labels.max()), *part.values) + 1, dtype=labels.dtype)
    for own, new in part.values.items():
        table[own] = new
    new = table[found.labels]
    np.copyto(labels, new, where=new > 0)


def _sum_seconds(seconds: list[dict[str, float]]) -> dict[str, float]:
    """Seconds by stage over all parts, "total" last."""
    stages = dict.fromkeys(stage for one in seconds for stage in one if stage != "total")
    return {stage: round(sum(one.get(stage, 0.0) for one in seconds), 4) for stage in (*stages, "total")}


def _collect(reports: dict[str, dict], key: str, but: str = "") -> list[str]:
    """What the parts' reports say under this key, each sentence once."""
    return list(dict.fromkeys(text for one in reports.values() for text in one.get(key, ()) if text != but))
