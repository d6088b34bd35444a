"""The methods of super-resolution by name. A new one is a function in a file of its own and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meddl.progress import ProgressCallback
from meddl.superres.back_projection import back_projection
from meddl.superres.cubic import cubic
from meddl.superres.job import Job
from meddl.superres.through_plane import network


@dataclass(frozen=True)
class Method:
    """One way to sharpen a channel.

    Attributes:
        run: `run(job, on_progress)`, which returns floating-point values on the plan's grid.
        consistent: whether the result is brought closer to the measured slices afterwards.
        bytes_per_voxel: memory at the peak, for each voxel of the result, beside the result itself.
    """

    run: Callable[[Job, ProgressCallback | None], np.ndarray]
    consistent: bool = False
    bytes_per_voxel: int = 8


METHODS: dict[str, Method] = {
    "cubic": Method(cubic),
    "back-projection": Method(back_projection),
    "network": Method(network, consistent=True, bytes_per_voxel=12),
}
