"""How many bytes of tensors are alive, how many were at most, and which these were."""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Held:
    """The memory of one tensor and its views: bytes, the shape that it was made with, and the line that made it."""

    bytes: int
    shape: tuple[int, ...]
    place: str


class TensorMemory:
    """Counts the storages of the tensors that it is shown, each once, from then until it is freed.

    Attributes:
        live, peak: bytes, now and at most.
        at_peak: what was alive at the peak, the largest first.
        stage: what is going on; set by the caller.
        peaks: bytes at most by stage.
    """

    def __init__(self, folder: str = ""):
        """`folder`: part of the paths of those files whose lines are named as a tensor's place."""
        self.folder = folder
        self.live = self.peak = 0
        self.stage = ""
        self.peaks: dict[str, int] = {}
        self._held: dict[int, Held] = {}
        self._peak: list[Held] = []

    def show(self, tensor: torch.Tensor) -> None:
        """Count the memory of this tensor, if it is not counted yet."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._held or not storage.nbytes():
            return
        self._held[key] = Held(storage.nbytes(), tuple(tensor.shape), calling_line(self.folder))
        weakref.finalize(storage, self._free, key).atexit = False
        self.live += storage.nbytes()
        self.peaks[self.stage] = max(self.peaks.get(self.stage, 0), self.live)
        if self.live > self.peak:
            self.peak, self._peak = self.live, list(self._held.values())

    @property
    def at_peak(self) -> list[Held]:
        return sorted(self._peak, key=lambda held: -held.bytes)

    def _free(self, key: int) -> None:
        self.live -= self._held.pop(key).bytes


def calling_line(folder: str) -> str:
    """The innermost line of a file whose path holds `folder`, with its function; "" where none is on the stack."""
    frame = sys._getframe(1)
    while folder and frame is not None:
        name = frame.f_code.co_filename
        if folder in name:
            return f"{name.rpartition(folder)[2].lstrip('/')}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return ""
