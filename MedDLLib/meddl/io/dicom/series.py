"""The DICOM series of a folder and its subfolders."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from meddl.core.errors import FileFormatError, InputError
from meddl.io.dicom.headers import BrokenFile, Frame, read_header
from meddl.io.dicom.subseries import Subseries, subseries_of
from meddl.io.files import suffix_of

_LISTED = 20  # entries of a list in a message


@dataclass(frozen=True)
class Series:
    """A DICOM series: its UID, number and description as the headers have them ("" for none), its frames, the files
    that are copies of others, and those that cannot be used."""

    uid: str
    number: str
    description: str
    frames: tuple[Frame, ...]
    copies: tuple[Path, ...] = ()
    broken: tuple[BrokenFile, ...] = ()

    @functools.cached_property
    def parts(self) -> list[Subseries]:
        """The stacks of slices that it holds."""
        return subseries_of(self.frames) if self.frames else []

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, each once."""
        return tuple(dict.fromkeys(frame.file for frame in self.frames))

    def describe(self) -> str:
        """For a list to choose from."""
        if not self.frames:
            return f"{self.uid or 'no UID'} (unreadable)"
        counts = f"{len(self.frames)} slice{'s' * (len(self.frames) > 1)}" if len(self.parts) == 1 else \
            f"{len(self.parts)} parts of {_range([len(part.frames) for part in self.parts])} slices"
        counts += f", {len(self.broken)} broken file{'s' * (len(self.broken) > 1)}" if self.broken else ""
        return f"{self.uid or 'no UID'} ({', '.join(filter(None, (self.description, counts)))})"


def series_in(folder: str | Path) -> list[Series]:
    """The DICOM series whose files lie in a folder itself, sorted by UID; unreadable ones without frames."""
    return _series_of(_files_in(Path(folder)))


def find_series(place: Path) -> list[Series]:
    """The DICOM series below a folder; of a file, the one that it belongs to with its other files in the folder.

    Raises:
        FileFormatError: there is none, or the file is broken.
    """
    if place.is_dir():
        found = _series_of(_files_below(place))
        if not any(series.frames for series in found):
            broken = [one for series in found for one in series.broken]
            raise FileFormatError(f"The folder '{place}' holds no DICOM series. " + (
                _describe_broken(broken) if broken else _describe_others(place)))
        return found
    header = read_header(place)
    if isinstance(header, BrokenFile):
        raise FileFormatError(header.cause)
    if not header:
        raise FileFormatError(f"'{place.name}' holds no DICOM image.")
    if len(header) > 1:  # a multi-frame file is complete
        return _series_of([place])
    own = (header[0].study, header[0].series)
    return [series for series in _series_of([place, *_files_in(place.parent)])
            if series.frames and (series.frames[0].study, series.uid) == own]


def choose_series(found: Sequence[Series], place: Path, series: str | int | None) -> Series:
    """The series of this UID or place in the list, or the only one.

    Raises:
        InputError: several and no choice, or an unknown one; the message lists them.
        FileFormatError: a file of it is broken.
    """
    chosen = found[series] if isinstance(series, int) and 0 <= series < len(found) else None
    named = [one for one in found if one.uid == series]
    readable = [one for one in found if one.frames]
    if series is None and len(readable) == 1:
        chosen = readable[0]
    elif len(named) == 1:
        chosen = named[0]
    if chosen is None:
        listing = _join_entries([f"{n}: {one.describe()}" for n, one in enumerate(found)])
        asked = "one must be chosen" if series is None else f"{series!r} is none of them"
        broken = list(dict.fromkeys(one for each in found for one in each.broken))
        raise InputError(f"The folder '{place}' holds {len(found)} DICOM series, {asked}. "
                         f"Pass series= with a number or UID of: {listing}."
                         + (f" {_describe_broken(broken)}" if broken else ""))
    if chosen.broken:
        raise FileFormatError(f"{_describe_broken(chosen.broken)} Remove it, or complete the folder.")
    return chosen


