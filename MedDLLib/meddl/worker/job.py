"""A `Job` is one run of a function in the worker, as the caller sees it. The worker of `client` moves it on."""

import time
from typing import Any, Protocol

from meddl.worker.blocks import Block
from meddl.worker.messages import Packed, Spent

WAIT_S = 0.05  # the longest wait between two polls


class Runner(Protocol):
    """What a job asks of the `Worker` that runs it."""

    def poll(self) -> None: ...

    def _cancel(self, job: "Job") -> None: ...

    def _stop_early(self, job: "Job") -> None: ...

    def _wait(self, seconds: float) -> None: ...


class Job:
    """One run of a function in the worker.

    Attributes:
        target: what runs, "package.module:function".
        state: "queued", "running", "done", "failed" or "cancelled", as of the last poll of any job of the
            worker.
        progress: (fraction 0..1, message), the last that came.
        preview: the newest preview that came (`meddl.core.progress.preview`), None before the first. They come only
            where the job was submitted with `previews=True`.
        spent: seconds, CPU time and memory that the run has taken in the worker; zeros until it has ended.
    """

    def __init__(self, worker: Runner, number: int, target: str, packed: Packed, block: Block | None,
                 previews: bool = False):
        self.target = target
        self.state = "queued"
        self.progress: tuple[float, str] = (0.0, "")
        self.preview: Any = None
        self.spent = Spent()
        self._worker = worker
        self._number = number
        self._packed = packed
        self._block = block
        self._previews = previews
        self._sends = 0
        self._started = False
        self._cancelled_at: float | None = None
        self._stops_early = False
        self._value: Any = None
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Job {self._number} {self.target} {self.state}>"

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state in ("done", "failed", "cancelled")

    def poll(self) -> str:
        """Take what came from the worker, without waiting, and kill it where a cancel is overdue.

        Returns:
            The state.
        """
        self._worker.poll()
        return self.state

    def cancel(self) -> None:
        """Ask the computation to stop. Unless it does so in 0.7 s, the next `poll` kills its process."""
        self._worker._cancel(self)

    def stop_early(self) -> None:
        """Ask the computation to end with the best that it has so far, where it can: see `meddl.core.progress`."""
        self._worker._stop_early(self)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value. Its arrays may be views of shared memory that they keep alive.

        Args:
            timeout: seconds to wait; None: until it ends.

        Raises:
            MedDLError: what the computation raised (InputError, OutOfMemoryError, ...), with the worker's
                traceback in `.details`; Cancelled; WorkerError if it raised something else or its process ended.
            TimeoutError: it has not ended in time; it goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            self.poll()
            if self.done:
                break
            remaining = WAIT_S if deadline is None else min(WAIT_S, deadline - time.monotonic())
            if remaining <= 0:
                raise TimeoutError(f"{self.target} has not ended after {timeout} s.")
            self._worker._wait(remaining)
        if self._error is not None:
            raise self._error
        return self._value

    def _end(self, state: str, value: Any = None, error: Exception | None = None) -> None:
        self.state, self._value, self._error = state, value, error
        self._drop_arguments()

    def _drop_arguments(self) -> None:
        self._packed = Packed()
        if self._block is not None:
            self._block.close()
            self._block = None
