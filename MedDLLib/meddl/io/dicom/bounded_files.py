"""DICOM files as streams and data sets that take no more memory than their true size warrants."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from meddl.core.errors import FileFormatError

if TYPE_CHECKING:
    from pydicom import Dataset

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_INFLATED = 100          # a deflated file may unpack to this many times its size, or
_INFLATED_BYTES = 1 << 28  # to this many bytes
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_PART = 1 << 20
_BEYOND = 8192  # a reader that looks for a delimiter asks for this many bytes, also at a file's end


class BoundedFile(io.BufferedReader):
    """A file that gives only what it has, and notes when more was asked for.

    Attributes:
        overrun: how many bytes some element claims to have beyond the end of the file, 0 for none.
    """

    def __init__(self, path: Path):
        super().__init__(io.FileIO(str(path)))
        self.overrun = 0
        self._end = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._end - self.tell())
        if size is None or size < 0:
            return super().read(left)
        if size > max(left, _BEYOND):
            self.overrun = max(self.overrun, size - left)
        return super().read(min(size, left))

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_SET and place > self._end:
            self.overrun = max(self.overrun, place - self._end)
        return super().seek(place, whence)


def read_data_set(path: Path, tags: list | None = None) -> Dataset:
    """The data set of a DICOM file, or only these elements of its header without the pixels.

    Raises:
        FileFormatError: it is damaged, or unpacks to far more than it is.
    """
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    try:
        with BoundedFile(path) as stream, quiet():
            _check_inflated(stream)
            stream.overrun = 0
            data_set = read_partial(stream, _end(with_pixels=tags is None), force=True,
                                    specific_tags=None if tags is None else [Tag(tag) for tag in tags])
            overrun = stream.overrun
    except OSError as error:
        raise FileFormatError(f"'{path.name}' cannot be read: {error.strerror or error}.") from error
    except FileFormatError as error:
        raise FileFormatError(f"'{path.name}' {error}") from error
    except Exception as error:  # of many types: pydicom parses whatever stands in a file
        raise FileFormatError(f"'{path.name}' is no whole DICOM file: {_first_line(error)}.") from error
    if overrun:
        raise FileFormatError(f"'{path.name}' is no whole DICOM file: an element claims {overrun} bytes more than "
                              f"the file has ({path.stat().st_size}).")
    return data_set


def _end(with_pixels: bool) -> Callable[[int, str | None, int], bool]:
    """Where reading ends: at the pixels or behind them, whatever stands there."""
    pixels_seen = False

    def is_end(tag: int, _vr: str | None, _length: int) -> bool:
        nonlocal pixels_seen
        if pixels_seen or tag not in _PIXELS:
            return pixels_seen
        pixels_seen = True
        return not with_pixels

    return is_end


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """While it lasts, pydicom neither checks values against the standard nor warns of them."""
    from pydicom.config import disable_value_validation

    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def _check_inflated(stream: BoundedFile) -> None:
    """Refuse a deflated file that unpacks to far more than its size."""
    if _DEFLATED not in stream.read(_PART // 64):
        stream.seek(0)
        return
    size = stream.seek(0, os.SEEK_END)
    limit = max(_INFLATED * size, _INFLATED_BYTES)
    stream.seek(132)
    meta = stream.read(12)
    begin = 144 + int.from_bytes(meta[8:12], "little") if meta[:4] == b"\x02\x00\x00\x00" else size
    stream.seek(min(begin, size))
    unpacked, inflate = 0, zlib.decompressobj(-zlib.MAX_WBITS)
    part = stream.read(_PART)
    while part and not inflate.eof:
        unpacked += len(inflate.decompress(part, _PART))
        if unpacked > limit:
            raise FileFormatError(f"unpacks to more than {limit >> 20} MB, {unpacked // size} times its size, "
                                  "which no image does.")
        part = inflate.unconsumed_tail or stream.read(_PART)
    stream.seek(0)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{lines[0][:200] if lines else type(error).__name__}".rstrip(".")
