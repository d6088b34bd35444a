"""What a data set of markups holds, read once before training: places for the task, and findings for the user."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from meddl.core.errors import InputError, MedDLError
from meddl.core.progress import ProgressCallback, report
from meddl.spatial.points import Boxes, Points
from meddl.spatial.volume import Volume
from meddl.training.supervised.data.inspection import ERROR, WARNING, Finding, held_out_patients
from meddl.training.supervised.data.volumes import CaseFigures, figures_of, load_volume, same_images
from meddl.training.supervised.landmarks.dataset import MarkedCase, MarkedDataSet, load_marks

_FEW_PATIENTS = 10
_NEEDED = "at least two patients are needed, one of them to validate with."


@dataclass(frozen=True, eq=False)
class MarkedFigures(CaseFigures):
    """Figures of a case, and its marks.

    Attributes:
        points, boxes: position in RAS mm by name; center and size, (2, 3) mm.
    """

    points: dict[str, np.ndarray]
    boxes: dict[str, np.ndarray]

    @property
    def names(self) -> set[str]:
        return {*self.points, *self.boxes}


@dataclass(frozen=True, eq=False)
class MarkedInspection:
    """A data set of markups that was read through.

    Attributes:
        dataset: as it was found, faulty cases too.
        cases: those that can be used.
        points, boxes: names of all that are learned, sorted.
        findings: all.
    """

    dataset: MarkedDataSet
    cases: tuple[MarkedFigures, ...]
    points: tuple[str, ...]
    boxes: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == ERROR)


def inspect_marked(dataset: MarkedDataSet, on_progress: ProgressCallback | None = None) -> MarkedInspection:
    """Read all volumes and markups of a data set and say what speaks against training on them.

    Raises:
        Cancelled: from `on_progress`.
    """
    findings = [Finding(WARNING, "", f"'{name}' belongs to no volume: the files of a volume's markups begin with its "
                        "name.") for name in dataset.unused]
    figures: list[MarkedFigures] = []
    for n, case in enumerate(dataset.cases):
        report(on_progress, n / len(dataset.cases), f"Checking {case.name}")
        if not case.markups:
            findings.append(Finding(WARNING, case.name, "It has no markups, and is not learned from."))
            continue
        try:
            figures.append(_read(case))
        except MedDLError as error:
            findings.append(Finding(ERROR, case.name, str(error)))
    findings += [Finding(ERROR, case.name, f"The same image as {same[0].name}: leave one out.")
                 for same in same_images(figures) for case in same[1:]]
    faulty = {finding.case for finding in findings if finding.severity == ERROR}
    kept = tuple(one for one in figures if one.case.name not in faulty)
    findings += _set_findings(kept)
    points, boxes = (tuple(sorted({name for one in kept for name in getattr(one, kind)}))
                     for kind in ("points", "boxes"))
    return MarkedInspection(dataset, kept, points, boxes,
                            tuple(sorted(findings, key=lambda one: (one.severity, one.case))))


def _read(case: MarkedCase) -> MarkedFigures:
    """Raises MedDLError where the case cannot be learned from."""
    volume = load_volume(case.image)
    points, boxes = load_marks(case)
    names = (*points.labels, *boxes.labels)
    if not names:
        raise InputError("Its markups hold no placed point and no ROI.")
    if not all(names):
        raise InputError(f"{names.count('')} of its points have no name. Give each the name that it has in the other "
                         "cases.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"These names occur more than once: {', '.join(twice[:5])}. Each landmark and each box has "
                         "one place in a volume.")
    _check_inside(volume, points, boxes)
    figures = figures_of(case, volume)
    return MarkedFigures(**vars(figures), points=dict(zip(points.labels, points.positions, strict=True)),
                         boxes={name: np.stack(pair) for name, *pair in
                                zip(boxes.labels, boxes.centers, boxes.sizes, strict=True)})


def _check_inside(volume: Volume, points: Points, boxes: Boxes) -> None:
    """Raises InputError where a place lies outside of the volume's field of view."""
    places = np.concatenate([points.positions, boxes.centers])
    indices = volume.grid.indices(places)
    outside: np.ndarray = np.any((indices < -0.5) | (indices > np.array(volume.shape) - 0.5), axis=1)
    if outside.any():
        names = [name for name, out in zip((*points.labels, *boxes.labels), outside, strict=True) if out]
        raise InputError(f"Outside of the volume: {', '.join(names[:5])}. Do the markups belong to this volume, and "
                         "are volume and markups in the same space?")


def _set_findings(cases: tuple[MarkedFigures, ...]) -> list[Finding]:
    """What speaks against the data set as a whole."""
    patients = {one.case.patient for one in cases}
    if len(patients) < 2:
        count = f"{len(cases)} case{'' if len(cases) == 1 else 's'} of {len(patients)} patient"
        return [Finding(ERROR, "", f"{count}{'' if len(patients) == 1 else 's'} can be used; {_NEEDED}")]
    findings = []
    having: dict[str, list[MarkedFigures]] = defaultdict(list)
    for one in cases:
        for name in one.names:
            having[name].append(one)
    for name, owners in sorted(having.items()):
        if len({one.case.patient for one in owners}) < 2:
            findings.append(Finding(ERROR, "", f"{name} is in {owners[0].case.name} alone: {_NEEDED} The same landmark "
                                    "has the same name in all cases."))
        elif missing := len(cases) - len(owners):
            findings.append(Finding(WARNING, "", f"{name} is missing in {missing} of {len(cases)} cases: nothing is "
                                    "learned of it there."))
        kinds = {name in one.boxes for one in owners}
        if len(kinds) > 1:
            findings.append(Finding(ERROR, "", f"{name} is a point in some cases and an ROI in others."))
    if len(patients) < _FEW_PATIENTS:
        findings.append(Finding(WARNING, "", f"There are only {len(patients)} patients: the figures will be "
                                "uncertain."))
    return findings


def split_marked(inspection: MarkedInspection, fold: int, folds: int,
                 seed: int) -> tuple[tuple[MarkedFigures, ...], tuple[MarkedFigures, ...]]:
    """The cases to train on and those to validate with; of one patient all or none.

    Raises:
        InputError: no such fold, or nothing to learn a name from.
    """
    held_out = held_out_patients((one.case.patient for one in inspection.cases), fold, folds, seed)
    training, validation = (tuple(one for one in inspection.cases if (one.case.patient in held_out) == held)
                            for held in (False, True))
    if missing := sorted({*inspection.points, *inspection.boxes} - _names(training)):
        raise InputError(f"The split by patient leaves no case of {', '.join(missing)} to learn from. Choose another "
                         "fold or seed, or add patients.")
    return training, validation


def _names(cases: Iterable[MarkedFigures]) -> set[str]:
    return {name for one in cases for name in one.names}
