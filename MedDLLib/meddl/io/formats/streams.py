"""Bytes out of files that are packed or lie in several parts, as one stream."""

from __future__ import annotations

import bz2
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

# How many bytes one byte of a file can become, at most: of deflate as its format allows, of bzip2 generously.
LARGEST_RATIO = {"raw": 1, "text": 1, "hex": 1, "gzip": 1032, "zlib": 1032, "bzip2": 1 << 20}
_BLOCK = 1 << 20
_PACKED_BLOCK, _PLAIN_BLOCK = 1 << 16, 1 << 18  # small, so that little of what is left over is copied
_ANY_WRAPPER = 47  # of deflated data: zlib's or gzip's


class _Source(Protocol):
    def readinto(self, view: memoryview, /) -> int | None:
        """Fill the view, as far as there is something."""


class Stream:
    """The bytes of files, unpacked, one file after the other.

    Args:
        files: where they are.
        encoding: "raw", "gzip", "zlib" or "bzip2".
        offset: bytes before the packed data of each file.
        skip: unpacked bytes before the numbers of each file; -1: the numbers are the end of the one file.
        data_bytes: of all numbers.
    """

    def __init__(self, files: Sequence[Path], encoding: str, offset: int, skip: int, data_bytes: int):
        self._encoding, self._data_bytes = encoding, data_bytes
        self._offset, self._skip = offset, skip
        self._single = encoding == "raw" and len(files) == 1
        self._parts = self._open(files)
        self._source: _Source | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> Stream:
        self._next()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file is not None:
            self._file.close()

    def readinto(self, view: memoryview) -> int:
        """Fill the view, as far as there is something; 0 at the end alone."""
        while self._source is not None and len(view):
            count = self._source.readinto(view)
            if count:
                return count
            self._next()
        return 0

    def read(self) -> bytes:
        """All that is left."""
        parts, block = [], bytearray(_BLOCK)
        while count := self.readinto(memoryview(block)):
            parts.append(bytes(block[:count]))
        return b"".join(parts)

    def pass_over(self, count: int) -> int:
        """Go on by `count` bytes; returns by how many, fewer at the end alone."""
        passed = 0
        if self._single and self._file is not None:
            here = self._file.tell()
            passed = max(min(count, self._file.seek(0, io.SEEK_END) - here), 0)
            self._file.seek(here + passed)
            return passed
        block = memoryview(bytearray(min(_BLOCK, max(count, 0))))
        while passed < count and (got := self.readinto(block[:count - passed])):
            passed += got
        return passed

    def _next(self) -> None:
        if self._file is not None:
            self._file.close()
        self._source, self._file = next(self._parts, (None, None))

    def _open(self, files: Sequence[Path]) -> Iterator[tuple[_Source, BinaryIO]]:
        for path in files:
            plain: io.BufferedReader = path.open("rb")
            try:
                plain.seek(max(path.stat().st_size - self._data_bytes, 0) if self._skip < 0 else self._offset)
                source = self._decompress(plain)
                left = max(self._skip, 0)
                while left and (got := source.readinto(memoryview(bytearray(min(left, _BLOCK))))):
                    left -= got
            except BaseException:
                plain.close()
                raise
            yield source, plain

    def _decompress(self, plain: io.BufferedReader) -> _Source:
        if self._encoding == "bzip2":
            return bz2.BZ2File(plain)
        return _Inflated(plain) if self._encoding in ("gzip", "zlib") else plain


class _Inflated:
    """The bytes of a zlib stream, or of the members of a gzip file, whose checksums are compared.

    Raises EOFError where it ends early, zlib.error where it is damaged.
    """

    def __init__(self, packed: BinaryIO):
        self._packed, self._inflate, self._next = packed, zlib.decompressobj(_ANY_WRAPPER), b""

    def readinto(self, view: memoryview, /) -> int:
        """Fill the view, as far as there is something; 0 at the end alone."""
        filled = 0
        while filled < len(view) and not (self._inflate.eof and not self._is_followed()):
            packed = self._inflate.unconsumed_tail or self._next or self._packed.read(_PACKED_BLOCK)
            self._next = b""
            if not packed:
                raise EOFError("compressed data end before their end-of-stream marker")
            plain = self._inflate.decompress(packed, min(len(view) - filled, _PLAIN_BLOCK))
            view[filled:filled + len(plain)] = plain
            filled += len(plain)
        return filled

    def _is_followed(self) -> bool:
        """Whether another member of a gzip file comes after the one that has ended; it is begun."""
        rest = self._inflate.unused_data
        rest += self._packed.read(2) if len(rest) < 2 else b""
        if rest[:2] != b"\x1f\x8b":
            return False
        self._inflate, self._next = zlib.decompressobj(_ANY_WRAPPER), rest
        return True
