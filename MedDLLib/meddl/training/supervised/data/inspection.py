"""What a data set holds, read once before training: figures for the plan, and findings for the user."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from meddl.core.errors import InputError, MedDLError
from meddl.core.progress import ProgressCallback, report
from meddl.io.files import suffix_of
from meddl.models.volume_metadata import modality_of
from meddl.results import Segmentation
from meddl.spatial.volume import Volume
from meddl.training.supervised.data.cases import Structures, check_grids, load_case, painted_axis, slice_gaps
from meddl.training.supervised.data.dataset import DataSet, TrainingCase

ERROR, WARNING = "error", "warning"
TINY_VOXELS = 10
_FORGOTTEN_SLICES = 2  # a gap of so many between labeled ones was probably forgotten
_SAMPLED = 2000  # voxels of structures whose intensities are kept, a case


@dataclass(frozen=True)
class Finding:
    """What speaks against a case, or against the data set where `case` is "": an error keeps it from training."""

    severity: str
    case: str
    text: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.case + ': ' if self.case else ''}{self.text}"


@dataclass(frozen=True, eq=False)
class CaseFingerprint:
    """Figures of a case, axes in RAS order.

    Attributes:
        shape: voxels.
        spacing_mm: of the voxels.
        voxels: number of voxels by label value.
        names: of segments by label value, of a Slicer segmentation; else empty.
        intensities: (C, N) float32 sampled where there are labels.
        nonzero_fraction: of the volume, what the box around all that is not zero takes.
        ct: for each channel whether its histogram is that of Hounsfield units.
        digest: of the image's voxels.
    """

    case: TrainingCase
    shape: tuple[int, int, int]
    spacing_mm: np.ndarray
    voxels: dict[int, int]
    names: dict[int, str]
    intensities: np.ndarray
    nonzero_fraction: float
    ct: tuple[bool, ...]
    digest: str


@dataclass(frozen=True, eq=False)
class Inspection:
    """A data set that was read through.

    Attributes:
        found: the data set as it was found, faulty cases too.
        dataset: with those cases alone that can be used.
        structures: what is learned.
        fingerprints: of each case.
        findings: all.
    """

    found: DataSet
    dataset: DataSet
    structures: Structures
    fingerprints: tuple[CaseFingerprint, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == ERROR)


def inspect_dataset(dataset: DataSet, ignore: int | None = None, painted_slices: bool = False,
                    on_progress: ProgressCallback | None = None) -> Inspection:
    """Read all cases of a data set and say what speaks against training on them.

    Args:
        ignore: label value that does not count, instead of the data set's own.
        painted_slices: slices without labels do not count, where slices were painted one by one.

    Raises:
        Cancelled: from `on_progress`.
    """
    dataset = dataset if ignore is None else replace(dataset, ignore=ignore)
    findings = [Finding(WARNING, "", text) for text in dataset.unused]
    fingerprints: list[CaseFingerprint] = []
    for n, case in enumerate(dataset.cases):
        report(on_progress, n / len(dataset.cases), f"Checking {case.name}")
        try:
            volume, segmentation, notes = load_case(case, dataset)
            findings += [Finding(WARNING, case.name, note) for note in notes]
            check_grids(volume, segmentation)
            _check_finite(volume)
        except MedDLError as error:
            findings.append(Finding(ERROR, case.name, str(error)))
            continue
        fingerprints.append(_fingerprint(case, volume, segmentation))
        findings += _slice_findings(case.name, segmentation.labels, painted_slices)
    structures = structures_of(dataset, fingerprints)
    findings += [*_label_findings(fingerprints, structures), *_twice(fingerprints)]
    faulty = {finding.case for finding in findings if finding.severity == ERROR}
    kept = tuple(one for one in fingerprints if one.case.name not in faulty)
    findings += _too_few(kept)
    return Inspection(dataset, replace(dataset, cases=tuple(one.case for one in kept)), structures, kept,
                      tuple(sorted(findings, key=lambda finding: (finding.severity, finding.case))))


def structures_of(dataset: DataSet, fingerprints: Iterable[CaseFingerprint]) -> Structures:
    """The structures that a data set names, else those of its label maps: by their segments' names, or by value."""
    if dataset.structures:
        names, members = tuple(dataset.structures), tuple(dataset.structures.values())
        values = dataset.order or tuple(one[0] for one in members)
        return Structures(names, members, values, dataset.ignore)
    by_name: dict[str, int] = {}
    shown: dict[str, str] = {}
    for one in fingerprints:
        for value in one.voxels:
            name = one.names.get(value, f"Label {value}")
            if value == dataset.ignore or name.casefold() in by_name:
                continue
            taken = set(by_name.values())
            free = value if value not in taken else next(v for v in range(1, 65536) if v not in taken)
            by_name[name.casefold()], shown[name.casefold()] = free, name
    rows = sorted(by_name.items(), key=lambda row: row[1])
    values = tuple(value for _, value in rows)
    return Structures(tuple(shown[key] for key, _ in rows), tuple((value,) for value in values), values, dataset.ignore)


