"""The record of a job of many cases, with what makes a case doubtful, and a thumbnail of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meddl.core.errors import MedDLError
from meddl.core.progress import ProgressCallback, report
from meddl.io import load, load_segmentation
from meddl.jobs.summary import Row, Summary
from meddl.reports.figures import Figure, checkerboard_thumbnail, thumbnail, volume_thumbnail
from meddl.reports.record import without_names

_FEWEST = 8        # cases of which outliers can be told
_DEVIATIONS = 4.0  # robust standard deviations from the median that make an outlier
_NAMED = 3         # structures that a reason names


def cohort_record(record: Mapping[str, Any], summary: Summary, with_names: bool = False) -> dict[str, Any]:
    """The record of the job, and each case with its inputs by SHA-256.

    Args:
        record: of the job: see `meddl.reports.record.record_run`.
        with_names: call cases by their names, and list the files that were not used; else cases are numbered in the
            order of summary.csv.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(row.case for row in summary.rows), start=1)}
    outliers = _outliers(summary.rows)
    cases = []
    for row, unusual in zip(summary.rows, outliers, strict=True):
        name = row.case if with_names else f"case {numbers[row.case]}"
        shown = row if with_names else _anonymous(row, name)
        reasons = _reasons(shown, unusual)
        cases.append({
            "case": name, "frame": row.frame, "state": row.state, "seconds": row.seconds, "quality": row.quality,
            "confidence": row.mean_confidence, "total_ml": row.total_ml, "volumes_ml": row.volumes_ml,
            "confidences": row.confidence, "figures": row.figures, "reasons": reasons, "doubt": _doubt(row, unusual),
            "sha256": row.sha256,
            **({"output": row.output} if with_names else {})})
    content = {**record, "counts": summary.counts, "cases": cases}
    if with_names:
        content["unused"] = [{"file": file, "why": why} for file, why in summary.unused]
    return content


def thumbnails(summary: Summary, content: Mapping[str, Any], on_progress: ProgressCallback | None = None
               ) -> list[Figure]:
    """A small picture of each case: outlines of a segmentation, the checkerboard of a registration, the slices of a
    super-resolution; of a time series none."""
    figures = []
    draw = _DRAWN[summary.report.get("verb", "segment")]
    for number, (row, case) in enumerate(zip(summary.rows, content["cases"], strict=True)):
        report(on_progress, number / len(summary.rows), f"Drawing {number + 1} of {len(summary.rows)}")
        if row.state in ("done", "kept") and row.frame is None and row.inputs:
            try:
                picture = draw(row)
            except (MedDLError, OSError):
                continue  # moved or removed meanwhile
            figures.append(Figure(case["case"], "", ((case["case"], picture),)))
    return figures


def _draw_labels(row: Row) -> np.ndarray:
    return thumbnail(load(row.inputs[0], row.component, row.series), load_segmentation(row.output))


def _draw_registration(row: Row) -> np.ndarray:
    return checkerboard_thumbnail(load(row.inputs[0], row.component, row.series), load(row.output))


def _draw_volume(row: Row) -> np.ndarray:
    return volume_thumbnail(load(row.output))


_DRAWN = {"segment": _draw_labels, "register": _draw_registration, "super-resolve": _draw_volume}


def _anonymous(row: Row, name: str) -> Row:
    files = [(name, Path(file)) for file in (*row.inputs, row.output) if file]
    texts = without_names({"warnings": list(row.warnings), "error": row.error}, [*files, (name, Path(row.case))])
    return Row(row.case, row.state, warnings=tuple(texts["warnings"]), error=texts["error"], low=row.low)


def _reasons(row: Row, unusual: Sequence[str]) -> list[str]:
    """Why one should look at a case."""
    found = [row.error] if row.error else []
    found += row.warnings
    for text, names in (("Confidence below the usual range", row.low), ("Volume unlike that of the other cases",
                                                                        unusual)):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            found.append(f"{text}: {', '.join(names[:_NAMED])}{more}.")
    return found


def _doubt(row: Row, unusual: Sequence[str]) -> float:
    """How much a case should be looked at: the larger, the sooner."""
    structures = max(1, len(row.volumes_ml))
    return (10.0 * (row.state == "failed") + len(row.warnings) + (1 - (1.0 if row.quality is None else row.quality))
            + (1 - (1.0 if row.mean_confidence is None else row.mean_confidence)) + len(unusual) / structures)


def _outliers(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """For each row the structures whose volume is far from the cohort's median, where there are enough cases."""
    found: list[list[str]] = [[] for _ in rows]
    for name in dict.fromkeys(name for row in rows for name in row.volumes_ml):
        there = [number for number, row in enumerate(rows) if name in row.volumes_ml]
        values = np.array([rows[number].volumes_ml[name] for number in there])
        if len(values) < _FEWEST:
            continue
        distance = np.abs(values - np.median(values))
        deviation = 1.4826 * np.median(distance)
        for number, far in zip(there, distance > _DEVIATIONS * max(deviation, 0.02 * abs(np.median(values))),
                               strict=True):
            if far:
                found[number].append(name)
    return [tuple(names) for names in found]
