"""What a run tells of its progress, beside the CPU time that it has taken."""

import time


class ProgressTrace:
    """A progress callback that remembers how much CPU time passed between two rises of the fraction.

    Attributes:
        rises: (CPU seconds since the rise before, fraction, message) of each rise of 0.0001 or more.
        falls: (fraction before, fraction after, message) of each fall.
    """

    def __init__(self):
        self.rises, self.falls = [], []
        self._fraction, self._at = 0.0, time.process_time()

    def __call__(self, fraction: float, message: str) -> None:
        if fraction < self._fraction - 1e-6:
            self.falls.append((self._fraction, fraction, message))
        if fraction >= self._fraction + 1e-4:
            now = time.process_time()
            self.rises.append((now - self._at, fraction, message))
            self._fraction, self._at = fraction, now

    def longest(self, count: int = 3) -> list[tuple[float, float, str]]:
        """The longest pauses, longest first; each with the fraction and message that ended it."""
        return sorted(self.rises, reverse=True)[:count]