def _fingerprint(case: TrainingCase, volume: Volume, segmentation: Segmentation) -> CaseFingerprint:
    labels = segmentation.labels
    counts = np.bincount(labels.ravel(order="K"))
    chosen = np.flatnonzero(labels.ravel())
    chosen = chosen[::max(1, len(chosen) // _SAMPLED)]
    data = np.ascontiguousarray(volume.data, dtype=np.float32)
    nonzero = (data != 0).any(axis=0)
    box = [np.flatnonzero(nonzero.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    inner = np.prod([coordinates[-1] - coordinates[0] + 1 if len(coordinates) else 0 for coordinates in box])
    named = suffix_of(case.labels) == ".seg.nrrd"
    return CaseFingerprint(case, volume.shape, volume.spacing_mm,
                     {value: int(count) for value, count in enumerate(counts) if value and count},
                     {segment.value: segment.name for segment in segmentation.segments} if named else {},
                     data.reshape(len(data), -1)[:, chosen], float(inner / labels.size),
                     tuple(modality_of(channel) == "CT" for channel in data),
                     hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest())


def _check_finite(volume: Volume) -> None:
    bad = 0 if volume.data.dtype.kind != "f" else int(np.count_nonzero(~np.isfinite(volume.data)))
    if bad:
        raise InputError(f"{bad} voxels of the image are NaN or infinite. Replace them, or leave the case out.")
    if volume.data.min() == volume.data.max():
        raise InputError(f"The image is constant: every voxel is {volume.data.flat[0]:g}.")


def _slice_findings(case: str, labels: np.ndarray, painted_slices: bool) -> list[Finding]:
    axis = painted_axis(labels)
    if axis is not None:
        _, labeled, extent = slice_gaps(labels, axis)
        along = ["sagittal", "coronal", "axial"][axis]
        return [Finding(WARNING, case, f"Only {labeled} of {extent} {along} slices are labeled; "
                        + ("the others do not count." if painted_slices else
                           "the others are taken as background. Say that only painted slices count "
                           "(--painted-slices)."))]
    forgotten = [(axis, first, stop) for axis in range(3) for first, stop in slice_gaps(labels, axis)[0]
                 if stop - first <= _FORGOTTEN_SLICES]
    return [Finding(WARNING, case, f"Slice {first + 1}{'' if stop - first == 1 else f' to {stop}'} along axis "
                    f"{'RAS'[axis]} has no labels, its neighbors have.") for axis, first, stop in forgotten]


def _label_findings(fingerprints: list[CaseFingerprint], structures: Structures) -> list[Finding]:
    findings = []
    known = {*structures.label_values, *([] if structures.ignore is None else [structures.ignore])}
    names = {name.casefold() for name in structures.names}
    cases_of: Counter = Counter()
    for one in fingerprints:
        present = {value: count for value, count in one.voxels.items() if value != structures.ignore}
        unknown = sorted(value for value in present
                         if (one.names[value].casefold() not in names if one.names.get(value) else value not in known))
        if unknown:
            findings.append(Finding(ERROR, one.case.name, f"The label values {', '.join(map(str, unknown))} have no "
                                    f"name; known are {', '.join(map(str, structures.label_values))}."))
        if not present:
            findings.append(Finding(WARNING, one.case.name, "The label map is empty: only background is learned from "
                                    "it. Leave it out if it was not painted."))
        for value, count in present.items():
            cases_of[one.names.get(value, str(value)).casefold()] += 1
            if count < TINY_VOXELS:
                findings.append(Finding(WARNING, one.case.name, f"The segment {one.names.get(value, value)} has only "
                                        f"{count} voxels: a slip of the brush?"))
    if fingerprints and not any(one.voxels for one in fingerprints):
        findings.append(Finding(ERROR, "", "All label maps are empty: there is nothing to learn."))
    for name, members in zip(structures.names, structures.members, strict=True):
        if fingerprints and not any(cases_of[key] for key in (name.casefold(), *map(str, members))):
            findings.append(Finding(WARNING, "", f"No case has the structure {name}."))
    return findings


def _twice(fingerprints: list[CaseFingerprint]) -> list[Finding]:
    """The same image twice would be trained on and validated with."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for one in fingerprints:
        by_digest[one.digest].append(one.case.name)
    return [Finding(ERROR, name, f"The same image as {names[0]}: it would be on both sides of the split. Leave one "
                    "out.") for names in by_digest.values() for name in names[1:]]


def _too_few(fingerprints: tuple[CaseFingerprint, ...]) -> list[Finding]:
    patients = {one.case.patient for one in fingerprints}
    needed = "at least two are needed, one of them to validate with."
    if len(fingerprints) < 2:
        count = "1 case" if fingerprints else "No cases"
        return [Finding(ERROR, "", f"{count} can be used; {needed}")]
    if len(patients) < 2:
        return [Finding(ERROR, "", f"All {len(fingerprints)} cases are of one patient ({patients.pop()}); {needed}")]
    return []


def split_of_round(inspection: Inspection, held_out: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As `split_by_patient`, with the patients of some images held out: those of earlier rounds.

    Args:
        held_out: the images' digests, or how these begin.

    Raises:
        InputError: none of the images is there, or there is nothing else.
    """
    patients = {one.case.patient for one in inspection.fingerprints if one.digest.startswith(tuple(held_out))}
    names = [[one.case.name for one in inspection.fingerprints if (one.case.patient in patients) == held]
             for held in (False, True)]
    if not names[0] or not names[1]:
        raise InputError("A further round is compared with the one before on the cases that were held out there. "
                         + ("None of them is in the data set: add further cases to the same data set."
                            if names[0] else "The data set has no other cases."))
    return tuple(names[0]), tuple(names[1])


def split_by_patient(inspection: Inspection, fold: int, folds: int,
                     seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the cases to train on and of those to validate with; of one patient all or none.

    Raises:
        InputError: no such fold.
    """
    held_out = held_out_patients((one.case.patient for one in inspection.fingerprints), fold, folds, seed)
    names = [[one.case.name for one in inspection.fingerprints if (one.case.patient in held_out) == held]
             for held in (False, True)]
    return tuple(names[0]), tuple(names[1])


def held_out_patients(named: Iterable[str], fold: int, folds: int, seed: int) -> set[str]:
    """The patients of a fold; `named` may name each several times. Raises InputError: no such fold."""
    patients = sorted(set(named))
    folds = min(folds, len(patients))
    if not 0 <= fold < folds:
        raise InputError(f"The data set of {len(patients)} patients has the folds 0 to {folds - 1}; got {fold}.")
    shuffled = np.random.default_rng(seed).permutation(len(patients))
    return {patients[n] for n in shuffled[fold::folds]}
