"""What all readers and writers share: names of formats, and files that appear whole or not at all."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from meddl.core.errors import FileFormatError, InputError

# Longest first: "a.seg.nrrd" is a segmentation, "a.nii.gz" is not plain gzip.
_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".hdr", ".img", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm")
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")
READABLE = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd) or a folder with a DICOM series"


def suffix_of(path: str | Path) -> str:
    """The known suffix that the file name ends with, in lower case, or '' for an unknown one."""
    name = os.fspath(path).rstrip("/").lower()  # no Path: folders of thousands of files are looked through
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")


def as_path(path: object, expected: str = "a file") -> Path:
    """A path, "~" expanded; `expected` is what it is that of.

    Raises:
        InputError: no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"The path of {expected} is expected; got {type(path).__name__}.")
    return Path(path).expanduser()


def existing_path(path: str | Path) -> Path:
    """The path of something that is there.

    Raises:
        InputError: no path, or nothing is there.
        FileFormatError: an empty file.
    """
    place = as_path(path)
    if not place.exists():
        raise InputError(f"'{place}' does not exist. Check the name and the folder.")
    if place.is_file() and place.stat().st_size == 0:
        raise FileFormatError(f"'{place}' is empty (0 bytes). It was not written to its end; make it again.")
    return place


def check_place(path: str | Path) -> Path:
    """The place of a file that is to be written.

    Raises:
        InputError: it is a folder, or its folder does not exist or cannot be written to.
    """
    place = Path(path).expanduser()
    check_folder_of(place)
    if place.is_dir():
        raise InputError(f"'{place}' is a folder. Give the name of a file.")
    return place


def check_folder_of(place: Path) -> None:
    """Raise an InputError where the folder of a file or folder that is to be made does not exist, or is closed."""
    if not place.parent.is_dir():
        raise InputError(f"The folder '{place.parent}' does not exist. Create it, or choose another place.")
    if not os.access(place.parent, os.W_OK):
        raise InputError(f"The folder '{place.parent}' cannot be written to. Choose another place.")


@contextlib.contextmanager
def replacing(path: str | Path, suffix: str) -> Iterator[Path]:
    """A temporary name beside `path`; what was written to it takes the place of `path` when all went well, and once it
    has reached the disk.

    Raises:
        InputError: the folder does not exist or cannot be written to, or the disk is full.
    """
    place = check_place(path)
    temporary = place.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        yield temporary
        _settle(temporary)
        temporary.replace(place)
    except OSError as error:
        raise InputError(f"'{place}' could not be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _settle(file: Path) -> None:
    """Wait until a file is on the disk: a full network disk says so here at the latest."""
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def check_room(file: Path, size: int) -> None:
    """Write so many bytes to a file and empty it again, for a library that cannot be stopped once it writes.

    Raises:
        OSError: the disk has no room for them.
    """
    block = bytes(min(size, 1 << 20))
    with file.open("wb") as stream:
        while stream.tell() < size:
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
        stream.truncate(0)


def cut_short(place: Path) -> InputError:
    """The error of a file that was written, and is not what was to be written."""
    free = shutil.disk_usage(place.expanduser().absolute().parent).free
    return InputError(f"'{place}' could not be written whole: what reached the disk is not what was written. "
                      f"{free / 1e6:.0f} MB are left there; make room and try again. What was there before is "
                      "unchanged.")


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path`; it becomes `path`, which is absent or empty, when all went well, else it vanishes.

    Raises:
        InputError: `path` is not an empty folder, or its parent does not exist or cannot be written to.
    """
    place = Path(path).expanduser()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"'{place}' is not an empty folder. Give the name of a new one.")
    temporary = place.absolute().with_name(f".{uuid.uuid4().hex}")
    try:
        temporary.mkdir()
        yield temporary
        if place.exists():
            place.rmdir()
        temporary.replace(place)
    except OSError as error:
        raise InputError(f"'{place}' could not be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
