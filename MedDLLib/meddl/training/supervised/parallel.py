"""Training on volumes with label maps by several processes of this machine, or on several of its GPUs."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.training import loop
from meddl.training.processes import ProcessGroup, join_processes
from meddl.training.supervised.data.cases import Structures
from meddl.training.supervised.patches import PatchSampler
from meddl.training.supervised.plan import Plan
from meddl.training.supervised.prepared import read_case
from meddl.training.supervised.task import SegmentationTask
from meddl.worker import Worker

_TARGET = f"{__name__}:follow"
_LOOK_S = 0.05
GENERATED = "generated"  # folder in that of the run
_HERE = "process_{}"  # files beside the meeting's, which say that a process has come so far


@dataclass(frozen=True)
class ParallelSetup:
    """What each process knows of a training.

    Attributes:
        folder: of the run, with prepared cases and checkpoint.
        plan: how to train; its batch is of all processes together.
        structures: what the labels mean.
        cases: numbers among the prepared ones and names of those that are trained on.
        options: of the loop.
        seed: of everything random.
        frozen: parameters that stay as they are.
        size: how many processes.
        threads: of each.
        devices: of each.
        generated: images beside the cases, in the folder `GENERATED`.
    """

    folder: str
    plan: Plan
    structures: Structures
    cases: tuple[tuple[int, str], ...]
    options: loop.LoopOptions
    seed: int
    frozen: tuple[str, ...]
    size: int
    threads: int
    devices: tuple[str, ...]
    generated: int = 0


def shared_batch(plan: Plan, processes: int, asked: int | None) -> Plan:
    """The plan with a batch that so many processes can split evenly.

    Raises:
        InputError: the batch that was asked for cannot be shared so.
    """
    if asked is not None and asked % processes:
        raise InputError(f"A batch of {asked} patches cannot be shared evenly by {processes} processes.")
    return replace(plan, batch=-(-plan.batch // processes) * processes)


def sampler_of(setup: ParallelSetup, cases, rank: int = 0) -> PatchSampler:
    """Draws the patches of one process."""
    spacing = [size or 1.0 for size in setup.plan.spacing_mm] or [1.0] * 3
    return PatchSampler(cases, setup.plan.patch_voxels, setup.plan.batch, spacing, setup.seed,
                        part=(rank, setup.size), any_contrast=setup.plan.contrast == "any")


def devices_of(device: torch.device, processes: int) -> tuple[str, ...]:
    """Where each process computes: on a GPU each, as far as there are, beginning with the first."""
    if device.type != "cuda" or processes == 1:
        return (str(device),) * processes
    return tuple(f"cuda:{rank % torch.cuda.device_count()}" for rank in range(processes))


@contextlib.contextmanager
def helpers(setup: ParallelSetup, on_progress: ProgressCallback | None = None) -> Iterator[None]:
    """The other processes of a training, which follow this one's until the context ends.

    Raises:
        WorkerError: a process could not start, or ended.
        Cancelled: from `on_progress`, while they start.
    """
    if setup.size == 1:
        yield
        return
    threads = torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meddl-", ignore_cleanup_errors=True)))
        jobs = []
        for rank in range(1, setup.size):
            worker = stack.enter_context(Worker(preload=("torch",)))
            jobs.append(worker.submit(_TARGET, str(place), rank, setup))
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(setup.threads)
        while any(not (place / _HERE.format(rank)).exists() for rank in range(1, setup.size)):
            for job in jobs:
                if job.poll() in ("failed", "cancelled"):
                    job.result()
            report(on_progress, 0.0, "Starting processes")
            time.sleep(_LOOK_S)
        with join_processes(ProcessGroup(place / "meeting", 0, setup.size)):
            try:
                yield
            except Exception:
                for job in jobs:  # the reason lies there, if one of them has failed
                    if job.poll() == "failed" and not _is_consequence(job):
                        job.result()
                raise


def _is_consequence(job) -> bool:
    """Whether a process failed only because the others ended."""
    try:
        job.result()
    except Exception as error:  # noqa: BLE001  whatever it is
        return "A process of the training has ended" in str(error)
    return False


def follow(meeting: str, rank: int, setup: ParallelSetup, on_progress: ProgressCallback | None = None) -> None:
    """Compute this process's patches of each batch until the first process ends the training."""
    torch.set_num_threads(setup.threads)
    folder, device = Path(setup.folder), torch.device(setup.devices[rank])
    cases = [read_case(folder / "cases", number, name) for number, name in setup.cases]
    cases += [read_case(folder / GENERATED, number, f"generated {number}") for number in range(setup.generated)]
    task = SegmentationTask(setup.plan, setup.structures, sampler_of(setup, cases, rank), (), device)
    for name, parameter in task.network.named_parameters():
        parameter.requires_grad_(name not in setup.frozen)
    (Path(meeting) / _HERE.format(rank)).touch()
    with join_processes(ProcessGroup(Path(meeting) / "meeting", rank, setup.size)):
        loop.follow(task, folder, setup.options, device)
