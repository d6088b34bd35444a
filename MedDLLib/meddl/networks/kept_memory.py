"""Large images that networks pass from layer to layer, in memory that was used before.

Memory that comes fresh from the system is first filled with zeros, page by page, which takes as long as two or three
passes of arithmetic over it. Within `kept`, blocks that `empty` gave out return when nothing refers to them anymore,
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

_blocks: ContextVar[list[np.ndarray] | None] = ContextVar("blocks", default=None)


@contextmanager
def kept() -> Iterator[None]:
    """Keep blocks within; nested ones share them."""
    if _blocks.get() is not None:
        yield
        return
    blocks: list[np.ndarray] = []
    token = _blocks.set(blocks)
    try:
        yield
    finally:
        _blocks.reset(token)
        blocks.clear()


def empty(shape: tuple[int, ...]) -> torch.Tensor:
    """An image (B, C, I, J, K) float32 on the CPU, channels-last, of any content."""
    blocks, count = _blocks.get(), math.prod(shape)
    if blocks is None or count < _LEAST:
        return torch.empty(shape, memory_format=torch.channels_last_3d)
    blocks[:] = [block for block in blocks if max(len(block), count) < _VERY_LARGE or _suits(block, count)]
    fitting = [n for n, block in enumerate(blocks) if _suits(block, count)]
    block = blocks.pop(min(fitting, key=lambda n: len(blocks[n]))) if fitting else torch.empty(count).numpy()
    numbers = block[:count]  # lives as long as a tensor refers to it
    weakref.finalize(numbers, blocks.append, block).atexit = False
    batch, channels, *size = shape
    return torch.from_numpy(numbers).view(batch, *size, channels).permute(0, 4, 1, 2, 3)


def _suits(block: np.ndarray, count: int) -> bool:
    return count <= len(block) <= 2 * count
