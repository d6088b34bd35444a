"""Check of the memory that a run will need, before it starts."""

import math

import torch

from meddl.core.device import free_memory_bytes
from meddl.core.errors import OutOfMemoryError

# Measured with Testing/Benchmarks/bench_segment.py: the image as float32 while it is copied and its labels;
# class scores as they come, refined and as a table, and work space; features of the network.
BYTES_PER_VOXEL = 12
BYTES_PER_SCORE = 24
BYTES_PER_PATCH_VOXEL = 300


def needed_bytes(shape, patch, classes: int) -> int:
    """Memory for a volume of this shape (I, J, K) and a field of view of `patch` voxels, beyond the volume itself."""
    return (math.prod(shape) * BYTES_PER_VOXEL
            + math.prod(patch) * (classes * BYTES_PER_SCORE + BYTES_PER_PATCH_VOXEL))


def check_memory(device: torch.device, shape, patch=(0,), classes: int = 0, doing: str = "Segmenting") -> None:
    """Do not begin what cannot end.

    Raises:
        OutOfMemoryError: the device has less memory free than the run needs.
    """
    needed, free = needed_bytes(shape, patch, classes), free_memory_bytes(device)
    if needed > free:
        raise OutOfMemoryError(
            f"{doing} {' x '.join(map(str, shape))} voxels needs about {needed / 1e9:.1f} GB of memory; "
            f"{device} has {free / 1e9:.1f} GB free. Close other programs, or crop or resample the volume.")
