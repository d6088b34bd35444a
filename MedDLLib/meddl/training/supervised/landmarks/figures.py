"""The figures of a model of landmarks on cases whose places are known: measured, and written as tables."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.detection.detect import detect
from meddl.models.cards import NetworkSpec
from meddl.models.recipes import LandmarkOutput
from meddl.spatial.points import box_overlap
from meddl.training.supervised.data.volumes import load_volume
from meddl.training.supervised.landmarks.inspection import MarkedFigures

ALL = "all"
WITHIN_MM = (2.0, 4.0)


@dataclass(frozen=True)
class LandmarkFigures:
    """How far a landmark, or the center of a box, is from the truth.

    Attributes:
        name: of it; "all" of all together.
        count: cases in which it is.
        mean_mm, median_mm, p95_mm: of the distance, also where the confidence is too low for a place to be given.
        found: fraction with enough confidence.
        within: fraction found within the distances of `WITHIN_MM`.
        iou: of a box, mean intersection over union; None of a landmark.
    """

    name: str
    count: int
    mean_mm: float
    median_mm: float
    p95_mm: float
    found: float
    within: tuple[float, ...]
    iou: float | None = None


@dataclass(frozen=True, eq=False)
class MeasuredLandmarks:
    """What a model finds in cases whose places are known.

    Attributes:
        cases: in the order of the rows.
        names: of landmarks, then of boxes, in the order of the columns.
        errors_mm: (cases, names), NaN where the case does not have one.
        confidence: (cases, names).
        ious: (cases, boxes), NaN likewise.
        least_confidence: from which on a place is given.
    """

    cases: tuple[MarkedFigures, ...]
    names: tuple[str, ...]
    errors_mm: np.ndarray
    confidence: np.ndarray
    ious: np.ndarray
    least_confidence: float

    @property
    def figures(self) -> tuple[LandmarkFigures, ...]:
        """Of all together, then of each that is in some case."""
        columns = [(ALL, slice(None)), *((name, slice(n, n + 1)) for n, name in enumerate(self.names))]
        return tuple(self._figures(name, part) for name, part in columns
                     if np.isfinite(self.errors_mm[:, part]).any())

    def _figures(self, name: str, part: slice) -> LandmarkFigures:
        known = np.isfinite(self.errors_mm[:, part])
        errors, sure = self.errors_mm[:, part][known], self.confidence[:, part][known] >= self.least_confidence
        box = None if part.start is None else part.start - (len(self.names) - self.ious.shape[1])
        overlap = self.ious if box is None else self.ious[:, box] if box >= 0 else self.ious[:, :0]
        return LandmarkFigures(name, len(errors), float(errors.mean()), float(np.median(errors)),
                               float(np.percentile(errors, 95)), float(sure.mean()),
                               tuple(float((sure & (errors <= most)).mean()) for most in WITHIN_MM),
                               float(np.nanmean(overlap)) if np.isfinite(overlap).any() else None)


def measure_landmarks(cases: Sequence[MarkedFigures], spec: NetworkSpec, output: LandmarkOutput, network: nn.Module,
                      device: torch.device, on_progress: ProgressCallback | None = None) -> MeasuredLandmarks:
    """Find landmarks and boxes, as `meddl.find_landmarks` does, and compare.

    Args:
        spec, output: of the model's card.
        network: on the device, in evaluation mode.

    Raises:
        InputError: no case has any of the model's landmarks.
        Cancelled: from `on_progress`.
    """
    if not {name for one in cases for name in one.names} & set(output.names):
        raise InputError(f"The model finds {', '.join(output.names)}; none of the cases has one of these.")
    errors = np.full((len(cases), len(output.names)), np.nan)
    ious, confidence = np.full((len(cases), len(output.boxes)), np.nan), np.zeros(errors.shape)
    for n, one in enumerate(cases):
        report(on_progress, n / len(cases), f"Measuring {one.case.name}")
        found = detect(load_volume(one.case.image), spec, output, network, device)
        confidence[n] = found.confidence
        for column, (name, position) in enumerate(zip(found.points.labels, found.points.positions, strict=True)):
            if name in one.points:
                errors[n, column] = np.linalg.norm(position - one.points[name])
        boxes = np.stack([found.boxes.centers, found.boxes.sizes], axis=1)
        for number, (name, box) in enumerate(zip(found.boxes.labels, boxes, strict=True)):
            if name in one.boxes:
                errors[n, len(output.points) + number] = np.linalg.norm(box[0] - one.boxes[name][0])
                ious[n, number] = box_overlap(box[None], one.boxes[name][None])[0]
    return MeasuredLandmarks(tuple(cases), output.names, errors, confidence, ious, output.least_confidence)


def write_landmark_figures(measured: MeasuredLandmarks, folder: Path, name: str) -> Path:
    """Write NAME.csv (a row for each landmark of each case) and NAME.md (figures) to a folder; the place of NAME.md.

    Raises:
        InputError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["case", "patient", "landmark", "error_mm", "confidence", "found", "iou"])
            for row, one in enumerate(measured.cases):
                for column in np.flatnonzero(np.isfinite(measured.errors_mm[row])):
                    sure, box = measured.confidence[row, column], column - len(measured.names) + measured.ious.shape[1]
                    writer.writerow([one.case.name, one.case.patient, measured.names[column],
                                     f"{measured.errors_mm[row, column]:.3f}", f"{sure:.4f}",
                                     "yes" if sure >= measured.least_confidence else "no",
                                     f"{measured.ious[row, box]:.4f}" if box >= 0 else ""])
        place = folder / f"{name}.md"
        place.write_text(markdown(measured), encoding="utf-8")
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written to: {error.strerror or error}.") from error
    return place


def markdown(measured: MeasuredLandmarks) -> str:
    """The figures as a table."""
    within = " | ".join(f"within {most:g} mm" for most in WITHIN_MM)
    lines = [f"{len(measured.cases)} cases. Errors in mm; found: with a confidence of at least "
             f"{measured.least_confidence:.2f}.", "",
             f"| Landmark | cases | mean | median | 95 % below | found | {within} | IoU |",
             "|---|" + "---:|" * (6 + len(WITHIN_MM))]
    for one in measured.figures:
        cells = [str(one.count), *(f"{value:.2f}" for value in (one.mean_mm, one.median_mm, one.p95_mm, one.found,
                                                                *one.within)),
                 "" if one.iou is None else f"{one.iou:.2f}"]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
