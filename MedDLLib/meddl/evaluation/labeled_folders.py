"""Evaluation of a segmentation model on the user's own volumes with reference labels, case by case.

The volumes are segmented as one job (`meddl.segment_many`), which resumes where it was stopped, and its results are
compared with the labels (`meddl.comparison`).
"""

import json
from collections.abc import Sequence
from pathlib import Path

from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span
from meddl.measures.config import CompareConfig

_SEGMENTED = 0.9  # of the progress
_SHOWN = ("dice", "hd95_mm", "volume_difference_ml")


def evaluate_folders(model: str, images: str | Path, labels: str | Path, output: str | Path, *,
                     config: SegmentConfig | None = None, match: str = CompareConfig.match, device: str = "auto",
                     on_progress: ProgressCallback | None = None) -> dict:
    """Segment all volumes of a folder, and compare with the labels of the same name in another.

    Args:
        model: identifier of an installed model.
        images: as of `meddl.segment_many`.
        labels: label maps or segmentations, named as the cases; on any grids.
        output: gets the folder `segmentations`, and `segmentation.json`, `.csv` (all figures of all cases, the worst
            first) and `.md` (a row for each structure).
        match: which label is which structure of the model: see `CompareConfig`.

    Returns:
        What `segmentation.json` holds: `model`, `version`, `sha256`, `command`, `rows`, `summary` (mean, standard
        deviation and 95 % interval of each figure), `failed`, `unmatched`.

    Raises:
        InputError: nothing to segment, or no case has labels.
        Cancelled: from `on_progress`; what was segmented stays.
    """
    from meddl.comparison.folders import compare_folders, write_csv
    from meddl.jobs.segment_many import segment_many
    from meddl.models.store.store import ModelStore

    card, folder = ModelStore().card(model), Path(output).expanduser()
    job = segment_many(images, folder / "segmentations", model, config, suffix=".seg.nrrd", device=device,
                       on_progress=span(on_progress, 0.0, _SEGMENTED))
    failed = {row.case: row.error for row in job.failed}
    if len(failed) == len(job.rows):
        raise InputError(f"No volume could be segmented. {next(iter(failed.values()), '')}")
    found = compare_folders(folder / "segmentations", labels, lambda a, b: _compare(a, b, match), _mean_dice,
                            span(on_progress, _SEGMENTED, 1.0))
    failed.update({row["case"]: row["error"] for row in found.rows if "error" in row})
    content = {"model": card.id, "version": card.version,
               "sha256": None if card.weights is None else card.weights.sha256,
               "command": f"meddl evaluate segmentation --model {model} --images IMAGES --labels LABELS",
               "rows": (rows := [row for row in found.rows if "error" not in row]), "summary": found.summary(),
               "failed": failed, "unmatched": found.unmatched}
    if not rows:
        raise InputError(f"No case could be compared. {next(iter(failed.values()), '')}")
    (folder / "segmentation.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_csv(rows, folder / "segmentation.csv")
    (folder / "segmentation.md").write_text(markdown(content), encoding="utf-8")
    return content


def markdown(content: dict) -> str:
    """A table with a row for each structure: cases, and mean, standard deviation and 95 % interval of the figures."""
    figures = {(one["structure"], one["figure"]): one for one in content["summary"]}
    structures = list(dict.fromkeys(one["structure"] for one in content["summary"]))
    titles = {"dice": "Dice", "hd95_mm": "HD95 [mm]", "volume_difference_ml": "Volume difference [ml]"}
    lines = [f"| Structure | cases | {' | '.join(titles[name] for name in _SHOWN)} |", "|---|---:|---:|---:|---:|"]
    for structure in structures:
        cells = [_cell(figures.get((structure, name))) for name in _SHOWN]
        count = max(figures[structure, name]["cases"] for name in _SHOWN if (structure, name) in figures)
        lines.append(f"| {structure} | {count} | {' | '.join(cells)} |")
    cases = list(dict.fromkeys(row["case"] for row in content["rows"]))
    notes = [f"Mean ± standard deviation (95 % interval of the mean). Worst cases: {', '.join(cases[:3])}."]
    notes += [f"{case}: {error}" for case, error in content["failed"].items()]
    return "\n".join(lines) + "\n\n" + "\n".join(notes) + "\n"


def accuracy_of(content: dict, name: str) -> list[dict]:
    """The entries of a card's accuracy table: mean Dice of each structure over the cases.

    Args:
        name: of the cases, such as that of their folder.
    """
    count = len({row["case"] for row in content["rows"]})
    return [{"case": f"{name} ({count} cases)", "structure": one["structure"], "metric": "Dice",
             "value": round(one["mean"], 4), "command": content["command"]}
            for one in content["summary"] if one["figure"] == "dice"]


def _compare(result: Path, reference: Path, match: str) -> list[dict]:
    from meddl.comparison.segmentations import compare_segmentations
    from meddl.io import load_segmentation

    found = compare_segmentations(load_segmentation(result), load_segmentation(reference), match=match)
    # A structure that the labels do not hold may be one that nobody drew: it is left out.
    return [row for row in found.rows() if row["reference_label"] is not None and row["dice"] is not None]


def _mean_dice(rows: Sequence[dict]) -> float:
    figures = [row["dice"] for row in rows if row["dice"] is not None]
    return sum(figures) / len(figures) if figures else float("-inf")


def _cell(one: dict | None) -> str:
    if one is None:
        return "–"
    digits = 3 if one["figure"] == "dice" else 2
    text = f"{one['mean']:.{digits}f}"
    if one["sd"] is not None:
        text += f" ± {one['sd']:.{digits}f} ({one['low_95']:.{digits}f} to {one['high_95']:.{digits}f})"
    return text
