"""The worker's side: one thread computes, another listens to the caller.

The listener answers while the computation runs: it takes cancel requests, sends progress that waited, keeps
the log file small, and ends the process when the caller's end of the pipe closes, which also happens when the
caller dies, or when the caller is dead while a fork of it still holds the pipe.

Progress costs nothing: at most 30 messages a second are sent, and never more than a few that the caller has
not acknowledged, so that a caller who does not look never holds up the computation. The last message is
always sent.
"""

import contextlib
import faulthandler
import gc
import importlib
import io
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import NoReturn

from meddl.core.device_fallback import is_out_of_memory
from meddl.core.errors import Cancelled, WorkerError, forget_frames
from meddl.core.memory import peak_mb, reset_peak
from meddl.core.program_trust import allow_programs
from meddl.worker.blocks import WINDOWS, Block
from meddl.worker.failures import describe
from meddl.worker.messages import Packed, Spent, pack, receive, send, unpack
from meddl.worker.previews import PreviewSender
from meddl.worker.targets import load
from meddl.worker.vitals import INTERVAL_S, OtherProcess, VitalsBlock

PROGRESS_INTERVAL_S = 1 / 30
PROGRESS_UNACKNOWLEDGED = 8
PROGRESS_TEXT = 200
LOG_BYTES = 1 << 20
LOOK_S = 1.0  # between two looks whether the caller lives
_NAMES = {"torch": "PyTorch"}


