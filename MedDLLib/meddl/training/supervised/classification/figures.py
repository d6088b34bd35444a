"""The figures of a classifier on labeled cases: measured, and written as tables and as a picture."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from meddl.classification.classify import class_probabilities
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.measures.classification import ALL, RATES, ClassificationFigures, Figure, classification_figures
from meddl.models.cards import ModelCard
from meddl.training.supervised.data.volumes import CaseFigures, load_volume


@dataclass(frozen=True, eq=False)
class MeasuredCases:
    """What a classifier finds in labeled cases.

    Attributes:
        cases: in the order of the rows.
        probabilities: (N, classes).
        figures: over all of them.
    """

    cases: tuple[CaseFigures, ...]
    probabilities: np.ndarray
    figures: ClassificationFigures

    @property
    def patients(self) -> int:
        """How many there are."""
        return len({one.case.patient for one in self.cases})


def measure_cases(cases: Sequence[CaseFigures], card: ModelCard, network: nn.Module, device: torch.device,
                  on_progress: ProgressCallback | None = None) -> MeasuredCases:
    """Classify labeled cases, as `meddl.classify` does, and compare.

    Args:
        network: of the card, on the device, in evaluation mode.

    Raises:
        InputError: a case of a class that the card does not have.
        Cancelled: from `on_progress`.
    """
    strange = sorted({one.case.label for one in cases} - set(card.classes))
    if strange:
        raise InputError(f"'{card.id}' knows the classes {', '.join(card.classes)}; the data set has "
                         f"{', '.join(strange)}, too.")
    rows = []
    for n, one in enumerate(cases):
        report(on_progress, n / len(cases), f"Measuring {one.case.name}")
        rows.append(class_probabilities(load_volume(one.case.image), card, network, device).numpy())
    probabilities = np.array(rows).reshape(len(cases), len(card.classes))
    truth = np.array([card.classes.index(one.case.label) for one in cases])
    patients = [one.case.patient for one in cases]
    return MeasuredCases(tuple(cases), probabilities, classification_figures(card.classes, probabilities, truth,
                                                                             patients))


def write_figures(measured: MeasuredCases, folder: Path, name: str) -> Path:
    """Write NAME.csv (a row for each case), NAME.md (figures and confusion matrix) and, where matplotlib is installed,
    NAME.png (the confusion matrix) to a folder; the place of NAME.md.

    Raises:
        InputError: the folder cannot be written to.
    """
    classes = measured.figures.classes
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["case", "patient", "class", "found", *(f"probability {one}" for one in classes)])
            for one, row in zip(measured.cases, measured.probabilities, strict=True):
                writer.writerow([one.case.name, one.case.patient, one.case.label, classes[int(row.argmax())],
                                 *(f"{value:.4f}" for value in row)])
        place = folder / f"{name}.md"
        place.write_text(markdown(measured), encoding="utf-8")
        _draw(measured.figures, folder / f"{name}.png")
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written to: {error.strerror or error}.") from error
    return place


def markdown(measured: MeasuredCases) -> str:
    """The figures with their 95 % intervals, and the confusion matrix."""
    figures = measured.figures
    accuracy = next(one for one in figures.figures if one.subject == ALL)
    lines = [f"Accuracy {with_interval(accuracy)}, {len(measured.cases)} cases of {measured.patients} patients; 95 % "
             "intervals in brackets.", "", f"| Class | {' | '.join(RATES)} |", "|---|" + "---:|" * len(RATES)]
    for subject in figures.classes:
        own = {one.name: one for one in figures.figures if one.subject == subject}
        lines.append(f"| {subject} | " + " | ".join(with_interval(own[name]) if name in own else "–" for name in RATES)
                     + " |")
    lines += ["", f"| True class | {' | '.join(f'found: {name}' for name in figures.classes)} |",
              "|---|" + "---:|" * len(figures.classes)]
    lines += [f"| {name} | {' | '.join(map(str, row))} |"
              for name, row in zip(figures.classes, figures.confusion.tolist(), strict=True)]
    return "\n".join(lines) + "\n"


def with_interval(figure: Figure) -> str:
    """A figure with its interval: "0.92 [0.78, 0.97]"."""
    ends = "" if figure.interval is None else f" [{figure.interval[0]:.2f}, {figure.interval[1]:.2f}]"
    return f"{figure.value:.2f}{ends}"


def _draw(figures: ClassificationFigures, place: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Plot
    except ImportError:
        return
    count = len(figures.classes)
    plot = Plot(figsize=(2.6 + 0.7 * count, 2.2 + 0.6 * count), layout="constrained")
    axes = plot.subplots()
    fractions = figures.confusion / figures.confusion.sum(axis=1, keepdims=True).clip(1)
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(count, count):
        axes.text(column, row, str(figures.confusion[row, column]), ha="center", va="center",
                  color="white" if fractions[row, column] > 0.5 else "black")
    axes.set_xticks(range(count), figures.classes, rotation=30, ha="right")
    axes.set_yticks(range(count), figures.classes)
    axes.set(xlabel="found", ylabel="true class", title="Confusion matrix")
    temporary = place.with_name(f"{place.stem}.{os.getpid()}.png")
    FigureCanvasAgg(plot).print_png(temporary)
    temporary.replace(place)
