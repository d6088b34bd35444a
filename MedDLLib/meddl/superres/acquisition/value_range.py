"""Intensities to a common range and back, exactly."""

from dataclasses import dataclass

import numpy as np

_SAMPLES = 1 << 20
_LOW, _HIGH = 0.5, 99.5  # percentiles that become 0 and 1


@dataclass(frozen=True)
class ValueRange:
    """An affine map of intensities: `floor` becomes 0 and `floor + width` becomes 1. Nothing is clipped."""

    floor: float
    width: float

    @classmethod
    def of(cls, data: np.ndarray) -> "ValueRange":
        """The range from percentile 0.5 to 99.5 of an even subsample; of a sparse image from least to largest.

        A constant gets its value as floor, and width 1.
        """
        step = max(1, int(np.cbrt(data.size / _SAMPLES)))
        few = data[tuple(slice(None, None, step) if n > step else slice(None) for n in data.shape)]
        low, high = np.percentile(few.astype(np.float64), (_LOW, _HIGH))
        if not high > low:
            low, high = float(data.min()), float(data.max())
        return cls(float(low), float(high - low) if high > low else 1.0)

    def to_unit(self, values: np.ndarray) -> np.ndarray:
        """Intensities as float32 in the common range; the difference is taken before digits are lost."""
        wide = np.float64 if work_type(values.dtype) == np.float64 else np.float32
        return ((values.astype(wide) - wide(self.floor)) / wide(self.width)).astype(np.float32)

    def from_unit(self, values: np.ndarray, dtype=np.float32) -> np.ndarray:
        """The inverse of `to_unit`, in a floating-point type."""
        return values.astype(dtype) * dtype(self.width) + dtype(self.floor)


def work_type(dtype: np.dtype) -> np.dtype:
    """The floating-point type that holds every digit of `dtype` that interpolation can use."""
    many_digits = dtype.itemsize > 4 or (dtype.itemsize == 4 and dtype.kind in "iu")
    return np.dtype(np.float64 if many_digits else np.float32)
