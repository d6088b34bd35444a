"""Seconds by stage, for reports."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Measures how long the stages of a run take; it runs from when it is made.

        clock = StageClock()
        with clock.stage("load"):
            ...
        report["seconds"] = clock.seconds
    """

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside to a stage, also where it ends in an error; a stage entered again goes on."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._stages[name] = self._stages.get(name, 0.0) + time.perf_counter() - begin

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage in their order, then "total": all since the clock was made, between the stages too."""
        total = time.perf_counter() - self._begin
        return {name: round(value, 4) for name, value in {**self._stages, "total": total}.items()}
