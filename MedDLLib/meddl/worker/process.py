"""Starting, watching and killing the worker process.

It is a plain subprocess that runs `entry.py`, not a `multiprocessing.Process`: that one would import the
caller's main module into the worker (in Slicer, an application), set interpreter and start method for the
whole program, start a resource tracker, and block while it writes to a child that did not come up, which is
what happens with Slicer's launcher (https://github.com/Slicer/Slicer/issues/7445). Only the pipe is
`multiprocessing`'s: POSIX children inherit its other end, also through a launcher; on Windows the worker
fetches it from the caller's process.

`PythonSlicer` is such a launcher: the process that was started is not the one that computes. The worker tells
its own process id first, and that one is killed. Such a launcher ends with EXIT_FAILURE whatever ended the program:
what became of the worker is read from its last words and from the state that it wrote down (`vitals`).
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from meddl.core.errors import WorkerError
from meddl.core.thread_waiting import wait_briefly
from meddl.worker.blocks import WINDOWS, Block
from meddl.worker.messages import receive, send
from meddl.worker.vitals import KillCount, Vitals, VitalsBlock

ENTRY = Path(__file__).resolve().parent / "entry.py"
LOG_TAIL_BYTES = 16 << 10
# How long an exit code may stay away after the pipe closed (a launcher between, or a large process being
# taken apart).
EXIT_CODE_S = 2.0
_EXIT_FAILURE = 1
# How long it may take until the process says that it is there: Python and this package are loaded by then, no more.
START_S = 30.0


class WorkerProcess:
    """One life of the worker process.

    Attributes:
        pid: the worker's own process id; None until it reported it.
        ready: whether it takes jobs.
        stage: what it does before its first job, in words; "" afterwards.
    """

    def __init__(self, python: str, setup: dict):
        """Start it; returns without waiting for it.

        Raises:
            WorkerError: the interpreter cannot be run.
        """
        self.python = python
        self.pid: int | None = None
        self.ready = False
        self.stage = "Starting the worker process"
        self._kills: KillCount | None = None
        self._closed_at: float | None = None
        self._connection, self._other_end = multiprocessing.Pipe(duplex=True)
        self._log = _Log()
        self._vitals = VitalsBlock()
        self._begun = time.monotonic()
        handle = self._other_end.fileno()
        # A session of its own: whatever a launcher has started can be killed with it.
        options = ({"creationflags": subprocess.CREATE_NO_WINDOW} if WINDOWS
                   else {"pass_fds": (handle,), "start_new_session": True})
        try:
            self._popen = subprocess.Popen(
                [python, str(ENTRY), str(handle), str(os.getpid())],
                stdin=subprocess.DEVNULL, stdout=self._log.descriptor, stderr=subprocess.STDOUT,
                env=_environment(), **options)
        except OSError as error:
            self._connection.close()
            self._other_end.close()
            self.release()
            raise WorkerError(
                f"The worker process could not start: {python} cannot be run ({error.strerror or error}). "
                "Give the path of a Python interpreter.") from error
        if not WINDOWS:
            self._other_end.close()
        self.send("setup", setup, block=self._vitals.block)

    def send(self, *message, block: Block | None = None) -> None:
        """Send a message, and the block that goes with it; to a process that has ended, nothing."""
        try:
            send(self._connection, message, block)
        except OSError:
            self._close_connection()

    def receive(self):
        """The messages that have come, each with its block or None, as an iterator; never waits for more."""
        while self._closed_at is None:
            try:
                if not self._connection.poll(0):
                    return
                message, block = receive(self._connection)
            except (EOFError, OSError):
                self._close_connection()
                return
            if message[0] == "ready":
                self.pid, self.ready, self.stage = message[1], True, ""
                self._other_end.close()
            elif message[0] == "preloading":
                self.stage = message[1]
            elif message[0] == "started":
                self._kills = KillCount(self.pid)
            yield message, block

    def wait(self, seconds: float) -> None:
        """Wait until a message comes, at most so long."""
        if self._closed_at is not None:
            time.sleep(min(seconds, 0.01))
            return
        with contextlib.suppress(OSError):
            self._connection.poll(seconds)

    @property
    def ended(self) -> bool:
        """Whether the process has ended by itself, and its exit code is known or will not come."""
        code = self.exit_code
        if self._closed_at is None and code is not None and not self._has_message():
            self._kill_worker()
            self._close_connection()
        if self._closed_at is None:
            return False
        return code is not None or time.monotonic() - self._closed_at > EXIT_CODE_S

    @property
    def hangs(self) -> bool:
        """Whether it has not come up in the time that a start may take."""
        return not self.ready and time.monotonic() - self._begun > START_S

    @property
    def gone(self) -> bool:
        """Whether nothing of the process is left."""
        return self.exit_code is not None

    @property
    def exit_code(self) -> int | None:
        """As `subprocess` gives it: negative for a signal; None while unknown."""
        return self._popen.poll()

    @property
    def vitals(self) -> Vitals | None:
        """How the worker did at last; None: it did not say."""
        return self._vitals.read()

    @property
    def killed_for_memory(self) -> bool:
        """Whether the system counted a process that it killed for lack of memory (Linux)."""
        return self._kills is not None and self._kills.grown

    @property
    def status(self) -> int | None:
        """The worker's own exit code, as `exit_code`; None where a launcher between keeps it to itself."""
        behind = self.pid is not None and self.pid != self._popen.pid
        return None if behind and self.exit_code in (0, _EXIT_FAILURE) else self.exit_code

    def log_tail(self) -> str:
        """The last of what the process wrote to standard output and error, whatever its encoding."""
        return self._log.tail()

    def kill(self) -> None:
        """End it now. Returns at once; `gone` says when the system is done with it."""
        self._kill_worker()
        if not self.gone:
            self._popen.kill()
        self._close_connection()

    def forget(self) -> None:
        """In a fork of the caller: let go of the pipe, so that the worker sees when the caller itself ends."""
        self._closed_at = time.monotonic()
        for end in (self._connection, self._other_end):
            with contextlib.suppress(OSError):
                end.close()

    def close(self, seconds: float) -> bool:
        """Let it end by closing the pipe, kill it if that takes longer than `seconds`; whether it is gone."""
        if self.gone:  # without its launcher nobody would wait for the worker
            self._kill_worker()
        pid, open_before = self.pid, self._closed_at is None
        self._close_connection()
        if not self._wait_gone(seconds):
            if pid is not None and open_before:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGTERM if WINDOWS else signal.SIGKILL)
            self._kill_session()
            self._popen.kill()
        return self._wait_gone(seconds)

    def release(self) -> None:
        """Give up log file and shared block, once the process is gone."""
        self._log.close()
        self._vitals.close()

    def _kill_worker(self) -> None:
        """Kill the process behind a launcher. Its pipe is open as long as it lives: its id is still its own."""
        if self._closed_at is not None:
            return
        if self.pid is not None and self.pid != self._popen.pid:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGTERM if WINDOWS else signal.SIGKILL)
        self._kill_session()

    def _kill_session(self) -> None:
        """Kill what was started and whatever that has started, where it has not ended by itself."""
        if not WINDOWS and (self._closed_at is None or not self.gone):
            with contextlib.suppress(OSError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def _has_message(self) -> bool:
        try:
            return self._connection.poll(0)
        except OSError:
            return False

    def _wait_gone(self, seconds: float) -> bool:
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _close_connection(self) -> None:
        if self._closed_at is None:
            self._closed_at = time.monotonic()
        self._connection.close()
        self._other_end.close()


class _Log:
    """A file for what the process writes: it can never block on it, and its last words outlive it."""

    def __init__(self):
        created, path = tempfile.mkstemp(prefix="meddl-worker-", suffix=".log")
        os.close(created)
        self._path = Path(path)
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._reader = self._path.open("rb", buffering=0)
        if not WINDOWS:
            self._path.unlink()

    def tail(self) -> str:
        if self._reader.closed:
            return ""
        size = os.fstat(self._reader.fileno()).st_size
        self._reader.seek(max(size - LOG_TAIL_BYTES, 0))
        return self._reader.read(LOG_TAIL_BYTES).replace(b"\0", b"").decode("utf-8", errors="replace")

    def close(self) -> None:
        if self._reader.closed:
            return
        os.close(self.descriptor)
        self._reader.close()
        if WINDOWS:
            with contextlib.suppress(OSError):
                self._path.unlink()


def default_python() -> str:
    """The interpreter of this program. In Slicer before 5.12 that is the application: pass PythonSlicer there."""
    return sys.executable


def _environment() -> dict[str, str]:
    """The caller's environment without its Qt settings, which are not the worker's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    environment.pop("PYTHONINSPECT", None)
    environment["PYTHONUTF8"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    wait_briefly(environment)
    return environment
