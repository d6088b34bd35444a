"""Data parallelism: several processes compute one training's batch together and take the same steps.

Each draws and computes its share of the patches of a batch; what a loss counts over the batch and the gradients are
summed over the processes, so that the weights are those of one process with the whole batch, up to rounding. Outside of
`join_processes`, everything here does nothing.
"""

import contextlib
import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from meddl.core.errors import DependencyError, WorkerError

_TIMEOUT = datetime.timedelta(minutes=30)  # a validation of the first process is waited for
_current: "ProcessGroup | None" = None


class ProcessGroup:
    """The processes of a training, connected by torch's Gloo.

    Args:
        meeting: a file that all of them see and that is not there before.
        rank: number of this process; 0 leads.
        size: how many there are.

    Raises:
        DependencyError: torch was built without Gloo.
        WorkerError: the others did not come.
    """

    def __init__(self, meeting: str | Path, rank: int, size: int):
        distributed: Any = torch.distributed
        if not distributed.is_available() or not distributed.is_gloo_available():
            raise DependencyError("This build of PyTorch has no Gloo, which several processes need. Train with one.")
        self.rank, self.size = rank, size
        try:
            store = distributed.FileStore(str(meeting), size)
            self._gloo = distributed.ProcessGroupGloo(store, rank, size, _TIMEOUT)
        except RuntimeError as error:
            raise WorkerError(f"The {size} processes of the training did not find each other: {_line(error)}"
                              ) from error

    def sum(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each of the tensors, of one type, by its sum over the processes."""
        self._exchange(list(tensors), lambda flat: self._gloo.allreduce([flat]))

    def lead(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each of the tensors, of one type, by the first process's."""
        self._exchange(list(tensors), lambda flat: self._gloo.broadcast(flat, 0))

    def _exchange(self, tensors: list[torch.Tensor], work) -> None:
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).cpu()
        try:
            work(flat).wait()
        except RuntimeError as error:
            raise WorkerError("A process of the training has ended, and the training with it; the last checkpoint is "
                              f"kept: {_line(error)}") from error
        with torch.no_grad():
            for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(part.view(tensor.shape))


@contextlib.contextmanager
def join_processes(group: ProcessGroup) -> Iterator[None]:
    """What this process trains meanwhile, it trains together with the others of the group."""
    global _current
    before, _current = _current, group
    try:
        yield
    finally:
        _current = before


def sum_over_processes(*tensors: torch.Tensor) -> None:
    """Replace tensors by their sums over all processes."""
    if _current is not None:
        _current.sum(tensors)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients of parameters by their sums over all processes."""
    if _current is not None:
        _current.sum([one.grad for one in parameters if one.grad is not None])


def broadcast_weights(network: nn.Module) -> None:
    """Give all processes the first one's weights."""
    if _current is not None:
        _current.lead([tensor for tensor in network.state_dict().values() if tensor.is_floating_point()])


def broadcast_number(number: float) -> float:
    """The first process's number."""
    if _current is None:
        return number
    told = torch.tensor([number], dtype=torch.float64)
    _current.lead([told])
    return float(told)


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
