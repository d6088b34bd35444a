"""The table of a job: a row for each case (for each time point of a series), as CSV and as JSON."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meddl.io.files import replacing

STATES = ("done", "kept", "failed", "cancelled")


@dataclass(frozen=True)
class Row:
    """What became of a case.

    Attributes:
        case: its name.
        state: "done", "kept" (done by an earlier run), "failed" or "cancelled" (not done when the job was stopped).
        seconds: that it took, reading and writing included.
        volumes_ml: by structure.
        warnings: for the user.
        error: what went wrong, "" for nothing.
        output: the file of its labels, volume or transform, "" for none.
        frame: which time point, from 0; None for a volume.
        confidence: mean confidence by structure.
        low: names of the structures whose confidence is below its usual range.
        quality: an estimate of how good the result is, 0 to 1; None where there is none. Of a segmentation, the
            fraction of the structures whose confidence is not below its usual range.
        sha256: of each file that was read; of a DICOM series, of the sorted SHA-256 of its files.
        inputs: the files, in the same order; of a registration the fixed and the moving one.
        series, component: what was read of the first of them: see `meddl.load`; "all" for all channels of one file.
        figures: what else is known of the result, by the title of its column.
    """

    case: str
    state: str
    seconds: float = 0.0
    volumes_ml: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    output: str = ""
    frame: int | None = None
    confidence: dict[str, float] = field(default_factory=dict)
    low: tuple[str, ...] = ()
    quality: float | None = None
    sha256: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    series: str | int | None = None
    component: int | str | None = None
    figures: dict[str, float | str] = field(default_factory=dict)

    @property
    def total_ml(self) -> float:
        """Volume of all structures."""
        return sum(self.volumes_ml.values())

    @property
    def mean_confidence(self) -> float | None:
        """Mean confidence of the labeled voxels; None where the model states none."""
        weights = {name: self.volumes_ml.get(name, 0.0) for name in self.confidence}
        total = sum(weights.values())
        return sum(self.confidence[name] * weight for name, weight in weights.items()) / total if total else None


@dataclass(frozen=True)
class Summary:
    """What became of a job.

    Attributes:
        rows: in the order of the cases.
        structures: the names of the model's structures: the columns of volumes; of a segmentation alone.
        report: verb, choices, device, seconds of the whole job, warnings.
        unused: (file, why) of what was there and is no case.
    """

    rows: tuple[Row, ...]
    structures: tuple[str, ...]
    report: dict = field(default_factory=dict)
    unused: tuple[tuple[str, str], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many cases are in each state."""
        states = {row.case: row.state for row in self.rows}
        found = Counter(states.values())
        return {state: found[state] for state in STATES}

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows of the cases that failed."""
        return tuple(row for row in self.rows if row.state == "failed")

    def as_csv(self) -> str:
        """A line for each row: case, frame (where there are any), state, seconds, quality, for segmentations mean
        confidence and total volume, figures, error, warnings, output, ml of each structure, and its confidence, where
        the model states any; empty for what was not done."""
        frames = any(row.frame is not None for row in self.rows)
        sure = [name for name in self.structures if any(name in row.confidence for row in self.rows)]
        figures = figure_titles(self.rows)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["case", *(["frame"] if frames else []), "state", "seconds", "quality",
                         *(["confidence", "total [ml]"] if self.structures else []), *figures, "error", "warnings",
                         "output", *(f"{name} [ml]" for name in self.structures),
                         *(f"{name} confidence" for name in sure)])
        for row in self.rows:
            total = f"{row.total_ml:.2f}" if row.volumes_ml else ""
            writer.writerow([
                row.case, *(["" if row.frame is None else row.frame] if frames else []), row.state,
                f"{row.seconds:.2f}", _round(row.quality),
                *([_round(row.mean_confidence), total] if self.structures else []),
                *(_plain(row.figures.get(name, "")) for name in figures), row.error, " ".join(row.warnings),
                row.output, *(row.volumes_ml.get(name, "") for name in self.structures),
                *(row.confidence.get(name, "") for name in sure)])
        return text.getvalue()

    def as_json(self) -> str:
        """The same and the job's report."""
        # A line a case: json's own indentation takes many times as long.
        parts = {"counts": self.counts, "unused": [{"file": file, "why": why} for file, why in self.unused]}
        head = json.dumps({**self.report, **parts}, indent=1, default=float)
        cases = ",\n  ".join(json.dumps(vars(row), default=float) for row in self.rows)
        return f'{head[:-2]},\n "cases": [\n  {cases}\n ]\n}}\n'

    def save(self, folder: str | Path) -> None:
        """Write summary.csv and summary.json, each whole or not at all."""
        for name, text in (("summary.csv", self.as_csv()), ("summary.json", self.as_json())):
            with replacing(Path(folder) / name, Path(name).suffix) as temporary:
                temporary.write_text(text, encoding="utf-8")


def figure_titles(rows: Sequence[Row]) -> tuple[str, ...]:
    """The titles of all figures of these rows, in their order."""
    return tuple(dict.fromkeys(name for row in rows for name in row.figures))


def registration_figures(report: dict) -> dict[str, float | str]:
    """Figures of quality of a registration, by title, from its report."""
    metric, moved = report.get("metric", {}), report.get("translation_mm")
    return _known({
        "quality in words": report.get("quality_estimate", {}).get("word"),
        "metric": metric.get("name"), "metric before": metric.get("before"), "metric after": metric.get("after"),
        "overlap": report.get("overlap"), "rotation [deg]": report.get("rotation_deg"),
        "translation [mm]": None if moved is None else sum(part * part for part in moved) ** 0.5,
        "folding [%]": report.get("folding_percent"), "SD of log Jacobian": report.get("sd_log_jacobian")})


def super_resolution_figures(report: dict) -> dict[str, float | str]:
    """Figures of a super-resolution, by title, from its report."""
    spacing = report.get("spacing_mm", {})
    before, after = (" x ".join(f"{size:.3g}" for size in spacing.get(when, ())) for when in ("before", "after"))
    return _known({
        "method": report.get("method"), "model": report.get("model") or None,
        "voxels before [mm]": before or None, "voxels after [mm]": after or None,
        "slice thickness [mm]": report.get("thickness_mm"), "residual": report.get("residual"),
        "residual over noise": report.get("residual_over_noise")})


def quality_of(report: dict) -> float | None:
    """The estimate of quality in a report, 0 to 1; None where it has none."""
    found = report.get("quality")
    return float(found) if isinstance(found, int | float) else None


def _known(figures: dict) -> dict[str, float | str]:
    return {name: value if isinstance(value, str) else float(value) for name, value in figures.items()
            if value is not None}


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _round(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
