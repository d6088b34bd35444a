"""The caller's side: `Worker` runs functions in a process of its own, one job after the other.

No threads: whoever waits calls `poll`, in a user interface from a timer. (An application that embeds Python,
such as Slicer, does not let Python's threads run while its event loop waits.)
"""

import atexit
import contextlib
import logging
import os
import pickle
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any

from meddl.core.errors import Cancelled, InputError, WorkerError
from meddl.core.progress import ProgressCallback, early_stop_of, listener_of, preview
from meddl.worker import failures, previews, targets
from meddl.worker.blocks import Block
from meddl.worker.job import WAIT_S, Job
from meddl.worker.messages import Packed, Spent, pack, unpack
from meddl.worker.process import START_S, WorkerProcess, default_python

# How long a cancelled computation may take to stop by itself before its process is killed.
CANCEL_S = 0.7
# A job that was sent to a process which turned out to have ended before is sent again so often.
RESENDS = 1


class Worker:
    """A process that runs functions one after the other and stays warm between them.

    It starts with the first job, or earlier with `start`; after a crash or a kill the next job starts a fresh
    one. It ends with `close`, with this object, and with the program, however that ends.

    Args:
        python: interpreter to run; default: this program's (`sys.executable`; in Slicer PythonSlicer).
        allowed: beginnings of the names of the modules whose functions it may run, each with its dot.
        paths: folders that the worker adds to its `sys.path`, besides `meddl`'s own.
        preload: modules that it imports as soon as it starts, such as "torch".
    """

    def __init__(
        self,
        python: str | os.PathLike | None = None,
        *,
        allowed: Iterable[str] = ("meddl.",),
        paths: Iterable[str | os.PathLike] = (),
        preload: Iterable[str] = (),
    ):
        self._lock = threading.RLock()
        self._closed = False
        self._python = default_python() if python is None else os.fspath(python)
        self._allowed = tuple(allowed)
        self._setup = {
            "allowed": self._allowed,
            "paths": [os.fspath(path) for path in paths],
            "preload": list(preload),
        }
        self._numbers = 0
        self._process: WorkerProcess | None = None
        self._ending: list[WorkerProcess] = []
        self._queue: deque[Job] = deque()
        self._current: Job | None = None
        _workers.add(self)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        if hasattr(self, "_current"):
            self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the worker itself, as it reported; None while there is none."""
        process = self._process
        return process.pid if process is not None else None

    @property
    def started(self) -> bool:
        """Whether there is a process, ready or not."""
        return self._process is not None

    def start(self) -> None:
        """Start the process now, so that the first job finds it warm. Does not wait for it.

        Raises:
            WorkerError: the interpreter cannot be run, or the worker was closed.
        """
        with self._lock:
            self._check_open()
            self.poll()
            self._launch()

    def submit(self, target: str, /, *args, previews: bool = False, **kwargs) -> Job:
        """Run a function in the worker, after the jobs that were submitted before.

        The arguments are copied at once, large arrays into shared memory: later changes to them do not
        matter. The function gets `on_progress` in addition.

        Args:
            target: "package.module:function".
            previews: whether the caller will look at `Job.preview`.

        Raises:
            InputError: the target is not allowed, or an argument cannot be sent.
            OutOfMemoryError: no memory for the copy.
            WorkerError: the process cannot start.
        """
        targets.check(target, self._allowed)
        with self._lock:
            self._check_open()
            self._numbers += 1
            try:
                packed, block = pack((args, kwargs))
            except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
                raise InputError(f"The arguments of {target} cannot go to the worker: {error}") from error
            job = Job(self, self._numbers, target, packed, block, previews)
            try:
                self.start()
            except WorkerError:
                job._drop_arguments()
                raise
            self._queue.append(job)
            self.poll()
        return job

    def call(self, target: str, /, *args, on_progress: ProgressCallback | None = None, **kwargs) -> Any:
        """Run a function in the worker and wait for its value, as `submit(...).result()` does.

        Args:
            on_progress: called in this process; where it raises Cancelled, the run is cancelled. Previews go to
                its function `preview`, if it has one; once its function `should_stop`, if it has one, says True, the
                run is to end with the best so far.
        """
        job = self.submit(target, *args, previews=listener_of(on_progress) is not None, **kwargs)
        reported = shown = None
        should_stop = early_stop_of(on_progress)
        while not job.done:
            self._wait(WAIT_S)
            job.poll()
            if on_progress is None or job._cancelled_at is not None:
                continue
            try:
                if reported != job.progress:
                    reported = job.progress
                    on_progress(*reported)
                if shown is not job.preview:
                    shown = job.preview
                    preview(on_progress, shown)
                if should_stop is not None and should_stop():
                    job.stop_early()
            except Cancelled:
                job.cancel()
            except BaseException:
                job.cancel()
                with contextlib.suppress(Cancelled):
                    job.result()
                raise
        return job.result()

    def poll(self) -> None:
        """Take what came from the process, pass on what is to be sent. Never blocks."""
        with self._lock:
            self._reap()
            process = self._process
            if process is None:
                self._next()
                return
            for message, block in process.receive():
                self._handle(process, message, block)
            if process.ended:
                self._process_ended(process)
            elif process.hangs:
                self._end_start(failures.not_started(
                    process.python, f"it was not there after {START_S:g} s and was ended", process.log_tail()))
            elif self._overdue():
                self._kill()
            self._next()
            self._show_stage()

    def close(self) -> None:
        """End the process; jobs that have not ended are cancelled. Takes a second at most."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            jobs = [*self._queue, *([self._current] if self._current else [])]
            self._queue.clear()
            if self._process is not None:
                self._ending.append(self._process)
                self._process = None
            self._current = None
            for job in jobs:
                job._end("cancelled", error=Cancelled("The worker was closed."))
            for process in self._ending:
                process.close(0.4)
            self._reap(at_last=True)

    def _launch(self) -> None:
        if self._process is None:
            self._process = WorkerProcess(self._python, self._setup)

    def _fail_queue(self, error: WorkerError) -> None:
        for job in self._queue:
            job._end("failed", error=error)
        self._queue.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise WorkerError("This worker was closed. Make a new one.")

    def _next(self) -> None:
        """Send the next job, if the process waits for one; start a process for it, if there is none."""
        if self._current is not None or not self._queue:
            return
        try:
            self._launch()
        except WorkerError as error:
            self._fail_queue(error)
            return
        if self._process.ready:
            job = self._current = self._queue.popleft()
            job._sends += 1
            self._process.send("job", job._number, job.target, job._packed, job._previews, block=job._block)
            if job._stops_early:
                self._process.send("stop early", job._number)

    def _handle(self, process: WorkerProcess, message: tuple, block: Block | None) -> None:
        kind, *content = message
        job = self._current
        if kind in ("ready", "preloading"):
            return
        if kind == "progress":
            process.send("seen")
        if kind == "preview":
            self._take_preview(process, job, *content, block)
        if job is None or job._number != content[0]:
            return
        if kind == "started":
            job.state, job._started, job.progress = "running", True, (0.0, "")
            job._drop_arguments()
        elif kind == "progress":
            job.progress = (content[1], content[2])
        elif kind == "done":
            self._finish(job, content[2], lambda: self._take(process, job, content[1], block))
        elif kind == "cancelled":
            self._finish(job, content[2], lambda: job._end("cancelled", error=Cancelled(content[1])))
        elif kind == "failed":
            self._finish(job, content[2], lambda: job._end("failed", error=failures.rebuild(content[1])))

    def _show_stage(self) -> None:
        """The job whose turn it is says what the process does before it can begin."""
        job = self._current or (self._queue[0] if self._queue else None)
        if job is not None and not job._started and self._process is not None and self._process.stage:
            job.progress = (0.0, self._process.stage)

    def _finish(self, job: Job, spent: Spent, end) -> None:
        self._current = None
        job.spent = spent
        end()
        if job._cancelled_at is not None and job.state != "cancelled":
            job._end("cancelled", error=Cancelled("The run was cancelled."))

    def _take(self, process: WorkerProcess, job: Job, packed: Packed, block: Block | None) -> None:
        try:
            job._end("done", value=unpack(packed, block))
        except Exception as error:  # noqa: BLE001  a class of the caller's refuses its own values
            failure = WorkerError(f"The result of {job.target} cannot be read: {error}")
            failure.__cause__ = error
            job._end("failed", error=failure)
        process.send("taken", job._number)

    def _take_preview(self, process: WorkerProcess, job: Job | None, number: int, packed: Packed,
                      block: Block | None) -> None:
        try:
            value = previews.take(packed, block)
        except Exception:
            logging.getLogger(__name__).exception("A preview cannot be read.")
        else:
            if job is not None and job._number == number:
                job.preview = value
        process.send("viewed")

    def _cancel(self, job: Job) -> None:
        with self._lock:
            self.poll()
            if job.done or job._cancelled_at is not None:
                return
            job._cancelled_at = time.monotonic()
            if job is self._current:
                self._process.send("cancel", job._number)
            elif job in self._queue:
                self._queue.remove(job)
                job._end("cancelled", error=Cancelled("The run was cancelled before it began."))
                if self._process is not None and not self._process.ready:
                    self._kill_start()

    def _stop_early(self, job: Job) -> None:
        with self._lock:
            if not (job.done or job._stops_early):
                job._stops_early = True
                if job is self._current:
                    self._process.send("stop early", job._number)

    def _overdue(self) -> bool:
        job = self._current
        if job is None or job._cancelled_at is None:
            return False
        return time.monotonic() - job._cancelled_at >= CANCEL_S

    def _kill(self) -> None:
        """Kill the process of the current job, which was cancelled."""
        job, process = self._current, self._process
        self._current = self._process = None
        process.kill()
        self._ending.append(process)
        job._end("cancelled", error=Cancelled("The run was cancelled."))

    def _kill_start(self) -> None:
        """Kill a process that has not come up; the next job starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            self._ending.append(process)

    def _end_start(self, error: WorkerError) -> None:
        self._kill_start()
        self._fail_queue(error)

    def _process_ended(self, process: WorkerProcess) -> None:
        """The process ended by itself."""
        job, self._current, self._process = self._current, None, None
        log = process.log_tail()
        process.kill()
        self._ending.append(process)
        if not process.ready:
            error = failures.not_started(process.python, f"exit code {process.exit_code}", log)
            self._fail_queue(error)
        elif job is None:
            return
        elif job._cancelled_at is not None:
            job._end("cancelled", error=Cancelled("The run was cancelled."))
        elif not job._started and job._sends <= RESENDS:
            self._queue.appendleft(job)
        else:
            end = failures.End(process.status, log, process.vitals, process.killed_for_memory, job.progress[1])
            job._end("failed", error=failures.describe_end(end))

    def _reap(self, at_last: bool = False) -> None:
        """Let go of processes that are gone."""
        for process in [process for process in self._ending if at_last or process.gone]:
            process.release()
            self._ending.remove(process)

    def _forget(self) -> None:
        """In a fork of this program: the worker is that of the program that was forked."""
        self._closed = True
        self._queue.clear()
        self._current = None
        for process in [*self._ending, *([self._process] if self._process else [])]:
            process.forget()
        self._process, self._ending = None, []

    def _wait(self, seconds: float) -> None:
        process = self._process
        if process is None:
            time.sleep(min(seconds, 0.01))
        else:
            process.wait(seconds)


_workers: weakref.WeakSet = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for worker in list(_workers):
        worker.close()


def _forget_all() -> None:
    for worker in list(_workers):
        worker._forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(after_in_child=_forget_all)
