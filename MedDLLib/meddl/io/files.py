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
    name = Path(path).name.lower()
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")


def existing_path(path: str | Path) -> Path:
    """The path of something that is there.

    Raises:
        InputError: nothing is there.
        FileFormatError: an empty file.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError(f"'{place}' does not exist. Check the name and the folder.")
    if place.is_file() and place.stat().st_size == 0:
        raise FileFormatError(f"'{place}' is empty (0 bytes). It was not written to its end; make it again.")
    return place


@contextlib.contextmanager
def replacing(path: str | Path, suffix: str) -> Iterator[Path]:
    """A temporary name beside `path`; what was written to it takes the place of `path` when all went well.

    Raises:
        InputError: the folder does not exist or cannot be written to.
    """
    place = Path(path).expanduser()
    if not place.parent.is_dir():
        raise InputError(f"The folder '{place.parent}' does not exist. Create it, or choose another place.")
    if place.is_dir():
        raise InputError(f"'{place}' is a folder. Give the name of a file.")
    if not os.access(place.parent, os.W_OK):
        raise InputError(f"The folder '{place.parent}' cannot be written to. Choose another place.")
    temporary = place.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        yield temporary
        temporary.replace(place)
    except OSError as error:
        raise InputError(f"'{place}' could not be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


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
