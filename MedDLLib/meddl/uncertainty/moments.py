"""Mean and variance of values that come one after the other, without holding them all."""

import numpy as np


class RunningMoments:
    """Mean and variance of arrays of one shape, one pass.

    Method: B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4,
    1962, doi:10.1080/00401706.1962.10490022.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: np.ndarray | None = None
        self._squares: np.ndarray | None = None

    def add(self, values: np.ndarray) -> None:
        """Take one more array into account."""
        self.count += 1
        if self._mean is None or self._squares is None:
            self._mean = values.astype(np.float32)
            self._squares = np.zeros(values.shape, dtype=np.float32)
            return
        difference = values - self._mean
        self._mean += difference / self.count
        self._squares += difference * (values - self._mean)

    @property
    def variance(self) -> np.ndarray:
        """Of the values, with n - 1 in the denominator; zero of a single array. float32."""
        if self._squares is None:
            raise ValueError("No values were added.")
        return self._squares / max(self.count - 1, 1)
