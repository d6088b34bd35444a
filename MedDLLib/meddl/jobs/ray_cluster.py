"""Workers on several machines, through Ray (https://www.ray.io): actors that keep the model loaded.

Inputs and results lie in folders that all machines see under the same names; the model is installed on each.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import meddl
from meddl.core.errors import Cancelled, DependencyError, InputError, WorkerError
from meddl.jobs.schedule import Outcome
from meddl.worker import failures

_PROGRESS_S = 0.5  # between two questions to a worker
_CONNECT_S = 5.0   # that a cluster may take to answer at all
_STARTS = 3        # how often in a row a worker may fail to start
_ENVIRONMENT = ("MEDDL_CACHE", "MEDDL_RESOURCES", "MEDDL_PRECISION")  # taken over by the workers


def ray_slots(arguments: Callable, target: str, address: str | None, cases: int, workers: int | None,
              device: str) -> list:
    """Workers of a Ray cluster, `RaySlot` each; with their end this process lets go of the cluster.

    Args:
        arguments: of the target for a case, a device and a number of threads: (positional, by name).
        target: "package.module:function".
        address: of the cluster; None: the one that is known here, else one of this machine alone.
        cases: how many there are: no more workers than that.
        workers: None: one for each GPU of the cluster, else for each machine.
        device: "auto", "cpu" or "cuda": with the first and the last a worker takes a whole GPU where there are any.

    Raises:
        DependencyError: Ray is not installed.
        InputError: there is no such cluster, or it has not enough CPUs or GPUs.
    """
    cluster = _Cluster(address)
    try:
        nodes = [node for node in cluster.ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        gpus = int(sum(node["Resources"].get("GPU", 0) for node in nodes)) if device != "cpu" else 0
        count = min(workers or gpus or len(nodes), cases)
        cpus = _cpus_each(nodes, count)
        if gpus and count > gpus:
            raise InputError(f"{count} workers were asked for; the Ray cluster has {gpus} GPUs. Take fewer workers, or "
                             "the device cpu.")
        options = {"num_cpus": cpus, "num_gpus": 1 if gpus else 0}
        return [RaySlot(cluster, options, lambda case: arguments(case, device, cpus), target) for _ in range(count)]
    except BaseException:
        cluster.release(0)
        raise


def _cpus_each(nodes: list[dict], count: int) -> int:
    """CPUs for each of `count` workers, so that all of them find a place at the same time."""
    free = [int(node["Resources"]["CPU"]) for node in nodes]
    for cpus in range(max(free, default=0), 0, -1):
        if sum(size // cpus for size in free) >= count:
            return cpus
    raise InputError(f"{count} workers were asked for; the Ray cluster has {sum(free)} CPUs. Take fewer workers.")


def installed_ray():
    """The package ray.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise DependencyError("The engine 'ray' needs the Python package ray on every machine: pip install "
                              "\"meddl[ray]\" (or \"ray\"). Without it, take the engine 'local'.") from None
    return ray


class _Cluster:
    """The connection to the cluster; it ends with the last worker where it was made here."""

    def __init__(self, address: str | None):
        self.ray = ray = installed_ray()
        self._own = not ray.is_initialized()
        self._users = 0
        if self._own:
            try:
                _check_reachable(address or os.environ.get("RAY_ADDRESS"))
                ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False
                         if address is None else None, configure_logging=False)
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                name = address or "of this machine"
                why = _last_line(error).rstrip(".")
                raise InputError(f"The Ray cluster {name} cannot be reached: {why}. Start one with `ray start --head`, "
                                 "or leave out the address.") from error

    def use(self) -> None:
        self._users += 1

    def release(self, users: int = 1) -> None:
        self._users -= users
        if self._users <= 0 and self._own and self.ray.is_initialized():
            self.ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Check that a server responds at "host:port" or "ray://host:port": Ray itself would wait for many minutes.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


