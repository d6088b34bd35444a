"""NRRD files: .nrrd, and .nhdr with the voxels beside it.

Entries: https://teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError
from meddl.io.formats.stored_image import COMPLEX, COMPONENT, TIME, StoredImage
from meddl.io.formats.text_header import (
    damage_error,
    data_files,
    floats,
    named_type,
    next_line,
    numbered_names,
    whole_numbers,
)
from meddl.io.header import VolumeHeader

_NAMES = {"i1": "signed char, int8, int8_t", "u1": "uchar, unsigned char, uint8, uint8_t",
          "i2": "short, short int, signed short, signed short int, int16, int16_t",
          "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
          "i4": "int, signed int, int32, int32_t", "u4": "uint, unsigned int, uint32, uint32_t",
          "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
          "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t", "f4": "float",
          "f8": "double"}
_TYPES = {name: number for number, names in _NAMES.items() for name in names.split(", ")}
_ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2", "txt": "text",
              "text": "text", "ascii": "text", "hex": "hex"}
_TO_RAS = {"right-anterior-superior": (1, 1), "left-anterior-superior": (-1, 1), "left-posterior-superior": (-1, -1)}
_SHORT = {"ras": "right-anterior-superior", "las": "left-anterior-superior", "lps": "left-posterior-superior"}
_OF_SPACE = ("domain", "space")
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)


def read_header(path: Path) -> StoredImage:
    """The image of a .nrrd or .nhdr file; `fields` are its key/value pairs.

    Raises:
        InputError: a 2D image.
        FileFormatError: no NRRD header, or one with impossible entries.
    """
    name = path.name
    entries, pairs, listed, begin = _entries(path)
    axes = whole_numbers(entries.get("dimension", ""), 1, "dimension", name)[0]
    if not 1 <= axes <= 5:
        raise damage_error(name, f"its dimension is {axes}")
    sizes = whole_numbers(entries.get("sizes", ""), axes, "sizes", name)
    number = named_type(entries.get("type", "").lower(), _TYPES, name)
    encoding = _ENCODINGS.get(entries.get("encoding", "").lower())
    order = entries.get("endian", "little" if number[1] == "1" or encoding == "text" else "").lower()
    if encoding is None or order not in ("little", "big"):
        raise damage_error(name, "it does not say how its voxels are encoded" if encoding is None else
                      "it does not say in which order the bytes of its voxels are")
    skip = whole_numbers(entries.get("byte skip", "0"), 1, "byte skip", name)[0]
    if skip < -1 or skip == -1 and encoding != "raw":
        raise damage_error(name, f"its byte skip is {skip}")
    vectors = _vectors(entries, axes, name)
    kinds = [kind.lower() for kind in entries.get("kinds", "").split()]
    channel = _channel_axis(axes, vectors, kinds, name)
    affine, step, doubts = _grid(entries, vectors, channel, axes, name)
    kind = kinds[channel] if channel is not None and channel < len(kinds) else ""
    places = _data_files(entries, listed, path, sizes)
    lines = whole_numbers(entries.get("line skip", "0"), 1, "line skip", name)[0]
    offset = begin if places == (path,) else 0
    if len(places) == 1:
        offset = _after_lines(places[0], offset, lines, name)
    elif lines:
        raise damage_error(name, "lines are skipped in several files, which is not supported")
    sizes, channel = _without_single(sizes, channel)
    return StoredImage(
        name, sizes, np.dtype({"little": "<", "big": ">"}[order] + number), affine, places, encoding, skip, offset,
        channel_axis=channel, channels=COMPLEX if kind == "complex" else
        COMPONENT if channel == 0 or kind and kind not in ("time", *_OF_SPACE) else TIME,
        time_step=step, said=VolumeHeader(entries.get("content", "")), fields=pairs, doubts=doubts)


def _entries(path: Path) -> tuple[dict[str, str], dict[str, str], list[str], int]:
    """Fields, key/value pairs, the list of files where there is one, and where the header ends."""
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    listed: list[str] = []
    with path.open("rb") as stream:
        if not re.fullmatch(r"NRRD000[1-5]", next_line(stream, path.name) or ""):
            raise FileFormatError(f"'{path.name}' is not an NRRD file: it lacks the mark of one. "
                                  "Was it renamed or damaged?")
        while line := next_line(stream, path.name):
            if line.startswith("#"):
                continue
            field, colon, value = line.partition(":")
            if not colon:
                raise damage_error(path.name, "it has a line that is no entry")
            if value.startswith("="):
                pairs[_unescape(field)] = _unescape(value[1:])
                continue
            field = field.strip().lower()
            field = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip",
                     "spacedirections": "space directions", "spaceorigin": "space origin"}.get(field, field)
            fields[field] = value.strip()
            if field == "data file" and value.strip().upper().startswith("LIST"):
                while (line := next_line(stream, path.name)) is not None:
                    listed += [line.strip()] if line.strip() else []
                break
        return fields, pairs, listed, stream.tell()


def _unescape(text: str) -> str:
    return re.sub(r"\\(n|\\)", lambda found: "\n" if found[1] == "n" else "\\", text)


def _vectors(entries: dict[str, str], axes: int, name: str) -> list[np.ndarray | None] | None:
    """The direction of each axis, None for one that is none of space; None where the header has no directions."""
    text = entries.get("space directions")
    if text is None:
        return None
    found: list[np.ndarray | None] = []
    for match in _VECTOR.finditer(text):
        if match[1] is None or set(match[1].replace(" ", "").lower().split(",")) == {"nan"}:
            found.append(None)
        else:
            found.append(floats(match[1].replace(",", " "), None, "space directions", name))
    if len(found) != axes or _VECTOR.sub("", text).strip():
        raise damage_error(name, f"its space directions are not one of each of its {axes} axes")
    return found


def _channel_axis(axes: int, vectors: list[np.ndarray | None] | None, kinds: list[str], name: str) -> int | None:
    """Which axis is none of space."""
    if vectors is not None:
        others = [axis for axis, vector in enumerate(vectors) if vector is None]
    else:
        others = [axis for axis, kind in enumerate(kinds[:axes]) if kind not in (*_OF_SPACE, "???", "none")]
    if not others and axes == 4:
        others = [3]
    if len(others) > 1 or axes - len(others) > 3:
        raise FileFormatError(f"'{name}' has {axes} axes, {len(others)} of them not of space; 3 of space and one more "
                              "can be read.")
    return others[0] if others else None


def _grid(entries: dict[str, str], vectors: list[np.ndarray | None] | None, channel: int | None, axes: int,
          name: str) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """The affine in RAS mm, the step along an axis of time, and doubts."""
    of_space = [axis for axis in range(axes) if axis != channel]
    affine, step = np.eye(4), 1.0
    if len(of_space) != 3:  # refused by StoredImage
        return affine, step, ()
    space = entries.get("space", "").lower()
    space = _SHORT.get(space, space).removesuffix("-time")
    if vectors is None:
        spacings = _per_axis(entries, "spacings", axes, name)
        for n, axis in enumerate(of_space):
            affine[n, n] = 1.0 if np.isnan(spacings[axis]) else spacings[axis]
        least = _per_axis(entries, "axis mins", axes, name)[of_space]
        affine[:3, 3] = np.where(np.isnan(least), 0.0, least)
        if channel is not None and spacings[channel] > 0:
            step = float(spacings[channel])
    else:
        columns = [vectors[axis] for axis in of_space]
        width = {0 if column is None else len(column) for column in columns}
        if not width <= {3} and not width <= {4}:
            raise damage_error(name, "its space directions are not those of three dimensions")
        for n, column in enumerate(columns):
            affine[:3, n] = 0.0 if column is None else column[:3]
        along = vectors[channel] if channel is not None else None
        step = abs(float(along[3])) if along is not None and len(along) == 4 and along[3] else 1.0
        origin = entries.get("space origin")
        if origin is not None:
            affine[:3, 3] = floats(origin.strip("() ").replace(",", " "), max(width), "space origin", name)[:3]
    signs = _TO_RAS.get(space, (-1, -1))
    doubts = () if vectors is not None else (
        "does not state its axes: it has no space directions. Its voxels are taken to run to the left, to the "
        "back and up.",)
    return np.diag([*signs, 1.0, 1.0]) @ affine + 0.0, step, doubts


def _per_axis(entries: dict[str, str], field: str, axes: int, name: str) -> np.ndarray:
    words = entries.get(field, "").split() or ["nan"] * axes
    if len(words) != axes:
        raise damage_error(name, f"its {field} are {len(words)} for {axes} axes")
    return np.array([np.nan if word.lower() == "nan" else floats(word, 1, field, name)[0] for word in words])


def _data_files(entries: dict[str, str], listed: list[str], path: Path, sizes: tuple[int, ...]) -> tuple[Path, ...]:
    """Where the voxels are: in the same file, in another one, in those of a list, or of a pattern."""
    entry = entries.get("data file")
    if entry is None:
        return (path,)
    if entry.upper().startswith("LIST"):
        return data_files(path, listed)
    pattern, *numbers = entry.split() if "%" in entry else [entry]
    if not numbers:
        return data_files(path, [entry])
    return data_files(path, numbered_names(pattern, whole_numbers(" ".join(numbers[:3]), 3, "data file", path.name),
                                           path.name))


def _after_lines(place: Path, offset: int, lines: int, name: str) -> int:
    """The offset after so many lines more."""
    if not 0 <= lines <= 1_000_000:
        raise damage_error(name, f"its line skip is {lines}")
    if not lines:
        return offset
    with place.open("rb") as stream:
        stream.seek(offset)
        for _ in range(lines):
            if next_line(stream, name) is None:
                raise damage_error(name, f"it has fewer than {lines} lines before its voxels")
        return stream.tell()


def _without_single(sizes: tuple[int, ...], channel: int | None) -> tuple[tuple[int, ...], int | None]:
    """An axis of a single channel is none."""
    if channel is not None and sizes[channel] == 1 and len(sizes) == 4:
        return tuple(n for axis, n in enumerate(sizes) if axis != channel), None
    return sizes, channel
