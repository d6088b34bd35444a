"""Runs in the shared worker process: polled by a timer, cancelled by a button, applied to the scene in one step."""

import logging
import shutil
import sys
import time

import qt
import slicer

from meddl.core.errors import Cancelled, forget_frames
from meddl.worker import Worker

POLL_MS = 30
# Packages whose functions the worker runs for the application.
ALLOWED = ("meddl.", "meddl_slicer.")
HAS_RUN = "MedDL/HasRun"  # in the application's settings
FINAL_STATES = ("done", "failed", "cancelled")

_running = set()  # keeps tasks alive until they end
_applying: set = set()  # tasks whose result is being put into the scene


class Task:
    """A job in the worker, and what happens to the scene when it is complete.

    The scene is touched once, after the job has succeeded, and only if it was not closed and every input node is
    still in it; otherwise the task ends as cancelled. If applying fails, the nodes that it had added are removed.

    A task that has ended holds its value or error and nothing else: no job, no input, no callback, no timer. (In Slicer
    a connection holds its callable, and the garbage collector does not see it.)

    Attributes:
        state: "queued", "running", "done", "failed" or "cancelled".
        progress: (fraction 0 to 1, stage in words).
        error: what went wrong, or None.
        spent: what the job has taken in the worker, `meddl.worker.messages.Spent`; None until it has ended.
    """

    def __init__(self, job, apply=None, inputs=(), onProgress=None, onDone=None, onPreview=None):
        self.state = "queued"
        self.progress = (0.0, "Waiting")
        self.error = self.spent = None
        self._job = job
        self._value = None
        self._apply = apply
        self._inputs = tuple(node for node in inputs if node is not None)
        self._onProgress = onProgress
        self._onDone = onDone
        self._onPreview = onPreview
        self._preview = None
        self._scene = slicer.mrmlScene
        self._closeTag = self._scene.AddObserver(self._scene.StartCloseEvent, self._onSceneClose)
        self._timer = qt.QTimer(slicer.app)
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self.poll)
        self._timer.start()
        _running.add(self)

    @property
    def done(self) -> bool:
        """Whether the task has ended, in whatever way."""
        return self.state in FINAL_STATES

    def cancel(self, reason: str = "The run was cancelled.") -> None:
        """Stop the job and leave the scene as it is. The task ends at once, the worker within a second."""
        if self.done or self._job is None:  # it has ended, or its result is being put into the scene
            return
        self._job.cancel()
        self._finish("cancelled", Cancelled(reason))

    def stop_early(self) -> None:
        """Ask the job to end with the best that it has so far, where it can; its result comes as always."""
        if not self.done and self._job is not None:
            self._job.stop_early()

    def result(self, timeout: float | None = None):
        """Wait, with the application's events running, and return what was made of the result.

        Raises:
            Cancelled: it was cancelled, the scene was closed, or an input node was removed.
            TimeoutError: `timeout` seconds have passed; the task goes on.
            MedDLError: the job's own error.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"The run has not ended within {timeout:g} s.")
            slicer.app.processEvents()
            self.poll()
            time.sleep(0.005)
        if self.error is not None:
            raise self.error
        return self._value

    def poll(self) -> None:
        """Look after the job once: forward its progress, and apply its result when it is complete.

        A cancelled task looks after its job until that has ended too.
        """
        if self._job is None:  # making the nodes may let events run
            return
        jobState = self._job.poll()
        if not self.done and not all(self._scene.IsNodePresent(node) for node in self._inputs):
            self.cancel("An input of the run was removed from the scene.")
        if jobState in FINAL_STATES:
            self._complete()
        elif not self.done:
            self.state = jobState
            if self._job.progress != self.progress:
                self.progress = self._job.progress
                if self._onProgress is not None:
                    self._onProgress(*self.progress)
            self._showPreview()

    def _showPreview(self) -> None:
        """Hand on what came since the last time. An error there ends the previews, not the run."""
        if self.done or self._onPreview is None or self._job.preview is self._preview:
            return
        self._preview = self._job.preview
        try:
            self._onPreview(self._preview)
        except Exception:
            logging.exception("MedDL: a preview could not be shown.")
            self._onPreview = None

    def _complete(self) -> None:
        """The job has ended."""
        if self.done:
            self._letGoOfJob()
            return
        try:
            self._value = self._make_result()
        except Cancelled as error:
            self._finish("cancelled", error)
        except Exception as error:  # noqa: BLE001  whatever it is, whoever waits for the result gets it
            self._finish("failed", error)
        else:
            self._finish("done", None)

    def _letGoOfJob(self):
        """Look after the job no more; returns it."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self.poll)
        self._timer.deleteLater()
        job, self._job, self._timer = self._job, None, None
        self.spent = job.spent
        _running.discard(self)
        return job

    def _make_result(self):
        value = self._letGoOfJob().result()
        return value if self._apply is None else self._apply_result(value)

    def _apply_result(self, value):
        """Apply to the scene, or leave the scene as it was."""
        known = _nodes(self._scene)
        _applying.add(self)
        try:
            return self._apply(value)
        except Exception:
            for node in _nodes(self._scene) - known:
                self._scene.RemoveNode(node)
            raise
        finally:
            _applying.discard(self)

    def _finish(self, state: str, error) -> None:
        self._scene.RemoveObserver(self._closeTag)
        self.state, self.error = state, forget_frames(error)
        onDone = self._onDone
        self._scene, self._inputs, self._preview = None, (), None
        self._apply = self._onProgress = self._onPreview = self._onDone = None
        if onDone is not None:
            onDone(self)

    def _onSceneClose(self, caller, event) -> None:
        self.cancel("The scene was closed during the run.")