def _actor_class() -> type:
    """What runs on the worker's machine. Ray calls its functions on threads of their own.

    It is sent by value, and finds `meddl` where it is installed, or where it lies on the machine that asks.
    """
    class Actor:
        def __init__(self, paths: list[str], environment: dict[str, str]):
            import os
            import sys

            sys.path.extend(path for path in paths if path not in sys.path)
            os.environ.update(environment)
            self._progress = (0.0, "starting")
            self._cancelled = False

        def run(self, target: str, positional: tuple, named: dict):
            """("done", value), ("cancelled", words) or ("failed", what went wrong)."""
            from meddl.core.errors import Cancelled
            from meddl.worker.failures import describe
            from meddl.worker.targets import load

            self._cancelled = False

            def on_progress(fraction: float, message: str) -> None:
                if self._cancelled:
                    raise Cancelled("The run was cancelled.")
                self._progress = (fraction, message)

            try:
                function = load(target, (target.partition(":")[0] + ".",))
                return "done", function(*positional, on_progress=on_progress, **named)
            except Cancelled as error:
                return "cancelled", str(error)
            except Exception as error:  # noqa: BLE001  whatever it is, the caller hears of it
                return "failed", tuple(describe(error))

        def progress(self) -> tuple[float, str]:
            """(fraction, message) of the case."""
            return self._progress

        def cancel(self) -> None:
            """Ask the case to stop."""
            self._cancelled = True

        def process_id(self) -> int:
            """The worker's process."""
            import os

            return os.getpid()

    return Actor


class RaySlot:
    """An actor that runs one case at a time; a new one after it died.

    Args:
        cluster: the connection.
        options: num_cpus and num_gpus of the actor.
        arguments: of the target for a case: (positional, by name).
        target: "package.module:function".
        paths: folders of the target, besides meddl's own.
    """

    def __init__(self, cluster: _Cluster, options: dict, arguments: Callable, target: str,
                 paths: Iterable[str] = ()):
        self._paths = tuple(paths)
        self._cluster, self._ray = cluster, cluster.ray
        self._options, self._arguments, self._target = options, arguments, target
        self._actor = self._starting = self._run = self._asked = None
        self._failed_starts = 0
        self._reported = (0.0, "")
        self._asked_at = 0.0
        cluster.use()

    @property
    def pid(self) -> int | None:
        """The actor's process, on its machine; None while there is no actor."""
        return None if self._actor is None else self._ray.get(self._actor.process_id.remote())

    def ready(self) -> bool:
        """Whether the actor has its place in the cluster; it is asked for where there is none.

        Raises:
            WorkerError: it could not start, several times.
        """
        if self._actor is None:
            kind = self._ray.remote(max_concurrency=3, max_restarts=0, scheduling_strategy="SPREAD",
                                    **self._options)(_actor_class())
            self._actor = kind.remote([str(Path(meddl.__file__).parent.parent), *self._paths], {
                name: os.environ[name] for name in _ENVIRONMENT if name in os.environ})
            self._starting = self._actor.process_id.remote()
        if self._starting is None:
            return True
        if not self._ray.wait([self._starting], timeout=0)[0]:
            return False
        try:
            self._ray.get(self._starting)
        except self._ray.exceptions.RayError as error:
            self._drop()
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise WorkerError(f"A worker of the Ray cluster could not start, {_STARTS} times: {_last_line(error)}"
                                  ) from error
            return False
        self._starting, self._failed_starts = None, 0
        return True

    def start(self, case) -> None:
        """Begin a case; `ready` was asked before."""
        self._reported, self._asked = (0.0, ""), None
        self._run = self._actor.run.remote(self._target, *self._arguments(case))

    def poll(self) -> Outcome | None:
        """How the case ended; None: it goes on."""
        if not self._ray.wait([self._run], timeout=0)[0]:
            return None
        try:
            state, value = self._ray.get(self._run)
        except self._ray.exceptions.RayError as error:
            self._drop()
            return Outcome(error=WorkerError(f"The worker was lost: {_last_line(error)}"), died=True)
        if state == "done":
            return Outcome(value)
        return Outcome(error=Cancelled(value) if state == "cancelled" else failures.rebuild(failures.Failure(*value)))

    def progress(self) -> tuple[float, str]:
        """(fraction, message) of the case, as of half a second ago."""
        try:
            if self._asked is None and time.monotonic() - self._asked_at > _PROGRESS_S:
                self._asked, self._asked_at = self._actor.progress.remote(), time.monotonic()
            elif self._asked is not None and self._ray.wait([self._asked], timeout=0)[0]:
                asked, self._asked = self._asked, None
                self._reported = self._ray.get(asked)
        except self._ray.exceptions.RayError:
            self._asked = None  # `poll` tells that it died
        return self._reported

    def cancel(self) -> None:
        """Ask the case to stop."""
        if self._actor is not None:
            self._actor.cancel.remote()

    def close(self) -> None:
        """End the actor."""
        self._drop()
        self._cluster.release()

    def _drop(self) -> None:
        actor, self._actor, self._starting = self._actor, None, None
        if actor is not None:
            self._ray.kill(actor)


def _last_line(error: Exception) -> str:
    """What the user can use of Ray's words."""
    lines = [line.strip() for line in re.sub("\x1b\\[[0-9;]*m", "", str(error)).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
