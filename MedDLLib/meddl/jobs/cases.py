"""What a folder holds to be segmented: volumes, DICOM series, and several files that are the channels of one case."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from meddl.core.errors import InputError
from meddl.io.dicom import is_dicom, series_in
from meddl.io.files import suffix_of

_VOLUMES = (".nii.gz", ".nii", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd")
_CHANNEL = re.compile(r"(.+)_(\d{4})")  # nnU-Net's names: case_0000.nii.gz, case_0001.nii.gz, ...


@dataclass(frozen=True)
class Case:
    """One thing to segment.

    Attributes:
        name: unique in a job; parts with "/" between them are folders.
        files: what `meddl.load` reads, one for each channel, or one that holds all.
        series: UID of the DICOM series, where the one file is a folder of DICOM files.
        state: for each file its name, size and time of change; another one when an input has changed.
        problem: why it cannot be segmented, "" where it can.
    """

    name: str
    files: tuple[str, ...]
    series: str | None = None
    state: tuple = ()
    problem: str = ""


def find_cases(sources: Iterable[str | Path], channels: tuple[str, ...] = ("volume",),
               leave_out: str | Path | None = None) -> tuple[list[Case], list[tuple[str, str]]]:
    """All cases in files and folders, the latter looked through with their subfolders.

    For a model of several channels, files that are named as nnU-Net names them (case_0000, case_0001, ...) belong
    together; a file without such a number holds all channels itself. For a model of one channel each file is a case;
    a case that has only the file _0000 loses that ending in its name. Hidden files, segmentations (.seg.nrrd) and
    DICOM series of a single slice are not used.

    Args:
        sources: folders, volumes, or folders of DICOM files.
        channels: the names of the model's channels.
        leave_out: a folder that is not looked through: the results.

    Returns:
        The cases in the order of their names (numbers by value), and (file, why it is not used).

    Raises:
        InputError: something is not there.
    """
    leave_out = None if leave_out is None else Path(leave_out).expanduser().resolve()
    volumes: list[tuple[str, Path]] = []
    cases: list[Case] = []
    unused: list[tuple[str, str]] = []
    for source in map(Path, sources):
        place = source.expanduser()
        if not place.exists():
            raise InputError(f"'{place}' does not exist. Check the name and the folder.")
        if place.is_dir():
            for folder, names in _folders(place, leave_out):
                _look(folder, names, place, volumes, cases, unused)
        else:
            volumes.append((_stem(place.name), place))
    cases += _grouped(_named_apart(volumes), channels)
    cases = _unique(cases)
    cases.sort(key=lambda case: [int(part) if part.isdecimal() else part.casefold()
                                 for part in re.split(r"(\d+)", case.name)])
    return cases, unused


def _folders(top: Path, leave_out: Path | None):
    """Each folder under `top`, itself first, with the names of its files; links to folders are followed, each folder
    is entered once. Hidden ones and `leave_out` are passed by."""
    seen = {leave_out}
    for name, folders, files in os.walk(top, followlinks=True):
        folder = Path(name)
        if folder.resolve() in seen:
            folders[:] = []
            continue
        seen.add(folder.resolve())
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        yield folder, sorted(one for one in files if not one.startswith("."))


def _look(folder: Path, names: list[str], top: Path, volumes: list, cases: list, unused: list) -> None:
    """Sort one folder's files into volumes, DICOM series and what is not used."""
    dicom = False
    for name in names:
        place, suffix = folder / name, suffix_of(name)
        if suffix == ".seg.nrrd":
            unused.append((str(place), "a segmentation"))
        elif suffix in _VOLUMES:
            volumes.append((_stem(place.relative_to(top).as_posix()), place))
        elif suffix in ("", ".dcm") and not dicom:
            dicom = _is_dicom(place)
    if dicom:
        cases += _series(folder, top, unused)


def _is_dicom(place: Path) -> bool:
    try:
        return is_dicom(place)
    except OSError:
        return False


def _series(folder: Path, top: Path, unused: list) -> list[Case]:
    found = []
    for series in series_in(folder):
        if series.slices < 2:
            why = "a single slice" if series.slices else "no image"
            unused.append((str(folder), f"DICOM series {series.uid}: {why}"))
        else:
            found.append(series)
    name = folder.relative_to(top).as_posix() if folder != top else folder.resolve().name
    cases = []
    for series in found:
        label = "-".join(re.sub(r"[^\w.+-]+", "_", part).strip("_.") for part in (series.number, series.description)
                         if part)
        full = name if len(found) == 1 else f"{name}/{label or series.uid}"
        cases.append(Case(full, (str(folder),), series.uid, _state(map(Path, series.files))))
    return cases


def _stem(name: str) -> str:
    return name[:len(name) - len(suffix_of(name))] if suffix_of(name) else name


def _named_apart(volumes: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Files that differ in their suffix alone keep it in their names."""
    suffixes = defaultdict(set)
    for name, path in volumes:
        suffixes[name].add(suffix_of(path))
    return [(name if len(suffixes[name]) == 1 else name + suffix_of(path).replace(".", "-"), path)
            for name, path in volumes]


def _grouped(volumes: list[tuple[str, Path]], channels: tuple[str, ...]) -> list[Case]:
    """Cases of single files, and of files that are one channel each."""
    groups: dict[str, dict[int, Path]] = defaultdict(dict)
    single = []
    for name, path in volumes:
        match = _CHANNEL.fullmatch(name)
        if match:
            groups[match[1]][int(match[2])] = path
        else:
            single.append((name, path))
    cases = []
    taken = {name for name, _ in single}
    for name, files in groups.items():
        if len(channels) > 1:
            paths = [files[number] for number in sorted(files)]
            cases.append(_case(name, paths, _group_problem(name, files, channels)))
        elif set(files) == {0} and name not in taken:
            single.append((name, files[0]))
        else:
            single += [(f"{name}_{number:04d}", path) for number, path in sorted(files.items())]
    return cases + [_case(name, [path]) for name, path in single]


def _case(name: str, paths: list[Path], problem: str = "") -> Case:
    try:
        state = _state(paths)
    except OSError as error:
        state, problem = (), f"'{error.filename}' cannot be read: {error.strerror}."
    return Case(name, tuple(str(path.resolve()) for path in paths), None, state, problem)


def _group_problem(name: str, files: dict[int, Path], channels: tuple[str, ...]) -> str:
    missing = [f"{name}_{number:04d} ({channel})" for number, channel in enumerate(channels) if number not in files]
    beyond = [f"{name}_{number:04d}" for number in sorted(files) if number >= len(channels)]
    if missing:
        return f"The model takes {len(channels)} channels; the file of {', '.join(missing)} is missing."
    if beyond:
        return f"The model takes {len(channels)} channels; there is no place for {', '.join(beyond)}."
    return ""


def _state(paths: Iterable[Path]) -> tuple:
    state = []
    for path in paths:
        facts = path.stat()
        state.append((path.name, facts.st_size, facts.st_mtime_ns))
    return tuple(state)


def _unique(cases: list[Case]) -> list[Case]:
    """Names that occur twice (the same file given twice, or one of two folders) get a number."""
    seen: Counter = Counter()
    files, result = set(), []
    for case in cases:
        if (case.files, case.series) in files:
            continue
        files.add((case.files, case.series))
        seen[case.name.casefold()] += 1
        count = seen[case.name.casefold()]
        result.append(case if count == 1 else Case(f"{case.name}-{count}", *list(vars(case).values())[1:]))
    return result
