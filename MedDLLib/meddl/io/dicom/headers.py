"""Headers of DICOM files: which frames they hold, where each lies, and what distinguishes it from others there."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddl.core.errors import FileFormatError
from meddl.io.dicom.bounded_files import quiet, read_data_set
from meddl.io.dicom.traits import TRAIT_TAGS, Trait, gradient_of, traits_of

if TYPE_CHECKING:
    from pydicom import Dataset

_WITHOUT_MARK = (".dcm", ".ima")  # files of these names may lack the mark
_MOST_FRAMES = 1 << 16
# Where an enhanced multi-frame image has what the header of a single slice has at its top (PS3.3 C.7.6.16).
_MACROS = {
    "ImagePositionPatient": ("PlanePositionSequence",),
    "ImageOrientationPatient": ("PlaneOrientationSequence",),
    "PixelSpacing": ("PixelMeasuresSequence",),
    "SliceThickness": ("PixelMeasuresSequence",),
    "SpacingBetweenSlices": ("PixelMeasuresSequence",),
    "RescaleSlope": ("PixelValueTransformationSequence",),
    "RescaleIntercept": ("PixelValueTransformationSequence",),
    "FrameType": ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"),
    "ComplexImageComponent": ("MRImageFrameTypeSequence",),
    "EffectiveEchoTime": ("MREchoSequence",),
    "DiffusionBValue": ("MRDiffusionSequence",),
    "DiffusionGradientDirectionSequence": ("MRDiffusionSequence",),
    "InversionTimes": ("MRModifierSequence",),
    "FlipAngle": ("MRTimingAndRelatedParametersSequence",),
    "NominalPercentageOfCardiacPhase": ("CardiacSynchronizationSequence",),
    "NominalCardiacTriggerDelayTime": ("CardiacSynchronizationSequence",),
    "TemporalPositionIndex": ("FrameContentSequence",),
    "FrameAcquisitionNumber": ("FrameContentSequence",),
    "StackID": ("FrameContentSequence",),
    "DimensionIndexValues": ("FrameContentSequence",),
    "KVP": ("CTXRayDetailsSequence",),
    "ReferencedSegmentNumber": ("SegmentIdentificationSequence",),
}
_TAGS = [
    "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "SeriesDescription", "InstanceNumber",
    "FrameOfReferenceUID", "Rows", "Columns", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept",
    "GridFrameOffsetVector", "DetectorInformationSequence", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", *TRAIT_TAGS]


@dataclass(frozen=True)
class Frame:
    """One slice: a file of its own, or a frame of one.

    Attributes:
        file: where it stands, and `index`, as which frame of the file, from 0.
        study, series, instance: UIDs, "" where not stated.
        series_number, description: of the series.
        frame_of_reference: UID of its space.
        number: in which order the scanner counted it.
        size: columns and rows.
        position: of its first voxel, LPS mm; None where not stated.
        orientation: direction cosines along a row, then along a column; None where not stated.
        spacing: of rows, then of columns, mm; None where not stated.
        thickness: of the slice, mm; None where not stated.
        distance: from one slice to the next as the header has it, mm; None where not stated.
        slope, intercept: from stored values to the image's.
        traits: what may tell it from frames at the same place.
    """

    file: Path
    index: int
    study: str
    series: str
    instance: str
    series_number: str
    description: str
    frame_of_reference: str
    number: int
    size: tuple[int, int]
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float | None
    distance: float | None
    slope: float
    intercept: float
    traits: tuple[Trait, ...]


@dataclass(frozen=True)
class BrokenFile:
    """A DICOM file that cannot be used: its series' UID, "" where that is not known, and a sentence on the cause."""

    file: Path
    series: str
    cause: str


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark (`DICM` after a preamble of 128 bytes)."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_header(path: Path) -> tuple[Frame, ...] | BrokenFile:
    """The frames of a DICOM image; none for other files, DICOM files without an image among them."""
    try:
        status = path.stat()
        if not is_dicom(path) and path.suffix.lower() not in _WITHOUT_MARK:
            return ()
        if not status.st_size:
            return BrokenFile(path, "", f"'{path.name}' is empty (0 bytes).")
    except OSError as error:
        return BrokenFile(path, "", f"'{path.name}' cannot be read: {error.strerror or error}.")
    return _header(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8192)
def _header(path: Path, _size: int, _changed: int) -> tuple[Frame, ...] | BrokenFile:
    """Kept while the file stays as it is: a volume, its thickness and its space are asked for one after the other."""
    series = ""
    try:
        data_set = read_data_set(path, _TAGS)
        with quiet():
            series = _text(data_set, "SeriesInstanceUID")
            if not data_set.get("Rows") or not data_set.get("Columns"):
                _check_whole(path, data_set)
                return ()
            return _frames(path, data_set)
    except FileFormatError as error:
        return BrokenFile(path, series, str(error))
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001  of many types: pydicom parses values when they are asked for
        return BrokenFile(path, series, f"'{path.name}' has a damaged header: {' '.join(str(error).split())[:200]}")


def _check_whole(path: Path, data_set: Dataset) -> None:
    """Refuse a file that is said to hold an image and ends before it."""
    kind = getattr(data_set, "file_meta", {}).get("MediaStorageSOPClassUID")
    if kind is not None and kind.name.endswith("Image Storage"):
        raise FileFormatError(f"'{path.name}' is no whole DICOM file: it ends before its image ({kind.name}).")


