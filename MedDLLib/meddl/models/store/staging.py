"""Temporary folders beside the installed models: what is in one is moved into place whole, or not at all."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from meddl.core.errors import ModelError

_NEW, _OLD, _UNPACKED = ".new-", ".old-", ".unpacked-"


@contextlib.contextmanager
def staging_folder(cache: Path) -> Iterator[Path]:
    """A new folder in `cache`, which is made where it is not there; deleted in the end, if it was not moved.

    Raises:
        ModelError: it could not be made, or what was to be in it not be written.
    """
    staging = cache / f"{_NEW}{uuid.uuid4().hex}"
    try:
        staging.mkdir(parents=True)
        yield staging
    except OSError as error:
        raise ModelError(f"The model could not be written to '{cache}': {error.strerror or error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def move_into_place(staging: Path, target: Path) -> None:
    """Make `staging` the folder `target`, beside it; what was there goes, or stays where this fails."""
    old = _name_for_old(target)
    if target.exists():
        target.replace(old)
    try:
        staging.replace(target)
    except OSError:
        if old.exists():
            old.replace(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def delete_folder(folder: Path) -> None:
    """Delete a folder; under its own name it is there whole or not at all."""
    gone = _name_for_old(folder)
    folder.replace(gone)
    shutil.rmtree(gone)


def delete_leftovers(cache: Path, older_than_s: float | None = None) -> None:
    """Delete temporary folders that a killed installation left; younger ones may be another process's.

    Args:
        older_than_s: None: all of them.
    """
    for left in (left for kind in (_NEW, _OLD, _UNPACKED) for left in cache.glob(f"{kind}*")):
        with contextlib.suppress(OSError):
            if older_than_s is None or time.time() - left.stat().st_mtime > older_than_s:
                shutil.rmtree(left, ignore_errors=True)


def _name_for_old(folder: Path) -> Path:
    return folder.with_name(f"{_OLD}{uuid.uuid4().hex}")
