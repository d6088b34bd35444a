"""What kind of PyTorch file a file is, by the names inside it. Nothing is loaded."""

import zipfile
import zlib
from pathlib import Path

from meddl.models.formats.pickle_check import MAXIMUM_PICKLE

CHECKPOINT = "checkpoint"
TORCHSCRIPT = "TorchScript"
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def torch_kind(place: Path) -> str | None:
    """CHECKPOINT, TORCHSCRIPT, or None where it is neither."""
    try:
        if not zipfile.is_zipfile(place):
            with place.open("rb") as stream:
                return CHECKPOINT if stream.read(2) in _PICKLE_STARTS else None
        with zipfile.ZipFile(place) as opened:
            names = opened.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
    tops = {name.split("/", 1)[0] for name in names}
    if len(tops) != 1 or not any(name.endswith("/data.pkl") for name in names):
        return None
    scripted = any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)
    return TORCHSCRIPT if scripted else CHECKPOINT


def mentions(place: Path, *words: str) -> bool:
    """Whether a checkpoint's table of contents holds all these words."""
    try:
        if zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as opened:
                name = next(name for name in opened.namelist() if name.endswith("/data.pkl"))
                if opened.getinfo(name).file_size > MAXIMUM_PICKLE:
                    return False
                content = opened.read(name)
        else:
            with place.open("rb") as stream:
                content = stream.read(MAXIMUM_PICKLE)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, StopIteration, ValueError, RuntimeError,
            NotImplementedError):
        return False
    return all(word.encode() in content for word in words)
