"""The one data type: an array with its place in space."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import DTypeLike

from meddl.core.errors import GeometryError, InputError
from meddl.spatial.grid import Grid, reorient_grid, reorientation, three


@dataclass(frozen=True, eq=False)
class Volume:
    """An image in space.

    Attributes:
        data: numpy array of real numbers, shape (C, I, J, K), any strides.
        affine: 4x4 float64, voxel index (i, j, k) to RAS mm.

    Raises:
        InputError: not four axes, an empty axis, or not real numbers.
        GeometryError: an impossible affine.
    """

    data: np.ndarray
    affine: np.ndarray

    def __post_init__(self) -> None:
        data = np.asanyarray(self.data)
        if data.ndim != 4:
            raise InputError(f"A volume's array has four axes (channel, i, j, k); this one has shape {data.shape}.")
        if data.size == 0:
            raise InputError(f"The volume is empty: its array has shape {data.shape}.")
        if data.dtype.kind not in "buif":
            raise InputError(f"A volume holds real numbers; this one holds {data.dtype}.")
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "affine", Grid(three(data.shape[1:]), self.affine).affine)

    def __reduce__(self) -> tuple[type, tuple[np.ndarray, np.ndarray]]:
        return Volume, (self.data, np.array(self.affine))

    def __repr__(self) -> str:
        channels = "" if self.channels == 1 else f"{self.channels} channels, "
        return f"Volume({channels}{self.grid.describe()}, {self.data.dtype})"

    def __sub__(self, other: "Volume | float") -> "Volume":
        """The difference of the values, signed; `other` is a number, or a volume of as many channels on this grid.

        Raises:
            GeometryError: another grid.
            InputError: another number of channels.
        """
        if not isinstance(other, Volume):
            if not isinstance(other, Real):
                return NotImplemented
            return Volume(_to_signed(self.data) - other, self.affine)
        if not self.grid.same_as(other.grid):
            raise GeometryError(f"The difference of two volumes needs one grid; these have {self.grid.describe()} and "
                                f"{other.grid.describe()}. Resample one: "
                                "meddl.spatial.resample.resample(volume, other.grid).")
        if self.channels != other.channels:
            raise InputError("The difference of two volumes needs as many channels in both; these have "
                             f"{self.channels} and {other.channels}.")
        return Volume(_to_signed(self.data) - _to_signed(other.data), self.affine)

    def __abs__(self) -> "Volume":
        """The absolute values."""
        return Volume(np.abs(_to_signed(self.data)), self.affine)

    @classmethod
    def scalar(cls, array: np.ndarray, affine: np.ndarray) -> "Volume":
        """A volume of one channel from an array of shape (I, J, K)."""
        array = np.asanyarray(array)
        if array.ndim != 3:
            raise InputError(f"A scalar volume's array has three axes (i, j, k); this one has shape {array.shape}.")
        return cls(array[None], affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        return three(self.data.shape[1:])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.data.shape[0]

    @property
    def grid(self) -> Grid:
        """The grid of the voxels."""
        return Grid(self.shape, self.affine)

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size along i, j, k in mm, shape (3,)."""
        return self.grid.spacing_mm

    @property
    def scalar_data(self) -> np.ndarray:
        """The only channel, shape (I, J, K).

        Raises:
            InputError: the volume has several channels.
        """
        if self.channels != 1:
            raise InputError(f"One channel was expected; this volume has {self.channels}. Choose one of them.")
        return self.data[0]

    def astype(self, dtype: DTypeLike) -> "Volume":
        """The volume with values of another type: whole numbers are rounded, and held at the limits of their type."""
        return Volume(as_type(self.data, np.dtype(dtype)), self.affine)

    def reorient(self, codes: str = "RAS") -> "Volume":
        """The same voxels with axes permuted and reversed to point along `codes`: a view, exact, nothing resampled."""
        permutation, flips = reorientation(self.affine, codes)
        data = self.data.transpose(0, *(a + 1 for a in permutation))
        data = data[(slice(None), *(slice(None, None, -1) if flip else slice(None) for flip in flips))]
        return Volume(data, reorient_grid(self.grid, codes).affine)


def as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in another type: whole numbers are rounded, and held at the limits of their type; booleans from 0.5 on.

    The one rule by which what is interpolated gets the type of what it was interpolated from.
    """
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    if dtype.kind == "b":
        return values >= 0.5
    if values.dtype == dtype:
        return values
    limits = np.iinfo(dtype)
    top = limits.max if dtype.itemsize <= 4 else np.nextafter(float(limits.max), 0.0)  # which has no float64
    return np.clip(np.rint(values), limits.min, top).astype(dtype)


def _to_signed(data: np.ndarray) -> np.ndarray:
    """The values in a type that holds their differences: of integers the next larger signed one."""
    if data.dtype.kind == "f":
        return data
    return data.astype(np.int16 if data.dtype.itemsize == 1 else np.int32 if data.dtype.itemsize == 2 else np.int64)
