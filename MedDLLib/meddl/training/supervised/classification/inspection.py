"""What a data set of classes holds, read once before training: figures for the plan, and findings for the user."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from meddl.core.errors import InputError, MedDLError
from meddl.core.progress import ProgressCallback, report
from meddl.models.catalog.volume_check import look_at
from meddl.training.supervised.classification.dataset import ClassifiedDataSet
from meddl.training.supervised.data.inspection import ERROR, WARNING, Finding
from meddl.training.supervised.data.volumes import CaseFigures, figures_of, load_volume, same_images

_FEW_PATIENTS = 10    # of a class: its figures have wide intervals
_UNEQUAL = 10         # cases of the largest class for one of the smallest


@dataclass(frozen=True, eq=False)
class ClassInspection:
    """A data set of classes that was read through.

    Attributes:
        dataset: as it was found, faulty cases too.
        cases: those that can be used.
        findings: all.
    """

    dataset: ClassifiedDataSet
    cases: tuple[CaseFigures, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == ERROR)


def inspect_classes(dataset: ClassifiedDataSet, on_progress: ProgressCallback | None = None) -> ClassInspection:
    """Read all volumes of a data set and say what speaks against training on them.

    Raises:
        Cancelled: from `on_progress`.
    """
    findings: list[Finding] = []
    figures: list[CaseFigures] = []
    for n, case in enumerate(dataset.cases):
        report(on_progress, n / len(dataset.cases), f"Checking {case.name}")
        try:
            volume = load_volume(case.image)
        except MedDLError as error:
            findings.append(Finding(ERROR, case.name, str(error)))
            continue
        figures.append(figures_of(case, volume))
        if look_at(volume.data[0].transpose(2, 1, 0)).labels:
            findings.append(Finding(WARNING, case.name, "It looks like a label map, not like an image."))
    findings += _twice(figures)
    faulty = {finding.case for finding in findings if finding.severity == ERROR}
    kept = tuple(one for one in figures if one.case.name not in faulty)
    findings += [*_class_findings(dataset, kept), *_patient_findings(kept)]
    return ClassInspection(dataset, kept, tuple(sorted(findings, key=lambda one: (one.severity, one.case))))


def _twice(figures: list[CaseFigures]) -> list[Finding]:
    """The same image twice would be on both sides of the split, or in two classes."""
    return [Finding(ERROR, case.name, f"The same image as {same[0].name}"
                    + ("" if case.label == same[0].label else f", of the class {same[0].label}") + ": leave one out.")
            for same in same_images(figures) for case in same[1:]]


def _class_findings(dataset: ClassifiedDataSet, usable: tuple[CaseFigures, ...]) -> list[Finding]:
    if len(dataset.classes) < 2:
        return [Finding(ERROR, "", f"There is one class, {''.join(dataset.classes) or 'without a name'}; two at least "
                        "are needed.")]
    findings = []
    cases = Counter(one.case.label for one in usable)
    needed = "at least two patients are needed, one of them to validate with."
    for name in dataset.classes:
        patients = {one.case.patient for one in usable if one.case.label == name}
        if not cases[name]:
            findings.append(Finding(ERROR, "", f"The class {name} has no case that can be used; {needed}"))
        elif cases[name] == 1:
            findings.append(Finding(ERROR, "", f"The class {name} has one case alone; {needed}"))
        elif len(patients) == 1:
            findings.append(Finding(ERROR, "", f"All {cases[name]} cases of the class {name} are of one patient "
                                    f"({patients.pop()}); {needed}"))
        elif len(patients) < _FEW_PATIENTS:
            findings.append(Finding(WARNING, "", f"The class {name} has only {len(patients)} patients: its figures "
                                    "will have wide intervals."))
    most, least = max(cases.values(), default=0), min((cases[name] for name in dataset.classes), default=0)
    if least and most >= _UNEQUAL * least:
        findings.append(Finding(WARNING, "", f"The classes are unequal: {most} cases in the largest, {least} in the "
                                "smallest. Each is drawn equally often in training."))
    return findings


def _patient_findings(usable: tuple[CaseFigures, ...]) -> list[Finding]:
    """Patients with cases in several classes: all of them are on one side of the split."""
    classes: dict[str, set[str]] = defaultdict(set)
    for one in usable:
        classes[one.case.patient].add(one.case.label)
    several = {patient: sorted(found) for patient, found in classes.items() if len(found) > 1}
    if not several:
        return []
    patient, found = next(iter(several.items()))
    return [Finding(WARNING, "", f"{len(several)} of {len(classes)} patients have cases in several classes, such as "
                    f"{patient} in {' and '.join(found)}: all cases of a patient are either learned from or validated "
                    "with.")]


def split_classes(inspection: ClassInspection, fold: int, folds: int,
                  seed: int) -> tuple[tuple[CaseFigures, ...], tuple[CaseFigures, ...]]:
    """The cases to train on and those to validate with; of one patient all or none, of each class some in every fold.

    Raises:
        InputError: no such fold, or one side would lack a class: too many patients are in several.
    """
    classes: dict[str, set[str]] = defaultdict(set)
    for one in inspection.cases:
        classes[one.case.patient].add(one.case.label)
    fewest = min(sum(name in found for found in classes.values()) for name in inspection.dataset.classes)
    folds = min(folds, fewest)
    if not 0 <= fold < folds:
        raise InputError(f"The smallest class has {fewest} patients, so that there are the folds 0 to {folds - 1}; got "
                         f"{fold}.")
    patients = sorted(classes)
    shuffled = [patients[n] for n in np.random.default_rng(seed).permutation(len(patients))]
    counts = {name: np.zeros(folds, dtype=int) for name in inspection.dataset.classes}  # of patients
    held_out = set()
    for patient in sorted(shuffled, key=lambda one: -len(classes[one])):
        taken = int(np.sum([counts[name] for name in classes[patient]], axis=0).argmin())
        for name in classes[patient]:
            counts[name][taken] += 1
        if taken == fold:
            held_out.add(patient)
    parts = [tuple(one for one in inspection.cases if (one.case.patient in held_out) == held) for held in (False, True)]
    for part, purpose in zip(parts, ("learn from", "validate with"), strict=True):
        if missing := set(inspection.dataset.classes) - {one.case.label for one in part}:
            raise InputError(f"The split by patient leaves no case of {', '.join(sorted(missing))} to {purpose}. "
                             "Choose another fold or seed, or add patients.")
    return parts[0], parts[1]
