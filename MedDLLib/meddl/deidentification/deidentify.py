"""Files and folders without the names, dates and places of their headers, under names that say nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meddl.core.errors import InputError, MedDLError
from meddl.core.progress import ProgressCallback, report
from meddl.deidentification.dicom import check_package, deidentify_dicom, forget_identifiers
from meddl.deidentification.volumes import deidentify_volume, target_suffix
from meddl.io.dicom.headers import is_dicom
from meddl.io.files import as_path, suffix_of

_HIDDEN = "."
_NO_IMAGE = "It is no volume, segmentation or DICOM image."
_VOXELS_ALONE = ".img"  # their header is the .hdr file beside them


@dataclass(frozen=True)
class DeidentifiedFile:
    """What became of a file.

    Attributes:
        source, target: its path, and that of the new file; None where it was left out.
        reason: why it was left out; empty where it was not.
        notes: what the user has to look at.
    """

    source: Path
    target: Path | None
    reason: str = ""
    notes: tuple[str, ...] = ()


def deidentify(source: str | Path, target: str | Path, *, keep_names: bool = False,
               on_progress: ProgressCallback | None = None) -> list[DeidentifiedFile]:
    """Write volumes, segmentations and DICOM images without what their headers say of the patient.

    Of NIfTI, NRRD and MetaImage files grid, type, space codes and display range stay; DICOM files follow the Basic
    Application Level Confidentiality Profile (DICOM PS3.15, annex E). Voxels stay as they are: a face, or text that
    was burned into an image, is not removed.

    Args:
        source: a file, or a folder with files in it and below it.
        target: of a file the new file, else a new or empty folder.
        keep_names: keep the names of files and folders; otherwise volumes become case_0001, case_0002, ..., and DICOM
            files series_0001/0001.dcm, ..., in the order of their paths.

    Returns:
        One entry a file, those that were left out with the reason.

    Raises:
        InputError: nothing there, the target is the source or lies in it, or is a folder with files in it.
        FileFormatError, GeometryError: of a single file, as of `meddl.load`.
        DependencyError: DICOM files, and the package dicom-anonymizer is not installed.
    """
    source, target = as_path(source, "a file or folder"), as_path(target, "a new file or folder")
    if not source.exists():
        raise InputError(f"'{source}' does not exist. Check the name and the folder.")
    if source.is_file():
        return [_deidentify_one(source, _checked_file(source, target))]
    _check_folder(source, target)
    files = sorted(_files_below(source))
    if any(_is_dicom(path) for path in files):
        check_package()
        forget_identifiers()
    names = _Names(source, keep_names)
    rows = []
    for number, path in enumerate(files):
        report(on_progress, number / len(files), f"De-identifying file {number + 1} of {len(files)}")
        rows.append(_deidentify_below(path, target, names))
    report(on_progress, 1.0, "Done")
    return rows


class _Names:
    """Paths of the new files below the target, as they come."""

    def __init__(self, source: Path, keep: bool):
        self._source, self._keep = source, keep
        self._volumes = 0
        self._series: dict[str, tuple[int, int]] = {}  # number of a series, and of its files so far, by its UID

    def volume(self, path: Path) -> Path:
        """Of a volume or segmentation file."""
        if self._keep:
            relative = path.relative_to(self._source)
            name = path.name[:len(path.name) - len(suffix_of(path))]
            return relative.with_name(name + target_suffix(path))
        self._volumes += 1
        return Path(f"case_{self._volumes:04d}{target_suffix(path)}")

    def dicom(self, path: Path) -> Path:
        """Of a DICOM file."""
        if self._keep:
            return path.relative_to(self._source)
        series, count = self._series.get(_series_of(path), (len(self._series) + 1, 0))
        self._series[_series_of(path)] = series, count + 1
        return Path(f"series_{series:04d}") / f"{count + 1:04d}.dcm"


def _deidentify_below(path: Path, target: Path, names: _Names) -> DeidentifiedFile:
    is_slice = _is_dicom(path)
    if not is_slice and not target_suffix(path):
        return DeidentifiedFile(path, None, _NO_IMAGE)
    if not is_slice and path.suffix.lower() == _VOXELS_ALONE:
        return DeidentifiedFile(path, None, "Its header lies in another file, and is de-identified with it.")
    try:
        place = target / (names.dicom(path) if is_slice else names.volume(path))
        if place.exists():
            return DeidentifiedFile(path, None, f"Another file has become '{place.name}' already.")
        place.parent.mkdir(parents=True, exist_ok=True)
        return _deidentify_one(path, place)
    except MedDLError as error:
        return DeidentifiedFile(path, None, str(error))


def _deidentify_one(source: Path, target: Path) -> DeidentifiedFile:
    if _is_dicom(source):
        if suffix_of(target) not in ("", ".dcm"):
            raise InputError(f"'{target.name}' cannot be written: a DICOM file stays one (.dcm).")
        check_package()
        return DeidentifiedFile(source, target, notes=deidentify_dicom(source, target))
    if not target_suffix(source):
        raise InputError(f"'{source.name}' is not de-identified: it is no volume, segmentation or DICOM image.")
    return DeidentifiedFile(source, target, notes=deidentify_volume(source, target))


def _checked_file(source: Path, target: Path) -> Path:
    if target.is_dir():
        raise InputError(f"'{target}' is a folder. Give the name of a file.")
    if target.exists() and target.samefile(source):
        raise InputError("The result would replace the file that is read. Give it another name.")
    return target


def _check_folder(source: Path, target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"'{target}' exists and is not an empty folder. Choose another place.")
    inner, outer = target.resolve(), source.resolve()
    if inner == outer or outer in inner.parents:
        raise InputError("The folder of the results lies in the folder that is read. Choose another place.")


def _files_below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(_HIDDEN)]
        yield from (Path(place) / name for name in names if not name.startswith(_HIDDEN))


def _is_dicom(path: Path) -> bool:
    try:
        return is_dicom(path)
    except OSError:
        return False


def _series_of(path: Path) -> str:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return str(dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
                   .get("SeriesInstanceUID", ""))
    except (InvalidDicomError, OSError, ValueError):
        return ""
