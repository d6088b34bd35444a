"""NIfTI-1 and NIfTI-2 files, single or in pairs, and Analyze 7.5.

The header fields are those of the standards (https://nifti.nimh.nih.gov). Where the voxels lie: `nifti_grid`.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from meddl.core.errors import FileFormatError
from meddl.io.formats.nifti_grid import GridFields, grid_of
from meddl.io.formats.stored_image import COMPLEX, COMPONENT, TIME, StoredImage
from meddl.io.header import SCANNER, VolumeHeader
from meddl.spatial.grid import three

_TYPES = {2: ("u1", 1), 4: ("i2", 1), 8: ("i4", 1), 16: ("f4", 1), 32: ("f4", 2), 64: ("f8", 1), 128: ("u1", 3),
          256: ("i1", 1), 512: ("u2", 1), 768: ("u4", 1), 1024: ("i8", 1), 1280: ("u8", 1), 1792: ("f8", 2),
          2304: ("u1", 4)}  # numbers of a voxel: 2 complex, 3 and 4 color
_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
_SECONDS_PER_UNIT = {16: 1e-3, 24: 1e-6}
_LONGEST_DESCRIPTION = 79  # bytes
_DISPLACEMENTS = 1006  # intent: vectors in RAS mm
# Of each field its place and type, in headers of 348 and of 540 bytes.
_FIELDS: dict[int, dict[str, tuple[int, str]]] = {
    348: {"dim": (40, "8h"), "intent": (68, "h"), "datatype": (70, "h"), "bitpix": (72, "h"), "pixdim": (76, "8f"),
          "offset": (108, "f"), "scale": (112, "2f"), "units": (123, "b"), "shown": (124, "2f"),
          "description": (148, "80s"), "codes": (252, "2h"), "quaternion": (256, "6f"), "rows": (280, "12f")},
    540: {"datatype": (12, "h"), "bitpix": (14, "h"), "dim": (16, "8q"), "pixdim": (104, "8d"), "offset": (168, "q"),
          "scale": (176, "2d"), "shown": (192, "2d"), "description": (240, "80s"), "codes": (344, "2i"),
          "quaternion": (352, "6d"), "rows": (400, "12d"),
          "units": (500, "i"), "intent": (504, "i")}}


def read_header(path: Path) -> StoredImage:
    """The image of a .nii, .nii.gz, .hdr or .img file.

    Raises:
        InputError: a 2D image.
        FileFormatError: not NIfTI or Analyze, or a header with impossible entries.
    """
    name = path.name
    header_file = _other_half(path, ".hdr") if name.lower().endswith((".img", ".img.gz")) else path
    fields = _parse(_start(header_file), name)
    single = fields["magic"] in (b"n+1", b"n+2")
    place = header_file if single else path if header_file != path else _other_half(path, ".img")
    numbers, count = _type_of(fields, name)
    sizes, channel_axis, channels = _array_of(fields, count, name)
    space = tuple(n for axis, n in enumerate(sizes) if axis != channel_axis)
    analyze = not fields["magic"]
    codes = (0, 0) if analyze else fields["codes"]
    affine: np.ndarray = np.eye(4)
    doubts: tuple[str, ...] = ()
    if len(space) == 3:
        affine, doubts = grid_of(GridFields(
            three(space), np.array(fields["pixdim"], np.float64), codes[0], codes[1],
            np.array(fields["quaternion"], np.float64), np.array(fields["rows"], np.float64).reshape(3, 4),
            _MM_PER_UNIT.get(fields["units"] & 7, 1.0)), name)
    step = float(fields["pixdim"][4]) * _SECONDS_PER_UNIT.get(fields["units"] & 0x38, 1.0)
    vectors = fields["intent"] == _DISPLACEMENTS and channels == COMPONENT and 3 in sizes[3:]
    return StoredImage(
        name, sizes, np.dtype(fields["order"] + numbers), affine, (place,), "gzip" if _is_gzip(place) else "raw",
        _offset_of(fields, single, name), channel_axis=channel_axis, channels=channels,
        scale=None if analyze else _scale_of(fields, count, name), ras_vectors=vectors,
        time_step=step if channels == TIME and np.isfinite(step) and step > 0 else 1.0,
        said=_said(fields, () if analyze else codes, doubts), doubts=doubts)


def write_sform(path: Path, affine: np.ndarray) -> None:
    """Put a 4x4 RAS affine into the header of an uncompressed NIfTI-1 file and mark the quaternion as unknown."""
    _patch(path, codes=(0, SCANNER), rows=np.asarray(affine, dtype=np.float64)[:3].ravel())


def write_header(path: Path, said: VolumeHeader) -> None:
    """Put description, display range and codes into the header of an uncompressed NIfTI-1 file.

    Its qform and sform are one grid. Where its quaternion is unknown, the sform has the higher of the two codes.
    """
    with path.open("rb") as stream:
        has_quaternion = _parse(stream.read(544), path.name)["codes"][0] > 0
    text = " ".join(said.description.split()).encode()[:_LONGEST_DESCRIPTION]
    _patch(path, description=(text.decode(errors="ignore").encode(),))
    if said.display_range is not None:
        _patch(path, shown=said.display_range[::-1])
    if said.space is not None and any(said.space):
        _patch(path, codes=said.space if has_quaternion else (0, max(said.space)))


def _patch(path: Path, **entries: Any) -> None:
    with path.open("r+b") as stream:
        order = _parse(stream.read(544), path.name)["order"]
        for name, values in entries.items():
            place, layout = _FIELDS[348][name]
            stream.seek(place)
            stream.write(struct.pack(order + layout, *values))


def _said(fields: dict[str, Any], codes: tuple[int, ...], doubts: tuple[str, ...]) -> VolumeHeader:
    """Of two grids that contradict each other the one that counts has its code twice."""
    text = fields["description"].split(b"\0")[0].decode("utf-8", errors="replace").strip()
    high, low = fields["shown"]
    shown = (float(low), float(high)) if np.isfinite(fields["shown"]).all() and high > low else None
    if not codes:
        return VolumeHeader(text, shown)
    qform, sform = (max(0, code) for code in codes)
    return VolumeHeader(text, shown, (sform, sform) if sform and doubts else (qform, sform))


def _parse(start: bytes, name: str) -> dict[str, Any]:
    """The fields of a header, with "order" (of bytes) and "magic" (empty: Analyze)."""
    for order in "<>":
        length = struct.unpack(order + "i", start[:4])[0] if len(start) >= 4 else 0
        if length in _FIELDS and len(start) >= length:
            break
    else:
        raise FileFormatError(f"'{name}' is not a NIfTI file: its header is not one. Was it renamed or damaged?")
    fields: dict[str, Any] = {"order": order, "length": length}
    for field, (place, layout) in _FIELDS[length].items():
        values = struct.unpack_from(order + layout, start, place)
        fields[field] = values if len(values) > 1 else values[0]
    magic = start[344:348] if length == 348 else start[4:8]
    fields["magic"] = magic[:3] if magic[:3] in (b"n+1", b"ni1", b"n+2", b"ni2") else b""
    if not fields["magic"] and (length == 540 or magic[:1] == b"n"):
        raise FileFormatError(f"'{name}' is not a NIfTI file: it lacks the mark of one. Was it damaged?")
    return fields


def _array_of(fields: dict[str, Any], count: int, name: str) -> tuple[tuple[int, ...], int | None, str]:
    """Sizes of the array, fastest axis first, which of them is none of space, and what it is."""
    dim = fields["dim"]
    axes = list(dim[1:1 + dim[0]]) if 1 <= dim[0] <= 7 else []
    if not axes or min(axes) < 1:
        raise FileFormatError(f"'{name}' has a damaged NIfTI header: its dimensions are {list(dim)}.")
    while len(axes) > 3 and axes[-1] == 1:
        axes.pop()
    beyond = [n for n in axes[3:] if n > 1]
    if count > 1 and beyond or len(beyond) > 1:
        raise FileFormatError(f"'{name}' has {' x '.join(map(str, axes))} voxels"
                              f"{f' of {count} numbers' if count > 1 else ''}; 3 axes and one more (time or "
                              "components) can be read. Save one of its volumes as a file of its own.")
    space = tuple(axes[:3])
    if count > 1:
        return (count, *space), 0, COMPLEX if count == 2 else COMPONENT
    if beyond:
        return (*space, beyond[0]), 3, TIME if len(axes) == 4 else COMPONENT
    return space, None, TIME


def _type_of(fields: dict[str, Any], name: str) -> tuple[str, int]:
    """numpy's name of a number, and how many of them a voxel has."""
    known = _TYPES.get(fields["datatype"])
    if known is None:
        raise FileFormatError(f"'{name}' holds voxels of a type that cannot be read: datatype {fields['datatype']}.")
    bits = int(known[0][1:]) * 8 * known[1]
    if fields["bitpix"] != bits:
        raise FileFormatError(f"'{name}' has a damaged NIfTI header: datatype {fields['datatype']} has {bits} bits a "
                              f"voxel, the header states {fields['bitpix']}.")
    return known


