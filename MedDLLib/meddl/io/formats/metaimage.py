"""MetaImage files: .mha, and .mhd with the voxels beside it.

Entries: https://itk.org/Wiki/ITK/MetaIO/Documentation. Places are in LPS mm.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError
from meddl.io.formats.stored_image import COMPONENT, TIME, StoredImage
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

_TYPES = {"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
          "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
          "MET_DOUBLE": "f8"}
_OTHER_NAMES = {"position": "offset", "origin": "offset", "rotation": "transformmatrix",
                "orientation": "transformmatrix", "elementbyteordermsb": "binarydatabyteordermsb"}
_RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_header(path: Path) -> StoredImage:
    """The image of a .mha or .mhd file.

    Raises:
        InputError: a 2D image.
        FileFormatError: no MetaImage header, or one with impossible entries.
    """
    name = path.name
    entries, listed, begin = _entries(path)
    axes = whole_numbers(entries.get("ndims", ""), 1, "NDims", name)[0]
    if not 1 <= axes <= 5:
        raise damage_error(name, f"its NDims is {axes}")
    sizes = whole_numbers(entries.get("dimsize", ""), axes, "DimSize", name)
    components = whole_numbers(entries.get("elementnumberofchannels", "1"), 1, "ElementNumberOfChannels", name)[0]
    if axes == 4 and sizes[3] == 1:
        sizes = sizes[:3]
    if components > 1 and len(sizes) > 3:
        raise FileFormatError(f"'{name}' has {sizes[3]} time points of {components} components each; save one of "
                              "them as a file of its own.")
    number = named_type(entries.get("elementtype", "").removesuffix("_ARRAY"), _TYPES, name)
    binary = _is_true(entries.get("binarydata", "False"))
    packed = binary and _is_true(entries.get("compresseddata", "False"))
    skip = whole_numbers(entries.get("headersize", "0"), 1, "HeaderSize", name)[0]
    if skip < -1 or skip == -1 and (packed or not binary):
        raise damage_error(name, f"its HeaderSize is {skip}")
    local = entries["elementdatafile"].upper() == "LOCAL"
    files = (path,) if local else data_files(path, _file_names(entries["elementdatafile"], listed, sizes, name))
    affine, step, doubts = _grid(entries, axes, name)
    order = ">" if _is_true(entries.get("binarydatabyteordermsb", "False")) else "<"
    return StoredImage(
        name, (components, *sizes) if components > 1 else sizes, np.dtype(order + number), affine, files,
        "zlib" if packed else "raw" if binary else "text", -1 if skip < 0 else 0,
        begin if local else 0 if skip < 0 else skip,
        channel_axis=0 if components > 1 else 3 if len(sizes) == 4 else None,
        channels=COMPONENT if components > 1 else TIME, time_step=step,
        said=VolumeHeader(entries.get("comment", "")), doubts=doubts)


def _entries(path: Path) -> tuple[dict[str, str], list[str], int]:
    """The entries by their names in lower case, lines after a list of files begins, and where the header ends."""
    entries: dict[str, str] = {}
    with path.open("rb") as stream:
        while (line := next_line(stream, path.name)) is not None:
            key, sign, value = line.partition("=")
            if not sign:
                key, sign, value = line.partition(":")
            key = key.strip().lower()
            if not sign:
                if key:
                    raise FileFormatError(f"'{path.name}' is not a MetaImage file: its header has a line that is no "
                                          "entry. Was it renamed or damaged?")
                continue
            entries[_OTHER_NAMES.get(key, key)] = value.strip()
            if key == "elementdatafile":
                break
        if not entries.get("elementdatafile"):
            raise FileFormatError(f"'{path.name}' is not a MetaImage file, or its header was cut off: it does not say "
                                  "where the voxels are.")
        listed, begin = [], stream.tell()
        if entries["elementdatafile"].upper().startswith("LIST"):
            while (line := next_line(stream, path.name)) is not None:
                listed += [line.strip()] if line.strip() else []
    return entries, listed, begin


def _file_names(entry: str, listed: list[str], sizes: tuple[int, ...], name: str) -> list[str]:
    """The files of an ElementDataFile: one, a list below it, or a pattern with first, last and step."""
    if entry.upper().startswith("LIST"):
        return listed
    pattern, *numbers = entry.rsplit(maxsplit=3) if "%" in entry else [entry]
    if not numbers:
        return [entry]
    return numbered_names(pattern, whole_numbers(" ".join(numbers), len(numbers), "list of files", name)
                          if len(numbers) > 1 else (1, sizes[-1]), name)


def _grid(entries: dict[str, str], axes: int, name: str) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """The affine in RAS mm, the step of a fourth axis, and doubts."""
    given = entries.get("elementspacing", entries.get("elementsize"))
    spacing = np.ones(axes) if given is None else floats(given, axes, "ElementSpacing", name)
    if (spacing <= 0).any():
        raise damage_error(name, f"its ElementSpacing is {' '.join(f'{size:g}' for size in spacing)}")
    turn = np.eye(axes)
    if "transformmatrix" in entries:
        turn = floats(entries["transformmatrix"], axes * axes, "TransformMatrix", name).reshape(axes, axes).T
    offset = floats(entries["offset"], axes, "Offset", name) if "offset" in entries else np.zeros(axes)
    affine = np.eye(4)
    n = min(axes, 3)
    affine[:n, :n] = turn[:n, :n] * spacing[:n]
    affine[:n, 3] = offset[:n]
    doubts = () if "transformmatrix" in entries else (
        "does not state its axes: it has no TransformMatrix. Its voxels are taken to run to the left, to the back "
        "and up.",)
    return _RAS_LPS @ affine + 0.0, float(spacing[3]) if axes == 4 else 1.0, doubts


def _is_true(text: str) -> bool:
    return text[:1].upper() in ("T", "1", "Y")
