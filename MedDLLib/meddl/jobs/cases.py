"""What a folder holds: volumes, DICOM series, and several files that are the channels of one case."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from meddl.core.errors import InputError
from meddl.io.dicom import Series, is_dicom, series_in, walk_folders
from meddl.io.files import as_path, suffix_of

_VOLUMES = (".nii.gz", ".nii", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd")
_CHANNEL = re.compile(r"(.+)_(\d{4})")  # nnU-Net's names: case_0000.nii.gz, case_0001.nii.gz, ...


@dataclass(frozen=True)
class Case:
    """One volume, or the channels of one.

    Attributes:
        name: unique in a job; parts with "/" between them are folders.
        files: what `meddl.load` reads, one for each channel, or one that holds all.
        series: UID or place of the DICOM series, where the one file is a folder of DICOM files.
        state: for each file its name, size and time of change; another one when an input has changed.
        problem: why it cannot be used, "" where it can.
        component: which echo, time point or other part of the series, where it holds several.
    """

    name: str
    files: tuple[str, ...]
    series: str | int | None = None
    state: tuple = ()
    problem: str = ""
    component: int | None = None


def find_cases(sources: Iterable[str | Path], channels: tuple[str, ...] = ("volume",),
               leave_out: str | Path | None = None) -> tuple[list[Case], list[tuple[str, str]]]:
    """All cases in files and folders, the latter looked through with their subfolders.

    For a model of several channels, files that are named as nnU-Net names them (case_0000, case_0001, ...) belong
    together; a file without such a number holds all channels itself. For a model of one channel each file is a case;
    a case that has only the file _0000 loses that ending in its name. Hidden files, segmentations (.seg.nrrd) and
    single slices of DICOM series are not used.

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
    for source in sources:
        place = as_path(source, "a file or folder")
        if not place.exists():
            raise InputError(f"'{place}' does not exist. Check the name and the folder.")
        if place.is_dir():
            for folder, names in walk_folders(place, leave_out):
                _scan(folder, names, place, volumes, cases, unused)
        else:
            volumes.append((_stem(place.name), place))
    cases += _group_channels(_distinguish_names(volumes), channels)
    cases = _unique(cases)
    cases.sort(key=lambda case: natural_key(case.name))
    return cases, unused


def case_of(path: str | Path, series: str | int | None = None, component: int | None = None) -> Case:
    """The case of one volume: a file, or a folder with one DICOM series, or with one volume.

    Args:
        series, component: which part of it, as of `meddl.load`.

    Returns:
        The case; its `problem` says where there is no volume, or are several.
    """
    place = Path(path).expanduser()
    if not place.exists():
        return Case(_stem(place.name), (str(place),), problem=f"'{place}' does not exist.")
    if place.is_dir() and series is None:
        found, _ = find_cases([place])
        if len(found) == 1:
            return found[0] if component is None else replace(found[0], component=component)
        problem = f"'{place}' holds {len(found)} volumes. Name the file of one, or its DICOM series."
        return Case(_stem(place.name), (str(place),), problem=problem)
    case = _case(_stem(place.name), [place])
    return replace(case, series=series, component=component)


def natural_key(name: str) -> list:
    """What names are sorted by: numbers by their value, letters without regard to case."""
    return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", name)]


def _scan(folder: Path, names: list[str], top: Path, volumes: list, cases: list, unused: list) -> None:
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
    """A case for each series of the folder, or for each echo, time point or the like that one holds."""
    found = []
    for series in series_in(folder):
        if not series.frames:
            unused += [(str(file.file), f"no image: {file.cause}") for file in series.broken]
        for number, part in enumerate(series.parts):
            if len(part.frames) < 2:
                unused.append((str(folder), f"DICOM series {series.uid}: a single slice"))
            else:
                found.append((series, number if len(series.parts) > 1 else None, part.label))
    name = folder.relative_to(top).as_posix() if folder != top else folder.resolve().name
    return [_series_case(folder, name if len(found) == 1 else f"{name}/{_series_name(series, label)}", series, part)
            for series, part, label in found]


def _series_case(folder: Path, name: str, series: Series, part: int | None) -> Case:
    problem = series.broken[0].cause if series.broken else ""
    return Case(name, (str(folder),), series.uid, _state(series.files), problem, part)


def _series_name(series: Series, label: str) -> str:
    parts = [re.sub(r"[^\w.+-]+", "_", part).strip("_.") for part in (series.number, series.description, label) if part]
    return "-".join(filter(None, parts)) or series.uid


def _stem(name: str) -> str:
    return name[:len(name) - len(suffix_of(name))] if suffix_of(name) else name


def _distinguish_names(volumes: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Files that differ in their suffix alone keep it in their names."""
    suffixes = defaultdict(set)
    for name, path in volumes:
        suffixes[name].add(suffix_of(path))
    return [(name if len(suffixes[name]) == 1 else name + suffix_of(path).replace(".", "-"), path)
            for name, path in volumes]


def _group_channels(volumes: list[tuple[str, Path]], channels: tuple[str, ...]) -> list[Case]:
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
        status = path.stat()
        state.append((path.name, status.st_size, status.st_mtime_ns))
    return tuple(state)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names; one that occurs again gets a number."""
    seen: Counter = Counter()
    result = []
    for name in names:
        seen[name.casefold()] += 1
        count = seen[name.casefold()]
        result.append(name if count == 1 else f"{name}-{count}")
    return result


def _unique(cases: list[Case]) -> list[Case]:
    """The same file given twice is one case; names that occur twice (one of two folders) get a number."""
    single = list({(case.files, case.series, case.component): case for case in reversed(cases)}.values())[::-1]
    return [replace(case, name=name) for case, name in
            zip(single, unique_names(case.name for case in single), strict=True)]
