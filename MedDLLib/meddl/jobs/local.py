"""Workers that are processes of this machine."""

from collections.abc import Callable, Iterable

from meddl.core.errors import Cancelled, WorkerError
from meddl.jobs.schedule import Outcome
from meddl.worker import Worker


class LocalSlot:
    """A process of its own; it stays warm from case to case.

    Args:
        arguments: of the target for a case: (positional, by name).
        target: "package.module:function".
        allowed, paths, preload: as of `meddl.worker.Worker`.
    """

    def __init__(self, arguments: Callable, target: str, allowed: Iterable[str] = ("meddl.",),
                 paths: Iterable[str] = (), preload: Iterable[str] = ("torch",)):
        self._arguments = arguments
        self._target = target
        self._worker = Worker(allowed=allowed, paths=paths, preload=preload)
        self._job = None

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return self._worker.pid

    def ready(self) -> bool:
        """A process can always be had."""
        return True

    def start(self, case) -> None:
        """Begin a case; the process starts where there is none."""
        positional, named = self._arguments(case)
        self._job = self._worker.submit(self._target, *positional, **named)

    def poll(self) -> Outcome | None:
        """How the case ended; None: it goes on."""
        if self._job.poll() not in ("done", "failed", "cancelled"):
            return None
        try:
            return Outcome(self._job.result())
        except WorkerError as error:
            return Outcome(error=error, died=self._worker.pid is None)
        except Cancelled as error:
            return Outcome(error=error)
        except Exception as error:  # noqa: BLE001  whatever it is, it is this case's alone
            return Outcome(error=error)

    def progress(self) -> tuple[float, str]:
        """(fraction, message) of the case."""
        return self._job.progress

    def cancel(self) -> None:
        """Ask the case to stop."""
        self._job.cancel()

    def close(self) -> None:
        """End the process."""
        self._worker.close()
