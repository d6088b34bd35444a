"""What the text headers of NRRD and MetaImage files have in common: lines, numbers, and files with the voxels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from meddl.core.errors import FileFormatError

_LONGEST_LINE = 1 << 20   # bytes
_LONGEST_HEADER = 1 << 24
_MOST_FILES = 100_000


def next_line(stream: BinaryIO, name: str) -> str | None:
    """The next line of a header without its end; None at the end of the file.

    Raises:
        FileFormatError: the header does not end.
    """
    line = stream.readline(_LONGEST_LINE)
    if len(line) >= _LONGEST_LINE or stream.tell() > _LONGEST_HEADER:
        raise damage_error(name, "it has no end")
    return line.decode("utf-8", errors="replace").rstrip("\r\n") if line else None


def damage_error(name: str, why: str) -> FileFormatError:
    """The error of a header that cannot be used."""
    return FileFormatError(f"'{name}' has a damaged header: {why}.")


def floats(text: str, count: int | None, what: str, name: str) -> np.ndarray:
    """The finite numbers of an entry.

    Raises:
        FileFormatError: another count, or not numbers.
    """
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError:
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all() or count is not None and len(numbers) != count:
        raise damage_error(name, f"its {what} is {_quote(text)}, not "
                      f"{'numbers' if count is None else f'{count} numbers' if count > 1 else 'a number'}")
    return numbers


def whole_numbers(text: str, count: int | None, what: str, name: str) -> tuple[int, ...]:
    """The whole numbers of an entry; errors as of `floats`."""
    numbers = floats(text, count, what, name)
    if (numbers != np.round(numbers)).any() or np.abs(numbers).max(initial=0) >= 2 ** 53:
        raise damage_error(name, f"its {what} is {_quote(text)}, not whole numbers")
    return tuple(int(number) for number in numbers)


def named_type(text: str, types: dict[str, str], name: str) -> str:
    """numpy's name of the type that an entry names.

    Raises:
        FileFormatError: an unknown one.
    """
    if text not in types:
        raise FileFormatError(f"'{name}' holds voxels of a type that cannot be read: {_quote(text)}.")
    return types[text]


def data_files(header: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The files with the voxels, named in a header beside which they lie.

    Raises:
        FileFormatError: one is not there, or it is no file.
    """
    if not names or len(names) > _MOST_FILES:
        raise damage_error(header.name, f"it names {len(names)} files of voxels")
    places = []
    for name in names:
        place = header.parent / name
        try:
            found = place.is_file()
        except (OSError, ValueError):  # too long, or a zero byte in it
            found = False
        if not found:
            raise FileFormatError(f"'{header.name}' has its voxels in the file {_quote(name)}, which is not there.")
        places.append(place)
    return tuple(places)


def numbered_names(pattern: str, numbers: Sequence[int], name: str) -> list[str]:
    """The names of a pattern as of C's printf with one whole number in it, such as slice%03d.raw."""
    first, last, *step = numbers
    between = range(first, last + (1 if (step or [1])[0] > 0 else -1), (step or [1])[0] or 1)
    if len(between) > _MOST_FILES:
        raise damage_error(name, f"it names {len(between)} files of voxels")
    if not re.fullmatch(r"[^%]*%0?\d{0,2}d[^%]*", pattern):
        raise damage_error(name, f"the names of its files of voxels are {_quote(pattern)}")
    return [pattern % number for number in between]


def _quote(text: str) -> str:
    """Text of a file for a message: printable, and not long."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:60])
    return f"'{shown}'" if len(text) <= 60 else f"'{shown}...'"