def _describe_broken(broken: Sequence[BrokenFile]) -> str:
    more = len(broken) - 1
    return broken[0].cause + (f" {more} more file{'s are' if more > 1 else ' is'} broken." if more else "")


def choose_part(series: Series, name: str, component: int | str | None) -> list[Subseries]:
    """The subseries of this number, all, or the only one.

    Raises:
        InputError: several and no choice, an unknown one, or all where they lie on different grids.
    """
    parts, listing = series.parts, list_parts(series)
    if component == "all":
        if len({part.shape for part in parts}) > 1:
            raise InputError(f"'{name}' holds {len(parts)} parts that do not lie on one grid: {listing}. "
                             "Choose one with component=.")
        return parts
    if component is None:
        raise InputError(f"'{name}' holds {len(parts)} parts in one DICOM series; one volume is needed. Choose one "
                         f"with component=0 to component={len(parts) - 1}: {listing}.")
    if isinstance(component, bool) or not isinstance(component, int) or not 0 <= component < len(parts):
        raise InputError(f"'{name}' holds {len(parts)} parts: {listing}. component is a number from 0 to "
                         f"{len(parts) - 1} or 'all', not {component!r}.")
    return [parts[component]]


def list_parts(series: Series) -> str:
    """The subseries with their numbers and counts of slices, for a message."""
    return _join_entries([f"{n}: {part.label} ({len(part.frames)} slices)" for n, part in enumerate(series.parts)])


def walk_folders(top: Path, leave_out: Path | None = None) -> Iterator[tuple[Path, list[str]]]:
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


def _files_in(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if not one.name.startswith("."))


def _describe_others(place: Path) -> str:
    """What to give instead of a folder without DICOM files."""
    volumes = [path for path in _files_below(place) if suffix_of(path) not in ("", ".img", ".dcm")]
    if not volumes:
        return "Give a folder with DICOM files, or a file."
    return (f"It holds {len(volumes)} volume{'s'[:len(volumes) > 1]} in files, such as '{min(volumes)}'. Give one of "
            "them; or, to run on all of them, a folder for the results.")


def _files_below(top: Path) -> Iterator[Path]:
    for folder, names in walk_folders(top):
        yield from (folder / name for name in names)


def _series_of(files: Iterable[Path]) -> list[Series]:
    """The series of these files, sorted by UID; a broken file without a UID belongs to all of its folder."""
    frames: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    broken: list[BrokenFile] = []
    for file in dict.fromkeys(files):
        header = read_header(file) if file.is_file() else ()
        if isinstance(header, BrokenFile):
            broken.append(header)
        elif header:
            frames[header[0].study, header[0].series].extend(header)
    found = []
    for (_, uid), members in frames.items():
        folders = {frame.file.parent for frame in members}
        spoiled = tuple(one for one in broken
                        if (one.series == uid if one.series else one.file.parent in folders))
        own, copies = _without_copies(members)
        found.append(Series(uid, own[0].series_number, own[0].description, tuple(own), tuple(copies), spoiled))
    taken = {one.file for series in found for one in series.broken}
    for uid in {one.series for one in broken if one.file not in taken}:
        found.append(Series(uid, "", "", (), (), tuple(one for one in broken
                                                       if one.series == uid and one.file not in taken)))
    return sorted(found, key=lambda series: series.uid)


def _without_copies(frames: Sequence[Frame]) -> tuple[list[Frame], list[Path]]:
    """Frames without those of files that have the same content as another one, and these files."""
    by_instance: dict[tuple, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_instance[frame.instance, frame.index, frame.position].append(frame)
    copies: dict[Path, None] = {}
    for members in by_instance.values():
        seen: set[str] = set()
        for frame in members if len(members) > 1 else ():
            content = _digest(frame.file)
            if content in seen:
                copies[frame.file] = None
            seen.add(content)
    return [frame for frame in frames if frame.file not in copies], list(copies)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _join_entries(entries: list[str]) -> str:
    more = f"; and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
    return "; ".join(entries[:_LISTED]) + more
