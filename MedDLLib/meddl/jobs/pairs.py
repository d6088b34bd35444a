"""Which volume is registered to which: all to one, as a table says, or each follow-up to its subject's baseline."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from meddl.core.errors import InputError
from meddl.jobs.cases import Case, case_of, natural_key, unique_names

# Folders of BIDS that hold a kind of data, not a session (doi:10.1038/sdata.2016.44).
_DATA_TYPES = {"anat", "beh", "dwi", "eeg", "fmap", "func", "ieeg", "meg", "micr", "mrs", "nirs", "perf", "pet"}
_SESSION = re.compile(r"ses-[A-Za-z0-9]+")


@dataclass(frozen=True)
class Pair:
    """A moving volume and the fixed one that it is registered to.

    Attributes:
        name: unique in a job.
    """

    name: str
    fixed: Case
    moving: Case

    @property
    def files(self) -> tuple[str, ...]:
        """Those of the fixed and of the moving volume."""
        return self.fixed.files + self.moving.files

    @property
    def state(self) -> tuple:
        """Another one when an input has changed."""
        return self.fixed.state, self.moving.state

    @property
    def problem(self) -> str:
        """Why the pair cannot be registered, "" where it can."""
        return self.fixed.problem or self.moving.problem


def pairs_to_one(fixed: Case, cases: Iterable[Case]) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Every volume with the same fixed one.

    Returns:
        The pairs, named as the moving volumes, and (file, why it is not used): the fixed volume itself.
    """
    pairs, unused = [], []
    for case in cases:
        if _place(case) == _place(fixed):
            unused.append((case.files[0], "the fixed volume"))
        else:
            pairs.append(Pair(case.name, fixed, case))
    return pairs, unused


def pairs_of_table(path: str | Path) -> list[Pair]:
    """The pairs of a table: a line for each, with the columns `fixed` and `moving`, and where there is one `name`.

    Args:
        path: a text file (UTF-8) whose columns are separated by commas, semicolons or tabs; names of files in it are
            relative to its folder.

    Returns:
        The pairs in the order of the lines, named by their `name`, else as the moving volume.

    Raises:
        InputError: it is not there, or is no such table.
    """
    place = Path(path).expanduser()
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The table of pairs '{place}' cannot be read: {error}.") from error
    separator = max(",;\t", key=lines[0].count) if lines else ","
    rows = [{(key or "").strip().lower(): (value or "").strip() for key, value in row.items() if isinstance(key, str)}
            for row in csv.DictReader(lines, delimiter=separator)]
    if not rows or not {"fixed", "moving"} <= set(rows[0]):
        raise InputError(f"'{place}' is no table of pairs: its first line names the columns fixed and moving, each "
                         "further line has one file of each.")
    found = [(row.get("name", ""), _case_in(place.parent, row["fixed"]), _case_in(place.parent, row["moving"]))
             for row in rows if any(row.values())]
    names = unique_names(name or moving.name for name, _, moving in found)
    if wrong := next((name for name in names if Path(name).is_absolute() or ".." in Path(name).parts), None):
        raise InputError(f"'{place}': the name '{wrong}' leads out of the folder of the results. Choose another one.")
    return [Pair(name, fixed, moving) for name, (_, fixed, moving) in zip(names, found, strict=True)]


def pairs_of_subjects(cases: Sequence[Case]) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Each follow-up with its subject's baseline, by the names of folders: see `follow_ups`.

    Returns:
        The pairs, named as the follow-ups, and (file, why it is not used).
    """
    found, alone = follow_ups([case.name for case in cases])
    pairs = [Pair(cases[later].name, cases[first], cases[later]) for first, later in found]
    return pairs, [(cases[number].files[0], why) for number, why in alone]


def follow_ups(names: Sequence[str]) -> tuple[list[tuple[int, int]], list[tuple[int, str]]]:
    """Which volumes are follow-ups of which baseline, by their names: subject/session/volume, or subject/volume.

    That is the order of BIDS, whose session may also stand in the volume's name alone (ses-...). In each subject, the
    volume of the first session is the baseline of the volumes of the same name, but for the session's name in it, in
    later ones; where each session has a single volume, its name does not matter. Sessions follow one another by their
    names, numbers by value: 2019-03-01, 2020-01-15, or ses-1, ses-2, ses-10.

    Returns:
        (index of the baseline, index of the follow-up) in the order of the names, and (index, why) of the names that
        have no part in a pair.
    """
    subjects: dict[str, dict[str, list[tuple[str, int]]]] = defaultdict(lambda: defaultdict(list))
    alone: list[tuple[int, str]] = []
    for number, name in enumerate(names):
        parts = name.split("/")
        if len(parts) < 2:
            alone.append((number, "it lies in no folder of a subject"))
            continue
        session, kind = _session_of(parts[1:])
        subjects[parts[0]][session].append((kind, number))
    pairs = []
    for subject, sessions in subjects.items():
        single = all(len(volumes) == 1 for volumes in sessions.values())
        kinds: dict[str, list[int]] = defaultdict(list)
        for session in sorted(sessions, key=natural_key):
            taken = set()
            for kind, number in sessions[session]:
                kind = "" if single else kind
                if kind in taken:
                    alone.append((number, f"another volume of this session of '{subject}' has the same name"))
                    continue
                taken.add(kind)
                kinds[kind].append(number)
        for first, *later in kinds.values():
            pairs += [(first, one) for one in later]
            if not later:
                alone.append((first, f"no other session of '{subject}' has a volume of this name"))
    return sorted(pairs, key=lambda pair: pair[1]), sorted(alone)


def _session_of(parts: Sequence[str]) -> tuple[str, str]:
    """The session, and the name of the volume without it, from the names below a subject's folder."""
    stated = _SESSION.search("/".join(parts))
    if stated and (len(parts) == 1 or stated[0] not in parts[0]):
        session, rest = stated[0], parts
    elif len(parts) > 1 and parts[0].lower() in _DATA_TYPES:
        session, rest = "", parts
    else:
        session, rest = parts[0], parts[1:]
    kind = "/".join(rest)
    for text in filter(None, (session, stated and stated[0])):
        kind = kind.replace(text, "")
    return session, kind


def _case_in(folder: Path, file: str) -> Case:
    if not file:
        return Case("", (), problem="A file is missing in this line of the table.")
    place = Path(file).expanduser()
    case = case_of(place if place.is_absolute() else folder / place)
    name = case.name if place.is_absolute() or ".." in place.parts else f"{(place.parent / case.name).as_posix()}"
    return replace(case, name=name)


def _place(case: Case) -> tuple:
    return tuple(str(Path(file).resolve()) for file in case.files), case.series, case.component
