"""Checkpoints: a file from which a training goes on, whole or as it was before."""

import os
from pathlib import Path

import torch

from meddl.core.errors import InputError

_ROOM = "What was trained until the checkpoint before is kept: make room and run the same command again to resume."


def write_checkpoint(path: Path, content: dict) -> None:
    """Write tensors and numbers under a temporary name and move them into place.

    Raises:
        InputError: the disk is full or the folder cannot be written to; the earlier checkpoint is unchanged.
    """
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        torch.save(content, temporary)
        with temporary.open("r+b") as stream:
            os.fsync(stream.fileno())  # a full network disk says so here at the latest
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer says RuntimeError of a full disk
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "the disk is full or was removed"
        raise InputError(f"The checkpoint '{path}' could not be written: {reason}. {_ROOM}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path, device: torch.device) -> dict | None:
    """The content of a checkpoint, None where there is none.

    Raises:
        InputError: it is damaged, or no checkpoint.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds: pickle, zip, its own
        raise InputError(f"The checkpoint '{path}' cannot be read ({type(error).__name__}). Delete it, or train into "
                         "another folder, to begin anew.") from error