def _frames(path: Path, data_set: Dataset) -> tuple[Frame, ...]:
    count = int(data_set.get("NumberOfFrames") or 1)
    if not 1 <= count <= _MOST_FRAMES:
        raise FileFormatError(f"'{path.name}' is said to hold {count} frames.")
    each = data_set.get("PerFrameFunctionalGroupsSequence")
    if each:
        if len(each) != count:
            raise FileFormatError(f"'{path.name}' holds {count} frames and describes {len(each)}.")
        shared = data_set.get("SharedFunctionalGroupsSequence") or [None]
        return tuple(_frame(path, n, data_set, _macros(data_set, groups, shared[0]))
                     for n, groups in enumerate(each))
    first = _frame(path, 0, data_set, _detector(data_set))
    if count == 1:
        return (first,)
    frames = [replace(first, index=n, number=first.number + n) for n in range(count)]
    return _set_positions(path, frames, data_set.get("GridFrameOffsetVector"))


def _frame(path: Path, index: int, data_set: Dataset, look: Callable[[str], Any]) -> Frame:
    def numbers(keyword: str, count: int) -> tuple[float, ...] | None:
        return _numbers(path, keyword, look(keyword), count)

    def positive(keyword: str) -> float | None:
        try:
            found = numbers(keyword, 1)
        except FileFormatError:  # it is not needed
            return None
        return found[0] if found is not None and found[0] > 0 else None

    slope, intercept = numbers("RescaleSlope", 1), numbers("RescaleIntercept", 1)
    spacing = numbers("PixelSpacing", 2) or numbers("ImagerPixelSpacing", 2)
    return Frame(
        path, index, _text(data_set, "StudyInstanceUID"), _text(data_set, "SeriesInstanceUID"),
        _text(data_set, "SOPInstanceUID"), _text(data_set, "SeriesNumber"), _text(data_set, "SeriesDescription"),
        _text(data_set, "FrameOfReferenceUID"), _whole(data_set.get("InstanceNumber")) + index,
        (int(data_set.Columns), int(data_set.Rows)), numbers("ImagePositionPatient", 3), _orientation(path, numbers),
        None if spacing is None or min(spacing) <= 0 else spacing, positive("SliceThickness"),
        positive("SpacingBetweenSlices"), slope[0] if slope and slope[0] else 1.0, intercept[0] if intercept else 0.0,
        traits_of(look))


def _orientation(path: Path, numbers: Callable) -> tuple[float, ...] | None:
    found = numbers("ImageOrientationPatient", 6)
    if found is None or not any(found):
        return None
    row, column = found[:3], found[3:]
    along, across = math.hypot(*row), math.hypot(*column)
    if abs(along - 1) > 0.01 or abs(across - 1) > 0.01 or abs(sum(map(float.__mul__, row, column))) > 0.01:
        raise FileFormatError(f"'{path.name}': the directions of its rows and columns, {found}, are not orthonormal.")
    return (*(x / along for x in row), *(x / across for x in column))


def _macros(data_set: Dataset, groups: Dataset, shared: Dataset | None) -> Callable[[str], Any]:
    """Finds elements of one frame of an enhanced multi-frame image."""
    def look(keyword: str) -> Any:
        for sequence in _MACROS.get(keyword, ()):
            for group in (groups, shared):
                item = group.get(sequence) if group is not None else None
                found = item[0].get(keyword) if item else None
                if found not in (None, ""):
                    return found
        return gradient_of(look) if keyword == "DiffusionGradientOrientation" else data_set.get(keyword)
    return look


def _detector(data_set: Dataset) -> Callable[[str], Any]:
    """Finds elements of a single slice; nuclear medicine has its place with the detector."""
    def look(keyword: str) -> Any:
        found = data_set.get(keyword)
        if found in (None, "") and keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
            detector = data_set.get("DetectorInformationSequence")
            found = detector[0].get(keyword) if detector else None
        return found
    return look


def _set_positions(path: Path, frames: list[Frame], offsets: Any) -> tuple[Frame, ...]:
    """Frames of a multi-frame file that has one position for all: with offsets along the normal, or a distance."""
    first = frames[0]
    if first.position is None or first.orientation is None:
        return tuple(frames)
    steps = _numbers(path, "GridFrameOffsetVector", offsets, len(frames))
    distance = first.distance or first.thickness
    if steps is None and distance is not None:
        steps = tuple(n * distance for n in range(len(frames)))
    if steps is None:
        return tuple(replace(frame, position=None) for frame in frames)
    a, b = first.orientation[:3], first.orientation[3:]
    normal = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return tuple(replace(frame, position=tuple(p + (step - steps[0]) * n
                                               for p, n in zip(first.position, normal, strict=True)))
                 for frame, step in zip(frames, steps, strict=True))


def _numbers(path: Path, keyword: str, value: Any, count: int) -> tuple[float, ...] | None:
    if value is None or value == "":
        return None
    try:
        values = [value] if isinstance(value, int | float | str) else list(value)
        found = tuple(float(one) for one in values[:count])
    except (TypeError, ValueError, OverflowError):
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)) or len(values) != count:
        raise FileFormatError(f"'{path.name}': {keyword} is {str(value)[:80]!r}, where {count} numbers are expected.")
    return found


def _whole(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def _text(data_set: Dataset, keyword: str) -> str:
    value = data_set.get(keyword)
    return "" if value is None else " ".join(str(value).replace("\0", " ").split())
