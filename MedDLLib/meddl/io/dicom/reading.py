"""Volumes, and what is known of them, from DICOM files and folders."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from meddl.core.errors import FileWarning, InputError, MedDLError
from meddl.io.dicom.geometry import grid_of
from meddl.io.dicom.headers import is_dicom
from meddl.io.dicom.pixels import read_values
from meddl.io.dicom.series import Series, choose_part, choose_series, find_series, list_parts


class SeriesVolume(NamedTuple):
    """Channels (C, I, J, K), their affine in RAS mm, and which of the channels is still to be chosen ("all": none)."""

    channels: np.ndarray
    affine: np.ndarray
    component: int | str | None


def read_series(place: Path, series: str | int | None = None, component: int | str | None = None) -> SeriesVolume:
    """The series in a folder or of a file, slices in order of their places.

    A tilted gantry (slices that slide sideways) gives a sheared affine, as the slices really lie. Where the series
    holds several stacks (echoes, time points, b-values), `component` chooses one, or "all" as channels.

    Warns:
        FileWarning: copies were left out, or the files do not state where the slices lie.

    Raises:
        FileFormatError: no DICOM series there, unreadable files, slices missing or at uneven distances.
        InputError: several series or parts and no choice, or an unknown one.
    """
    chosen = choose_series(find_series(place), place, series)
    _warn_of_copies(chosen)
    if len(chosen.parts) == 1:
        parts = chosen.parts
    else:
        parts = choose_part(chosen, place.name, component)
        component = "all"
    name = f"DICOM series {chosen.uid or 'without UID'} in '{place}'"
    affine, notes = grid_of(parts[0].frames, name)
    for part in parts[1:]:
        other, _ = grid_of(part.frames, name)
        if not np.allclose(other, affine, atol=0.01):
            raise InputError(f"'{place.name}' holds parts that do not lie on one grid: {list_parts(chosen)}. "
                             "Choose one with component=.")
    for note in notes:
        warnings.warn(note, FileWarning, stacklevel=3)
    stacks = [_channels(read_values(part.frames)) for part in parts]
    return SeriesVolume(stacks[0] if len(stacks) == 1 else np.concatenate(stacks), affine, component)


def slice_thickness_mm(path: str | Path, series: str | int | None = None) -> float | None:
    """The slice thickness that a DICOM file, or a series of a folder, states; None where there is none to be had.

    It is not the distance between slices, which leave gaps or overlap.
    """
    chosen = _series_at(path, series)
    return None if chosen is None else chosen.frames[0].thickness


def frame_of_reference(path: str | Path, series: str | int | None = None) -> str:
    """The UID of the space that a DICOM file, or a series of a folder, lies in; "" where there is none to be had."""
    chosen = _series_at(path, series)
    return "" if chosen is None else chosen.frames[0].frame_of_reference


def files_of(path: str | Path, series: str | int | None = None) -> tuple[Path, ...]:
    """The files that a volume is read from: of a DICOM series all of its files, else the file itself; of a folder with
    several series, and none chosen, those of all."""
    place = Path(path).expanduser()
    if place.is_dir() and series is None:
        return tuple(file for one in find_series(place) for file in one.files)
    chosen = _series_at(place, series)
    return (place,) if chosen is None else chosen.files


def sha256_of(path: str | Path, series: str | int | None = None) -> str:
    """SHA-256 of a file; of a DICOM series, of the sorted SHA-256 of its files; of another folder, of all files in it.

    Raises:
        OSError: it cannot be read.
    """
    place = Path(path).expanduser()
    try:
        files = files_of(place, series)
    except MedDLError:
        files = tuple(file for file in place.iterdir() if file.is_file())
    sums = sorted(_sha256(file) for file in files)
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _series_at(path: str | Path, series: str | int | None) -> Series | None:
    place = Path(path).expanduser()
    try:
        if not place.is_dir() and not (place.is_file() and is_dicom(place)):
            return None
        found = find_series(place)
    except (OSError, MedDLError):
        return None
    return choose_series(found, place, series)


def _channels(values: np.ndarray) -> np.ndarray:
    """(slices, rows, columns[, colors]) as (C, I, J, K)."""
    return values.transpose(3, 2, 1, 0) if values.ndim == 4 else values.transpose(2, 1, 0)[None]


def _warn_of_copies(series: Series) -> None:
    if series.copies:
        files = ", ".join(f"'{path.name}'" for path in series.copies[:5])
        warnings.warn(f"{len(series.copies)} files are copies of others of the DICOM series and were left out: "
                      f"{files}{', ...' if len(series.copies) > 5 else ''}.", FileWarning, stacklevel=4)
