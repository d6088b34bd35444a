"""Several runs one after the other in the shared worker process, which keeps the model loaded between them."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import qt
import slicer

from meddl.core.errors import Cancelled, forget_frames
from meddl_slicer.runs.tasks import FINAL_STATES


class Step(NamedTuple):
    """One run of a batch: its name, and a function that starts it with (onProgress, onDone) and returns its Task."""

    name: str
    start: Callable


class Ended(NamedTuple):
    """How a step ended: "done", "failed" or "cancelled"; its result or its error; seconds."""

    name: str
    state: str
    value: Any = None
    error: Exception | None = None
    seconds: float = 0.0


class Batch:
    """Runs that follow one another; to the outside it is like a Task.

    A step that fails does not stop the rest, unless asked to. When the last one has ended, `finish` makes the batch's
    result of all of them. A cancel stops the step under way and those that wait; what was made before stays. A batch
    that has ended holds its value or error and nothing else.

    Args:
        steps: in their order.
        finish: called once with an Ended for each step, while the scene is open; its value is the result.
        onProgress: called with (fraction of all, what is being done).
        onDone: called with the Batch when it has ended.
        stopAtError: the first error ends the batch with that error, and `finish` is not called.

    Attributes:
        state: "queued", "running", "done", "failed" or "cancelled".
        progress: (fraction 0 to 1, words).
        error: what went wrong, or None.
    """

    def __init__(self, steps: Sequence[Step], finish, onProgress=None, onDone=None, stopAtError: bool = False):
        self.state = "queued"
        self.progress = (0.0, "")
        self.error = None
        self._steps = list(steps)
        self._finish = finish
        self._onProgress = onProgress
        self._onDone = onDone
        self._stopAtError = stopAtError
        self._ended: list[Ended] = []
        self._task = None
        self._begun = 0.0
        self._cancelled: str | None = None
        self._value = None
        self._scene = slicer.mrmlScene
        self._closeTag = self._scene.AddObserver(self._scene.StartCloseEvent, self._onSceneClose)
        _running.add(self)
        qt.QTimer.singleShot(0, self._next)

    @property
    def done(self) -> bool:
        """Whether the batch has ended, in whatever way."""
        return self.state in FINAL_STATES

    def cancel(self, reason: str = "The run was cancelled.") -> None:
        """Stop the step under way and leave out the rest. The batch ends at once."""
        if self.done or self._cancelled is not None:
            return
        self._cancelled = reason
        if self._task is not None and not self._task.done:
            self._task.cancel(reason)  # its end ends the batch
        else:
            self._next()

    def result(self, timeout: float | None = None):
        """Wait, with the application's events running, and return what `finish` made.

        Raises:
            Cancelled: it was cancelled, or the scene was closed.
            TimeoutError: `timeout` seconds have passed; the batch goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"The run has not ended within {timeout:g} s.")
            slicer.app.processEvents()
            time.sleep(0.005)
        if self.error is not None:
            raise self.error
        return self._value

    def _next(self) -> None:
        """Start the step whose turn it is, or end."""
        if self.done:
            return
        if self._cancelled is not None or len(self._ended) == len(self._steps):
            self._end()
            return
        step = self._steps[len(self._ended)]
        self.state, self._begun, self._task = "running", time.monotonic(), None
        self._stepProgress(0.0, "Starting")
        try:
            task = step.start(self._stepProgress, self._stepDone)
        except Exception as error:  # noqa: BLE001  whatever it is, it is this step's alone
            self._take(Ended(step.name, "failed", error=forget_frames(error)))
            return
        if not task.done:
            self._task = task

    def _stepProgress(self, fraction: float, stage: str) -> None:
        number, total = len(self._ended), len(self._steps)
        self.progress = ((number + fraction) / total, f"{number + 1} of {total}, {self._steps[number].name}: {stage}")
        if self._onProgress is not None:
            self._onProgress(*self.progress)

    def _stepDone(self, task) -> None:
        name = self._steps[len(self._ended)].name
        value = task.result() if task.state == "done" else None
        # A single step that was cancelled lost its input; the others go on.
        state = "failed" if task.state == "cancelled" and self._cancelled is None else task.state
        self._take(Ended(name, state, value, task.error, time.monotonic() - self._begun))

    def _take(self, ended: Ended) -> None:
        self._ended.append(ended)
        self._task = None
        if ended.state == "failed":
            logging.warning("MedDL: %s: %s", ended.name, ended.error)
            if self._stopAtError:
                self._close("failed", ended.error)
                return
        if self._cancelled is not None:
            self._next()
        else:
            qt.QTimer.singleShot(0, self._next)

    def _end(self) -> None:
        left = [Ended(step.name, "cancelled") for step in self._steps[len(self._ended):]]
        error = None if self._cancelled is None else Cancelled(self._cancelled)
        if self._scene is not None and not (self._stopAtError and error is not None):
            try:
                self._value = self._finish([*self._ended, *left])
            except Exception as problem:  # noqa: BLE001  whatever it is, whoever waits for the result gets it
                self._close("failed", problem)
                return
        self._close("done" if error is None else "cancelled", error)

    def _close(self, state: str, error) -> None:
        if self._closeTag is not None:
            slicer.mrmlScene.RemoveObserver(self._closeTag)
            self._closeTag = None
        self.state, self.error = state, forget_frames(error)
        onDone = self._onDone
        self._finish = self._onProgress = self._onDone = self._task = self._scene = None
        self._steps, self._ended = [], []
        _running.discard(self)
        if onDone is not None:
            onDone(self)

    def _onSceneClose(self, caller, event) -> None:
        self._scene = None
        self.cancel("The scene was closed during the run.")


_running = set()  # keeps batches alive until they end
