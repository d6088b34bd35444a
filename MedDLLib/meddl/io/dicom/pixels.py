"""The values of frames: decoded, and each by its own slope and intercept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meddl.core.errors import FileFormatError
from meddl.io.dicom.bounded_files import quiet, read_data_set
from meddl.io.dicom.decoding import Decoder
from meddl.io.dicom.headers import Frame

if TYPE_CHECKING:
    from pydicom import Dataset

_PACKED = 20_000    # compressed pixels may unpack to this many times their size; RLE
_PACKED_RLE = 64    # can do no more than this


def read_values(frames: Sequence[Frame]) -> np.ndarray:
    """Values of frames of one size, (frames, rows, columns) or (frames, rows, columns, colors).

    As stored, or of the smallest integers that hold them, where all slopes and intercepts are whole numbers; else
    float32, each frame by its own.

    Raises:
        FileFormatError: a file is damaged, or holds less than it says.
    """
    values: np.ndarray | None = None
    places = sorted(range(len(frames)), key=lambda n: (str(frames[n].file), frames[n].index))
    with Decoder() as decoder:
        for file, members in itertools.groupby(places, key=lambda n: frames[n].file):
            stored, bits = _stored_values(file, decoder)
            for place in members:
                one = stored[frames[place].index] if frames[place].index < len(stored) else None
                if one is None or one.shape[1::-1] != frames[place].size:
                    raise FileFormatError(f"'{file.name}' holds other frames than its header says.")
                if values is None:
                    values = np.empty((len(frames), *one.shape), _value_type(frames, stored.dtype, bits))
                if one.shape != values.shape[1:]:
                    raise FileFormatError(f"'{file.name}' has {one.shape[2:] or 1} colors, other files of its series "
                                          f"{values.shape[3:] or 1}.")
                _rescale(one, frames[place], values, place)
    if values is None:
        raise FileFormatError("There is no frame to read.")
    return values


def _rescale(stored: np.ndarray, frame: Frame, values: np.ndarray, place: int) -> None:
    if values.dtype.kind == "f":
        values[place] = stored * np.float64(frame.slope) + frame.intercept
    elif (frame.slope, frame.intercept) == (1.0, 0.0):
        values[place] = stored
    else:
        values[place] = stored.astype(np.int64) * int(frame.slope) + int(frame.intercept)


def _value_type(frames: Sequence[Frame], stored: np.dtype, bits: int) -> np.dtype:
    """The type that holds the values of all frames."""
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if stored.kind == "f" or not all(number.is_integer() for scale in scales for number in scale):
        return np.dtype(np.float64 if stored.itemsize > 4 else np.float32)
    if scales == {(1.0, 0.0)}:
        return stored
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if stored.kind == "i" else (0, (1 << bits) - 1)
    ends = [end * slope + intercept for slope, intercept in scales for end in (low, high)]
    kinds = (np.int8, np.int16, np.int32) if min(ends) < 0 else (np.uint8, np.uint16, np.int32)
    holding = (kind for kind in kinds if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max)
    return np.dtype(next(holding, np.float32))


def _stored_values(path: Path, decoder: Decoder) -> tuple[np.ndarray, int]:
    """The stored values of a file, (frames, rows, columns[, colors]), and how many bits each has."""
    data_set = read_data_set(path)
    try:
        with quiet():
            size = _check_size(path, data_set)
            compressed = data_set.file_meta.TransferSyntaxUID.is_compressed if "TransferSyntaxUID" in getattr(
                data_set, "file_meta", ()) else False
            own = compressed and data_set.file_meta.TransferSyntaxUID.is_encapsulated and not _is_rle(data_set)
            array = decoder.decode(path.name, data_set, size) if own else _used_bits(data_set.pixel_array, data_set)
            frames = int(data_set.get("NumberOfFrames") or 1)
            rows, columns = int(data_set.Rows), int(data_set.Columns)
            samples = int(data_set.get("SamplesPerPixel") or 1)
            return array.reshape(frames, rows, columns, *([samples] if samples > 1 else [])), \
                int(data_set.get("BitsStored") or array.dtype.itemsize * 8)
    except FileFormatError:
        raise
    except Exception as error:  # of many types, as the header
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileFormatError(f"The pixels of '{path.name}' cannot be read: {cause}") from error


def _check_size(path: Path, data_set: Dataset) -> int:
    """The bytes of the pixels; refused where they cannot be as many as the header says, before there is memory."""
    pixels = next((data_set[name].value for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
                   if name in data_set), b"")
    bits = int(data_set.get("BitsAllocated") or 0)
    expected = (int(data_set.get("NumberOfFrames") or 1) * int(data_set.Rows) * int(data_set.Columns)
                * int(data_set.get("SamplesPerPixel") or 1) * bits // 8)
    syntax = getattr(data_set, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is not None and syntax.is_encapsulated:
        packed = _PACKED_RLE if _is_rle(data_set) else _PACKED
    elif data_set.get("PhotometricInterpretation") == "YBR_FULL_422":
        packed = 2
    else:
        packed = 1
    if not pixels or bits < 1 or expected > packed * (len(pixels) + 1):
        raise FileFormatError(f"'{path.name}' is not complete: {len(pixels)} bytes of pixels, where its header "
                              f"describes {expected}.")
    return expected


def _is_rle(data_set: Dataset) -> bool:
    from pydicom.uid import RLELossless

    return data_set.file_meta.TransferSyntaxUID == RLELossless


def _used_bits(array: np.ndarray, data_set: Dataset) -> np.ndarray:
    """Values without what else may stand in their unused bits, such as an overlay."""
    allocated, stored = int(data_set.BitsAllocated), int(data_set.get("BitsStored") or data_set.BitsAllocated)
    if array.dtype.kind not in "iu" or not 0 < stored < allocated or array.dtype.itemsize * 8 != allocated:
        return array
    high = int(data_set.get("HighBit", stored - 1) or stored - 1)
    return array << max(0, allocated - 1 - high) >> (allocated - stored)
