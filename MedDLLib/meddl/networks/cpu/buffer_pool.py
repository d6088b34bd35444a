"""Large images that networks pass from layer to layer, in memory that was used before.

Memory that comes fresh from the system is first filled with zeros, page by page, which takes as long as two or three
passes of arithmetic over it. Within `reuse`, blocks that `empty` gave out return when nothing refers to them anymore,
and the next image takes the smallest of them that is as large or up to twice as large. All go back to the system at the
end, and very large ones as soon as an image of another size is asked for, as small ones when a very large image is.
"""

import math
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch

_LEAST = 1 << 20  # numbers; smaller images come as ever
_VERY_LARGE = 1 << 26  # numbers


class _Blocks:
    """Blocks that nothing refers to, and how much was asked for last."""

    def __init__(self):
        self.free: list[np.ndarray] = []
        self.asked = 0

    def take(self, count: int) -> np.ndarray:
        """A block of at least `count` numbers."""
        self.asked = count
        self.free[:] = filter(self._is_worth_keeping, self.free)
        fitting = [n for n, block in enumerate(self.free) if count <= len(block) <= 2 * count]
        if not fitting:
            return torch.empty(count).numpy()
        return self.free.pop(min(fitting, key=lambda n: len(self.free[n])))

    def give_back(self, block: np.ndarray) -> None:
        if self._is_worth_keeping(block):
            self.free.append(block)

    def _is_worth_keeping(self, block: np.ndarray) -> bool:
        return max(len(block), self.asked) < _VERY_LARGE or self.asked <= len(block) <= 2 * self.asked


_blocks: ContextVar[_Blocks | None] = ContextVar("blocks", default=None)


@contextmanager
def reuse() -> Iterator[None]:
    """Keep blocks within; nested ones share them."""
    if _blocks.get() is not None:
        yield
        return
    blocks = _Blocks()
    token = _blocks.set(blocks)
    try:
        yield
    finally:
        _blocks.reset(token)
        blocks.free.clear()


def empty(shape: tuple[int, ...]) -> torch.Tensor:
    """An image (B, C, I, J, K) float32 on the CPU, channels-last, of any content."""
    blocks, count = _blocks.get(), math.prod(shape)
    if blocks is None or count < _LEAST:
        return torch.empty(shape, memory_format=torch.channels_last_3d)
    block = blocks.take(count)
    numbers = block[:count]  # lives as long as a tensor refers to it
    weakref.finalize(numbers, blocks.give_back, block).atexit = False
    batch, channels, *size = shape
    return torch.from_numpy(numbers).view(batch, *size, channels).permute(0, 4, 1, 2, 3)