def run(target: str, /, *args, wait: bool = True, apply=None, inputs=(), onProgress=None, onDone=None,
        onPreview=None, **kwargs):
    """Call a function in the shared worker process.

    Args:
        target: "package.module:function" of a package in `ALLOWED`; it also gets `on_progress`.
        *args, **kwargs: its arguments; arrays travel through shared memory.
        wait: True: return when the run has ended, the application's events go on meanwhile. False: return a Task.
        apply: called once with the result, in the application; makes the nodes. Its value is the run's result.
        inputs: nodes that must still be in the scene when the result comes.
        onProgress: called with (fraction, stage in words).
        onDone: called with the Task when it has ended.
        onPreview: called with what the function shows of its result so far (`meddl.core.progress.preview`), the newest
            only; never after the end.

    Returns:
        What `apply` returned (the function's own result without it), or the Task.

    Raises:
        Cancelled, MedDLError: as `Task.result`, where `wait` is True.
    """
    job = worker().submit(target, *args, previews=onPreview is not None, **kwargs)
    task = Task(job, apply, inputs, onProgress, onDone, onPreview)
    return task.result() if wait else task


def putting_results() -> bool:
    """Whether nodes that are added now are results of a run."""
    return bool(_applying)


def worker():
    """The application's one worker, kept across module reloads. It starts with its first job."""
    existing = getattr(slicer.modules, "meddlWorker", None)
    if existing is None:
        existing = Worker(python_executable(), allowed=ALLOWED, preload=("torch",))
        slicer.modules.meddlWorker = existing
        slicer.app.connect("aboutToQuit()", close_worker)
    return existing


def warm_up() -> None:
    """Start the worker process early, so that the first run finds it ready."""
    worker().start()


def may_ask() -> bool:
    """Whether the worker may be asked something before a run: it has started already, or the user has completed a run
    before, in this session or an earlier one. Merely looking at a module starts no process."""
    existing = getattr(slicer.modules, "meddlWorker", None)
    return (existing is not None and existing.started) or slicer.util.settingsValue(
        HAS_RUN, False, converter=slicer.util.toBool)


def remember_run() -> None:
    """The user has completed a run."""
    qt.QSettings().setValue(HAS_RUN, True)


def close_worker() -> None:
    """End the worker process and everything that runs in it."""
    existing = getattr(slicer.modules, "meddlWorker", None)
    if existing is not None:
        slicer.modules.meddlWorker = None
        existing.close()


def python_executable() -> str:
    """The interpreter for the worker: PythonSlicer, which `sys.executable` is too since Slicer 5.12; before, that was
    the application itself."""
    return shutil.which("PythonSlicer") or sys.executable


def _nodes(scene) -> set:
    collection = scene.GetNodes()
    return {collection.GetItemAsObject(index) for index in range(collection.GetNumberOfItems())}
