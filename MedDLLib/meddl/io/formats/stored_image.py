"""What a volume file's header says, for all formats alike, and the voxels that it promises.

No memory is taken and nothing is read before the header was found possible: each number of it is finite, and the file
is long enough for all voxels. Compressed data must be whole and have the right checksum.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError, FileWarning, InputError, OutOfMemoryError
from meddl.io.formats.streams import LARGEST_RATIO, Stream
from meddl.io.header import VolumeHeader

TIME, COMPONENT, COMPLEX = ("time points (fourth dimension)", "vector or color components",
                            "parts of complex numbers (0 real, 1 imaginary)")
_LONGEST_AXIS = 2 ** 31
_SLACK = 1 << 26  # bytes after the voxels that are still read to reach the checksum
_BLOCK = 1 << 20


@dataclass(frozen=True)
class StoredImage:
    """The image in a file, its voxels not read yet.

    Attributes:
        name: what messages call the file.
        sizes: of the array, fastest axis first: three axes of space, and at most one other.
        dtype: of a number as stored, with its byte order.
        affine: 4x4, voxel index (i, j, k) to RAS mm.
        files: where the numbers are, one file after the other.
        encoding: "raw", "gzip", "zlib", "bzip2", "text" or "hex".
        skip: bytes before the numbers of each file, once it is unpacked; -1: the numbers are its end.
        offset: bytes before the packed data of each file.
        channel_axis: which axis of `sizes` is not one of space; None where there is none.
        channels: what lies along it, in words.
        scale: slope and intercept of stored numbers; None for none.
        ras_vectors: the first two components change sign between the file and LPS.
        time_step: of the channels, in the file's own unit; 1 where it has none.
        said: what the header says of the volume beyond voxels and grid.
        fields: further entries of the header.
        doubts: what the user has to know of the header, each a sentence.
    """

    name: str
    sizes: tuple[int, ...]
    dtype: np.dtype
    affine: np.ndarray
    files: tuple[Path, ...]
    encoding: str = "raw"
    skip: int = 0
    offset: int = 0
    channel_axis: int | None = None
    channels: str = TIME
    scale: tuple[float, float] | None = None
    ras_vectors: bool = False
    time_step: float = 1.0
    said: VolumeHeader = VolumeHeader()
    fields: dict[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.sizes) < 1 or max(self.sizes) >= _LONGEST_AXIS:
            raise FileFormatError(f"'{self.name}' has a damaged header: its array is {_by(self.sizes)}.")
        space = [n for axis, n in enumerate(self.sizes) if axis != self.channel_axis]
        if len(space) == 2:
            raise InputError(f"'{self.name}' is a 2D image of {_by(space)} pixels; a 3D volume is needed.")
        if len(space) != 3:
            raise FileFormatError(f"'{self.name}' has {len(space)} dimensions; 3 (or 4, with time) can be read.")
        if not np.isfinite(self.affine).all():
            raise FileFormatError(f"'{self.name}' has a damaged header: the places of its voxels are not "
                                  "finite numbers.")

    @property
    def count(self) -> int:
        """Number of channels."""
        return 1 if self.channel_axis is None else self.sizes[self.channel_axis]

    @property
    def data_bytes(self) -> int:
        """Bytes of all numbers."""
        return prod(self.sizes) * self.dtype.itemsize

    def warn(self) -> None:
        """Say each doubt once as a FileWarning."""
        for text in self.doubts:
            warnings.warn(f"'{self.name}' {text}", FileWarning, stacklevel=4)

    def read(self, channel: int | None = None) -> np.ndarray:
        """The numbers as (C, I, J, K), scaled, in the machine's byte order; `channel` alone where it is given.

        Every byte is read and checked in any case.

        Raises:
            FileFormatError: numbers are missing, or compressed data are damaged.
        """
        slowest = self.channel_axis == len(self.sizes) - 1 and channel is not None
        part = self.data_bytes // self.count if slowest else self.data_bytes
        begin = part * channel if slowest and channel is not None else 0
        if self.encoding in ("text", "hex"):
            raw = self._read_text()[begin:begin + part]
        else:
            self._check_room()
            raw = self._take(begin, part)
        sizes = (*self.sizes[:-1], 1) if slowest else self.sizes
        array = raw.view(self.dtype).reshape(sizes, order="F")
        axis = self.channel_axis
        array = array[None] if axis is None else np.moveaxis(array, axis, 0)
        if channel is not None and not slowest:
            array = np.asfortranarray(array[channel:channel + 1])
        if not array.dtype.isnative:
            array = array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))
        return self._rescale(array)

    def compare(self, content: np.ndarray) -> bool:
        """Whether the file's numbers, and the bytes given, are the same; reads block by block.

        Raises:
            FileFormatError: as of `read`.
        """
        self._check_room()
        if len(content) != self.data_bytes:
            return False
        buffer, done, same = np.empty(_BLOCK, np.uint8), 0, True
        with _as_format_errors(self.name), self._open() as stream:
            while done < len(content):
                count = stream.readinto(buffer.data[:len(content) - done])
                if not count:
                    self._cut_off(done)
                same = same and np.array_equal(buffer[:count], content[done:done + count])
                done += count
            self._read_to_end(stream)
        return same

    def check(self) -> None:
        """Read the file through, keeping nothing.

        Raises:
            FileFormatError: as of `read`.
        """
        if self.encoding in ("text", "hex"):
            self._read_text()
        else:
            self._check_room()
            self._take(0, 0)

    def _rescale(self, array: np.ndarray) -> np.ndarray:
        if self.scale is not None:
            wide = array.dtype.itemsize > 4 or array.dtype.kind in "iu" and array.dtype.itemsize > 2
            slope, intercept = self.scale
            with np.errstate(over="ignore", invalid="ignore"):
                array = array.astype(np.float64 if wide else np.float32)
                array *= slope
                array += intercept
        if self.ras_vectors:
            array = array * np.array([-1, -1, 1], array.dtype)[:, None, None, None]
        return array

    def _check_room(self) -> None:
        """Refuse a header that promises more than the file can hold."""
        there = sum(path.stat().st_size for path in self.files)
        room = there * LARGEST_RATIO[self.encoding]
        if self.data_bytes + max(self.skip, 0) + self.offset > room:
            self._cut_off(max(there - self.offset - max(self.skip, 0), 0) if self.encoding == "raw" else None)

    def _open(self) -> Stream:
        return Stream(self.files, self.encoding, self.offset, self.skip, self.data_bytes)

    def _take(self, begin: int, part: int) -> np.ndarray:
        """`part` bytes from `begin`, all others read over; raw ones are only counted."""
        with _as_format_errors(self.name), self._open() as stream:
            passed = stream.pass_over(begin)
            if passed < begin:
                self._cut_off(passed)
            try:
                buffer = np.zeros(part, dtype=np.uint8)
            except (MemoryError, ValueError) as error:
                raise OutOfMemoryError(f"'{self.name}' needs {part / 1e9:.1f} GB of memory.") from error
            view, filled = buffer.data, 0
            while filled < part and (count := stream.readinto(view[filled:filled + _BLOCK])):
                filled += count
            rest = self.data_bytes - begin - part
            if filled < part or (passed := stream.pass_over(rest)) < rest:
                self._cut_off(begin + filled + (passed if filled == part else 0))
            self._read_to_end(stream)
        return buffer

    def _read_to_end(self, stream: Stream) -> None:
        """Go on to where the checksum stands."""
        if self.encoding != "raw" and stream.pass_over(_SLACK) == _SLACK:
            raise FileFormatError(f"'{self.name}' is damaged: it holds far more than the {self.data_bytes} bytes that "
                                  "its header promises.")

    def _read_text(self) -> np.ndarray:
        if prod(self.sizes) > sum(path.stat().st_size for path in self.files):
            self._cut_off(None)
        with _as_format_errors(self.name), Stream(self.files, "raw", self.offset, self.skip, 0) as stream:
            text = stream.read()
        try:
            if self.encoding == "hex":
                raw = np.frombuffer(bytearray.fromhex(text.decode("ascii")), dtype=np.uint8)
            else:
                raw = _numbers(text.split(), self.dtype).view(np.uint8)
        except (ValueError, OverflowError, TypeError) as error:
            raise FileFormatError(f"'{self.name}' is damaged: its numbers cannot be read ({error}).") from error
        if len(raw) < self.data_bytes:
            self._cut_off(len(raw))
        return raw[:self.data_bytes]

    def _cut_off(self, there: int | None) -> None:
        found = "its length cannot hold them" if there is None else f"{there} are there"
        raise FileFormatError(f"'{self.name}' is cut off: its header promises {self.data_bytes} bytes of voxels, "
                              f"{found}. Copy or download it again.")


class _as_format_errors:  # noqa: N801  reads as a function
    """What damaged compression and absent data files raise becomes a FileFormatError."""

    def __init__(self, name: str):
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EOFError | zlib.error) or isinstance(error, OSError) and error.errno is None:
            raise FileFormatError(f"'{self._name}' is damaged or was cut off ({error}). "
                                  "Copy or download it again.") from error
        if isinstance(error, OSError):
            raise FileFormatError(f"'{self._name}' cannot be read: {error.filename or 'its data'}: "
                                  f"{error.strerror or error}.") from error


def _numbers(words: Sequence[bytes], dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return np.array([float(word) for word in words], dtype)
    return np.array([int(word) for word in words], dtype)


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(str(n) for n in sizes)
