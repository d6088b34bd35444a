"""The findings about a data set as a page: a text, and a picture of those cases that have some."""

import os
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from meddl.core.errors import FileWarning, InputError, MedDLError
from meddl.training.supervised.data.cases import load_case
from meddl.training.supervised.data.dataset import DataSet, TrainingCase
from meddl.training.supervised.data.inspection import ERROR, Finding

_MOST_CASES, _COLUMNS = 12, 4
_LONGEST_TEXT = 90
_SHOWN = 20  # findings in a message


def write_findings(findings: tuple[Finding, ...], dataset: DataSet, folder: Path) -> Path:
    """Write `findings.txt` and, where matplotlib is installed, `findings.png` to a folder; the text's place.

    Args:
        dataset: with all cases, those with errors too.

    Raises:
        InputError: the folder cannot be written to.
    """
    place = write_text(findings, folder)
    try:
        _draw(findings, dataset, folder / "findings.png")
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written to: {error.strerror or error}.") from error
    return place


def write_text(findings: tuple[Finding, ...], folder: Path) -> Path:
    """Write `findings.txt` to a folder; its place.

    Raises:
        InputError: the folder cannot be written to.
    """
    place = folder / "findings.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place.write_text("".join(f"{one}\n" for one in findings) or "Nothing speaks against this data set.\n",
                         encoding="utf-8")
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written to: {error.strerror or error}.") from error
    return place


def warn_of_cases(inspection: Any, nothing: str) -> None:
    """Warn of the findings about single cases of a data set that is measured on.

    Raises:
        InputError: no case can be used: `nothing`.
    """
    for one in inspection.findings:
        if one.case:
            warnings.warn(f"{one.case}: {one.text}", FileWarning, stacklevel=3)
    if not inspection.cases:
        raise InputError(nothing)


def stop_at_errors(inspection: Any, page: Path, leave_out: bool) -> None:
    """Warn of the findings about a data set, and stop where errors are not to be left out.

    Args:
        inspection: what was found in it: of segmentation or of classification.
        page: where all findings stand.
        leave_out: whether cases with errors are.

    Raises:
        InputError: with the errors.
    """
    errors = [one for one in inspection.errors if not leave_out or not one.case]
    if errors:
        shown = " ".join(f"{one.case + ': ' if one.case else ''}{one.text}" for one in errors[:_SHOWN])
        more = f" And {len(errors) - _SHOWN} more." if len(errors) > _SHOWN else ""
        remedy = " --leave-out trains without these cases." if any(one.case for one in errors) else ""
        raise InputError(f"The data set '{inspection.dataset.name}' cannot be trained on yet. {shown}{more}{remedy} "
                         f"All findings: {page}.")
    for one in inspection.findings[:_SHOWN]:
        warnings.warn(f"{one.case + ': ' if one.case else ''}{one.text}", FileWarning, stacklevel=3)


def _draw(findings: tuple[Finding, ...], dataset: DataSet, place: Path) -> None:
    """The middle labeled slice of each case with findings, errors first, labels as colors over it."""
    texts: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        texts[finding.case].append(finding)
    shown = [case for case in dataset.cases if case.name in texts]
    shown.sort(key=lambda case: all(one.severity != ERROR for one in texts[case.name]))
    place.unlink(missing_ok=True)
    if not shown:
        return
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    shown = shown[:_MOST_CASES]
    rows = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(3.5 * _COLUMNS, 3.8 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for one in axes:
        one.set_axis_off()
    for one, case in zip(axes, shown, strict=False):
        first = texts[case.name][0]
        _show(one, case, dataset)
        one.set_title(f"{case.name}\n{first.text[:_LONGEST_TEXT]}", fontsize=7, wrap=True,
                      color="firebrick" if first.severity == ERROR else "black")
    temporary = place.with_name(f"findings.{os.getpid()}.png")
    FigureCanvasAgg(figure).print_png(temporary)
    temporary.replace(place)


def _show(axes, case: TrainingCase, dataset: DataSet) -> None:
    try:
        volume, segmentation, _ = load_case(case, dataset)
    except MedDLError:
        axes.text(0.5, 0.5, "cannot be read", ha="center", va="center")
        return
    labeled = np.flatnonzero(segmentation.labels.any(axis=(0, 1)))
    middle = int(labeled[len(labeled) // 2]) if len(labeled) else volume.shape[2] // 2
    image = np.nan_to_num(volume.data[0, :, :, min(middle, volume.shape[2] - 1)].astype(np.float32))
    axes.imshow(image.T, origin="lower", cmap="gray", extent=(0, 1, 0, 1))
    labels = segmentation.labels[:, :, middle] if len(labeled) else np.zeros((1, 1))
    axes.imshow(np.ma.masked_equal(labels.T, 0), origin="lower", cmap="tab10", alpha=0.4, interpolation="nearest",
                extent=(0, 1, 0, 1))