def _offset_of(fields: dict[str, Any], single: bool, name: str) -> int:
    offset, least = fields["offset"], (fields["length"] + 4 if single else 0)
    if not np.isfinite(offset) or not 0 <= offset < 2 ** 40 or 0 < offset < fields["length"] and single:
        raise FileFormatError(f"'{name}' has a damaged NIfTI header: its voxels begin at byte {offset:g}.")
    return int(offset) or least


def _scale_of(fields: dict[str, Any], count: int, name: str) -> tuple[float, float] | None:
    """Slope and intercept; a slope that is 0 or not finite means no scaling, colors have none."""
    slope, intercept = fields["scale"]
    if slope == 0 or not np.isfinite(slope) or count > 2 or (slope, intercept) == (1.0, 0.0):
        return None
    if not np.isfinite(intercept):
        raise FileFormatError(f"'{name}' has a damaged NIfTI header: the intercept of its intensities is "
                              f"{intercept:g}.")
    return float(slope), float(intercept)


def _other_half(path: Path, suffix: str) -> Path:
    stem = path.name.lower().removesuffix(".gz")
    stem = path.name[:len(stem) - 4] if stem.endswith((".hdr", ".img", ".nii")) else path.stem
    for ending in (suffix, suffix.upper(), suffix + ".gz"):
        if (other := path.with_name(stem + ending)).is_file():
            return other
    raise FileFormatError(f"'{path.name}' is one of a pair of files; '{stem}{suffix}' is not beside it.")


def _start(path: Path) -> bytes:
    try:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as stream:
            return stream.read(544)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(f"'{path.name}' is damaged or was cut off ({error}). "
                              "Copy or download it again.") from error


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"
