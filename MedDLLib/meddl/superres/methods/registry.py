"""The methods of super-resolution by name. A new one is a function in a file of its own and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meddl.core.progress import ProgressCallback
from meddl.superres.job import Job
from meddl.superres.methods.back_projection import back_projection
from meddl.superres.methods.cubic import cubic
from meddl.superres.methods.denoise import denoise, denoise_autoencoder, denoise_self_supervised
from meddl.superres.methods.self_training import self_training
from meddl.superres.methods.through_plane import network
from meddl.superres.methods.volumetric import edsr3d, srcnn, srgan, srresnet


@dataclass(frozen=True)
class Method:
    """One way to sharpen a channel.

    Attributes:
        run: `run(job, on_progress)`, which returns floating-point values on the plan's grid.
        consistent: whether the result is brought closer to the measured slices afterwards.
        bytes_per_voxel: memory at the peak, for each voxel of the result, beside the result itself.
        grid: what it makes where nothing else is asked for: "finer" (the thickest axis as fine as the finest one),
            "halved" (every axis half as long) or "same" (the input's, whatever is asked for).
    """

    run: Callable[[Job, ProgressCallback | None], np.ndarray]
    consistent: bool = False
    bytes_per_voxel: int = 8
    grid: str = "finer"


METHODS: dict[str, Method] = {
    "cubic": Method(cubic),
    "back-projection": Method(back_projection),
    "network": Method(network, consistent=True, bytes_per_voxel=12),
    "self-training": Method(self_training, consistent=True, bytes_per_voxel=12),
    "edsr3d": Method(edsr3d, consistent=True, bytes_per_voxel=12, grid="halved"),
    "srcnn": Method(srcnn, consistent=True, bytes_per_voxel=12, grid="halved"),
    "srresnet": Method(srresnet, consistent=True, bytes_per_voxel=12, grid="halved"),
    "srgan": Method(srgan, consistent=True, bytes_per_voxel=20, grid="halved"),
    "denoise": Method(denoise, bytes_per_voxel=16, grid="same"),
    "denoise-autoencoder": Method(denoise_autoencoder, bytes_per_voxel=16, grid="same"),
    "denoise-self-supervised": Method(denoise_self_supervised, bytes_per_voxel=16, grid="same"),
}
