"""Python values as messages between the two processes: pickle, with the arrays in shared memory.

Pickle's protocol 5 hands out the memory of contiguous arrays (C or Fortran order) instead of copying it into
its stream (PEP 574). Stream and arrays are copied once, into one shared block; the receiver's arrays are
views of that block, in the same memory order. Both ends are the same program and the block travels on their
private pipe: pickle reads nothing here that came from outside.
"""

import io
import pickle
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from meddl.worker.blocks import Block

INLINE_BYTES = 4096
ALIGNMENT = 64


class Spent(NamedTuple):
    """What a run has taken: seconds by the clock, those of all threads, and the most memory held in MB (0: unknown)."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0


class Packed(NamedTuple):
    """A packed value: either `parts` hold it, or the block that goes with it does.

    The first part is the pickle stream, the others its buffers; `spans` are their (offset, bytes) in the
    block.
    """

    parts: tuple[bytes, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()


def send(connection: Connection, message: tuple, block: Block | None = None) -> None:
    """Send a message and the block that goes with it, which lives until the receiver has confirmed it.

    Raises:
        OSError: the other process ended.
    """
    connection.send((message, None if block is None else (block.name, block.size)))
    if block is not None:
        block.hand_over(connection)


def receive(connection: Connection) -> tuple[tuple, Block | None]:
    """The next message and the block that came with it; waits for it.

    Raises:
        EOFError, OSError: the other process ended.
    """
    message, handle = connection.recv()
    return message, None if handle is None else Block.receive(connection, *handle)


def pack(value) -> tuple[Packed, Block | None]:
    """Pack a value, into a new shared block where it is large.

    Returns:
        What to send, and the block that goes with it (None for small values); its creator closes it.

    Raises:
        OutOfMemoryError: no memory for the block.
        pickle.PicklingError, TypeError, AttributeError: the value holds something that cannot be sent.
    """
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    try:
        _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
        # Not getbuffer(): some versions of Python crash when the garbage collector meets it.
        return _place([memoryview(stream.getvalue()), *(buffer.raw() for buffer in buffers)])
    finally:
        for buffer in buffers:  # a pickler refers to itself and would keep the arrays alive for long
            buffer.release()


def _place(parts: list[memoryview]) -> tuple[Packed, Block | None]:
    if sum(part.nbytes for part in parts) <= INLINE_BYTES:
        return Packed(tuple(bytes(part) for part in parts)), None
    spans, offset = [], 0
    for part in parts:
        spans.append((offset, part.nbytes))
        offset += -(-part.nbytes // ALIGNMENT) * ALIGNMENT
    block = Block.create(offset)
    for part, (start, count) in zip(parts, spans):
        block.memory[start : start + count] = part
    return Packed((), tuple(spans)), block


def unpack(packed: Packed, block: Block | None = None, copy: bool = False):
    """The value. Its arrays are writable if they were.

    Args:
        block: that came with it.
        copy: the arrays are copies, and the block is let go; else they are views that keep it mapped.
    """
    if block is None:
        return pickle.loads(packed.parts[0], buffers=[bytearray(part) for part in packed.parts[1:]])
    parts = [block.memory[start : start + count] for start, count in packed.spans]
    if copy:
        views, parts = parts, [bytearray(part) for part in parts]
        for view in views:
            view.release()
        block.close()
    return pickle.loads(parts[0], buffers=parts[1:])


class _Pickler(pickle.Pickler):
    """Hands out the memory of every array: one that is not contiguous in either order is made so first."""

    def reducer_override(self, value):
        if type(value) is not np.ndarray or value.dtype.hasobject:
            return NotImplemented
        if value.flags.c_contiguous or value.flags.f_contiguous:
            return NotImplemented
        order = sorted(range(value.ndim), key=lambda axis: -abs(value.strides[axis]))
        inverse = tuple(order.index(axis) for axis in range(value.ndim))
        return np.transpose, (np.ascontiguousarray(value.transpose(order)), inverse)
