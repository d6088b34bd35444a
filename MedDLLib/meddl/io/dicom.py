"""A DICOM series from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from meddl.core.errors import FileFormatError, InputError
from meddl.io.itk import sitk

_POSITION, _DESCRIPTION, _THICKNESS = "0020|0032", "0008|103e", "0018|0050"
_NUMBER, _FRAME = "0020|0011", "0020|0052"
_UNEVEN = 0.05  # tolerated deviation of a slice from its even place, in slice distances


class SeriesFacts(NamedTuple):
    """A DICOM series of a folder: its UID, number and description as its header has them ("" for none), the names of
    its files, and how many slices they hold."""

    uid: str
    number: str
    description: str
    files: tuple[str, ...]
    slices: int


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark (`DICM` after a preamble of 128 bytes)."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_series(folder: Path, series: str | int | None = None) -> sitk.Image:
    """The series in a folder, slices in order of their places.

    A tilted gantry (slices that slide sideways) gives a sheared direction matrix, as the slices really lie.

    Raises:
        FileFormatError: no DICOM series there, unreadable files, slices missing or at uneven distances.
        InputError: several series and no choice, or an unknown one.
    """
    uids = sorted(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))
    if not uids:
        raise FileFormatError(f"The folder '{folder}' holds no DICOM series. Give a folder with DICOM files, "
                              "or a file.")
    uid = _choose_series(folder, uids, series)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames(names)
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        image = reader.Execute()
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1]
        raise FileFormatError(f"The DICOM series {uid} in '{folder}' cannot be read: {last}") from error
    if len(names) > 1:
        _place_slices(image, reader, len(names), uid)
    return image


def slice_thickness_mm(path: str | Path, series: str | int | None = None) -> float | None:
    """The slice thickness that a DICOM file, or a series of a folder, states; None where there is none to be had.

    It is not the distance between slices, which leave gaps or overlap.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        uids = sorted(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(place)))
        if not uids:
            return None
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(place), _choose_series(place, uids, series))
    elif place.is_file() and is_dicom(place):
        names = (str(place),)
    else:
        return None
    try:
        thickness = float(_header(names[0], _THICKNESS)[0] or 0.0)
    except ValueError:
        return None
    return thickness if thickness > 0 and np.isfinite(thickness) else None


def series_in(folder: str | Path) -> list[SeriesFacts]:
    """The DICOM series whose files lie in a folder itself, sorted by UID; unreadable ones with 0 slices."""
    found = []
    for uid in sorted(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        number, description, frames = _header(names[0], _NUMBER, _DESCRIPTION, None)
        found.append(SeriesFacts(uid, number, description, tuple(names), int(frames or 0) * len(names)))
    return found


def frame_of_reference(path: str | Path, series: str | int | None = None) -> str:
    """The UID of the space that a DICOM file, or a series of a folder, lies in; "" where there is none to be had."""
    place = Path(path).expanduser()
    if place.is_dir():
        uids = sorted(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(place)))
        if not uids:
            return ""
        place = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(place), _choose_series(place, uids, series))[0]
    elif not place.is_file() or not is_dicom(place):
        return ""
    return _header(str(place), _FRAME)[0]


def _header(name: str, *keys: str | None) -> list[str]:
    """Entries of a DICOM file's header as text, "" where it lacks one; of the key None the number of frames."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return [""] * len(keys)
    size = reader.GetSize()
    frames = str(size[2]) if len(size) > 2 else "1"
    return [frames if key is None else reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""
            for key in keys]


def _choose_series(folder: Path, uids: list[str], series: str | int | None) -> str:
    if series is None and len(uids) == 1:
        return uids[0]
    if isinstance(series, int) and 0 <= series < len(uids):
        return uids[series]
    if series in uids:
        return series
    listing = "; ".join(f"{n}: {_describe(folder, uid)}" for n, uid in enumerate(uids))
    asked = "one must be chosen" if series is None else f"{series!r} is none of them"
    raise InputError(f"The folder '{folder}' holds {len(uids)} DICOM series, {asked}. "
                     f"Pass series= with a number or UID of: {listing}.")


def _describe(folder: Path, uid: str) -> str:
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
    text, frames = _header(names[0], _DESCRIPTION, None)
    text = text if frames else "unreadable"
    return f"{uid} ({text + ', ' if text else ''}{len(names)} slices)"


def _place_slices(image: sitk.Image, reader: sitk.ImageSeriesReader, count: int, uid: str) -> None:
    """Take the step between slices from their own positions; refuse a series with gaps."""
    if image.GetDimension() != 3 or image.GetDepth() != count:
        return
    positions = []
    for n in range(count):
        if not reader.HasMetaDataKey(n, _POSITION):
            return
        positions.append([float(x) for x in reader.GetMetaData(n, _POSITION).split("\\")])
    places = np.array(positions)
    step = (places[-1] - places[0]) / (count - 1)
    distance = np.linalg.norm(step)
    even = places[0] + np.arange(count)[:, None] * step
    if distance <= 0 or np.linalg.norm(places - even, axis=1).max() > _UNEVEN * distance:
        gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        raise FileFormatError(
            f"The slices of DICOM series {uid} are not evenly spaced: distances from {gaps.min():.2f} to "
            f"{gaps.max():.2f} mm. Slices are missing or of several acquisitions; load it in Slicer, which can "
            "fill the gaps, or complete the folder.")
    directions = np.array(image.GetDirection()).reshape(3, 3)
    directions[:, 2] = step / distance
    spacing = image.GetSpacing()
    image.SetOrigin(places[0].tolist())
    image.SetSpacing([spacing[0], spacing[1], float(distance)])
    image.SetDirection(directions.ravel().tolist())