def serve(handle: int, caller: int) -> None:
    """Serve the caller at the other end of a pipe until it goes away.

    Args:
        handle: the pipe: a file descriptor that was inherited, or on Windows a handle of the caller.
        caller: the caller's process id.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal is the caller's business
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with contextlib.suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
        faulthandler.enable()
    allow_programs()
    _Server(_connect(handle, caller), OtherProcess(caller)).run()


def _connect(handle: int, caller: int):
    if not WINDOWS:
        from multiprocessing.connection import Connection

        os.set_inheritable(handle, False)
        return Connection(handle)
    import _winapi
    from multiprocessing import reduction
    from multiprocessing.connection import PipeConnection

    process = _winapi.OpenProcess(_winapi.PROCESS_DUP_HANDLE, False, caller)
    try:
        return PipeConnection(reduction.duplicate(handle, source_process=process))
    finally:
        _winapi.CloseHandle(process)


class _Server:
    def __init__(self, connection, caller: OtherProcess):
        self._connection = connection
        self._caller = caller
        self._allowed: tuple[str, ...] = ()
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._results: dict[int, Block] = {}
        self._progress = _Progress(self._send)
        self._sending = threading.Lock()
        self._vitals: VitalsBlock | None = None

    def run(self) -> None:
        """Set up, then compute what comes. Never returns: the listener ends the process."""
        try:
            (_, setup), vitals = receive(self._connection)
        except (EOFError, OSError):
            self._leave()
        self._vitals = VitalsBlock(vitals)
        self._vitals.begin()
        self._allowed = tuple(setup["allowed"])
        sys.path.extend(path for path in setup["paths"] if path not in sys.path)
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        self._send("ready", os.getpid())
        for name in setup["preload"]:
            self._send("preloading", f"Loading {_NAMES.get(name, name)}")
            try:
                importlib.import_module(name)
            except ImportError:  # the job that needs it will say so
                traceback.print_exc()
        self._send("preloading", "")
        while True:
            self._compute(*self._jobs.get())

    def _compute(self, number: int, target: str, packed: Packed, arguments: Block | None) -> None:
        reset_peak()
        begin = time.perf_counter(), time.process_time()
        try:
            args, kwargs = unpack(packed, arguments)
            arguments = None
            self._send("started", number)
            value = load(target, self._allowed)(*args, on_progress=self._progress, **kwargs)
            del args, kwargs
            self._progress.check()
            packed_value, block = self._pack(value)
            del value
            if block is not None:
                self._results[number] = block
            self._progress.finish()
            self._send("done", number, packed_value, _spent(begin), block=block)
        except Cancelled as error:
            self._clear(error)
            self._progress.finish()
            self._send("cancelled", number, str(error), _spent(begin))
        except BaseException as error:  # noqa: BLE001  whatever it is, the caller hears of it
            failure = describe(error)
            self._clear(error)
            self._progress.finish()
            self._send("failed", number, failure, _spent(begin))

    def _pack(self, value):
        try:
            return pack(value)
        except (TypeError, AttributeError, ValueError) as error:
            raise WorkerError(f"The result cannot be sent to the caller: {error}") from error

    def _clear(self, error: BaseException) -> None:
        """Free what a failed computation held."""
        short_of_memory = is_out_of_memory(error)
        forget_frames(error)
        gc.collect()
        torch = sys.modules.get("torch")
        if short_of_memory and torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _listen(self) -> None:
        looked = time.monotonic()
        while True:
            try:
                if time.monotonic() - looked >= LOOK_S:
                    looked = time.monotonic()
                    if not self._caller.alive:
                        self._leave()
                if self._progress.running:
                    self._vitals.write()
                if not self._connection.poll(INTERVAL_S if self._progress.running else LOOK_S):
                    self._progress.flush()
                    _trim_log()
                    continue
                (kind, *content), block = receive(self._connection)
            except (EOFError, OSError):
                self._leave()
            if kind == "job":
                self._vitals.begin()
                *job, previews = content
                self._progress.begin(content[0], previews)
                self._jobs.put((*job, block))
                block = None  # else it would be held until the next message
            elif kind == "cancel":
                self._progress.cancel(content[0])
            elif kind == "stop early":
                self._progress.stop_early(content[0])
            elif kind == "seen":
                self._progress.acknowledge()
            elif kind == "viewed":
                self._progress.previews.acknowledge()
            elif kind == "taken":
                block = self._results.pop(content[0], None)
                if block is not None:
                    block.close()

    def _send(self, *message, block: Block | None = None) -> None:
        try:
            with self._sending:
                send(self._connection, message, block)
        except OSError:
            self._leave()

    @staticmethod
    def _leave() -> NoReturn:
        """The caller is gone: end at once."""
        os._exit(0)


class _Progress:
    """The `on_progress` of the running job: rate-limited, and where a cancel request arrives."""

    def __init__(self, send):
        self._send = send
        self.previews = PreviewSender(send)
        self._lock = threading.Lock()
        self._number = 0
        self._cancelled = self._kept = False
        self._waiting: tuple[float, str] | None = None
        self._unacknowledged = 0
        self._sent_at = 0.0
        self.running = False

    def begin(self, number: int, previews: bool = False) -> None:
        """A job arrived; `previews`: its caller looks at them."""
        self.previews.begin(number, previews)
        with self._lock:
            self._number, self._waiting, self.running = number, None, True
            self._cancelled = self._kept = False

    def __call__(self, fraction: float, message: str) -> None:
        """Report progress.

        Raises:
            Cancelled: the caller asked to stop.
        """
        self.check()
        with self._lock:
            self._waiting = (min(max(float(fraction), 0.0), 1.0), str(message)[:PROGRESS_TEXT])
            self._send_waiting()

    @property
    def preview(self):
        """Shows a value to the caller; None where nobody looks."""
        return self._show if self.previews.wanted else None

    def _show(self, value) -> None:
        self.check()
        self.previews.show(value)

    def check(self) -> None:
        if self._cancelled:
            raise Cancelled("The run was cancelled.")

    def cancel(self, number: int) -> None:
        with self._lock:
            self._cancelled = self._cancelled or number == self._number

    def stop_early(self, number: int) -> None:
        with self._lock:
            self._kept = self._kept or number == self._number

    def should_stop(self) -> bool:
        """Whether the caller asked for the best so far."""
        return self._kept

    def acknowledge(self) -> None:
        with self._lock:
            self._unacknowledged = max(self._unacknowledged - 1, 0)
            self._send_waiting()

    def flush(self) -> None:
        """Send what the rate limit held back."""
        with self._lock:
            self._send_waiting()

    def finish(self) -> None:
        """The job ended: send the last message whatever the rate."""
        self.previews.finish()
        with self._lock:
            self._send_waiting(at_once=True)
            self.running = False

    def _send_waiting(self, at_once: bool = False) -> None:
        if self._waiting is None or not self.running:
            return
        now = time.monotonic()
        due = now - self._sent_at >= PROGRESS_INTERVAL_S and self._unacknowledged < PROGRESS_UNACKNOWLEDGED
        if due or at_once:
            waiting, self._waiting = self._waiting, None
            self._sent_at = now
            self._unacknowledged += 1
            self._send("progress", self._number, *waiting)


def _spent(begin: tuple[float, float]) -> Spent:
    """What the run has taken that began at these two readings, of the clock and of the process's CPU time."""
    return Spent(time.perf_counter() - begin[0], time.process_time() - begin[1], peak_mb())


def _trim_log() -> None:
    """Standard error goes to a file of the caller's: start it anew when it grows large."""
    with contextlib.suppress(OSError):
        if os.fstat(2).st_size > LOG_BYTES:
            os.ftruncate(2, 0)
