"""The methods *edsr3d*, *srcnn*, *srresnet* and *srgan*: 3D networks that halve the voxels along every axis.

SRGAN's texture is likely, not measured. So its network is drawn towards SRResNet's, from whose weights it started
(network interpolation: X. Wang et al., CVPR 2019, doi:10.1109/CVPR.2019.00179), and the result comes with its distance
from SRResNet's, in units of the noise.
"""

import copy

import numpy as np
import torch
from torch import nn

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span
from meddl.models.own_models import METHOD_MODELS
from meddl.spatial.bspline import cubic_weights
from meddl.superres.acquisition.value_range import ValueRange, work_type
from meddl.superres.job import Job, load_network
from meddl.superres.methods.blocks import Blocking, over_blocks
from meddl.superres.methods.slabs import along_axis

FACTORS = (1.4, 2.6)  # that a step of two, and a little interpolation, can serve
ADVERSARIAL_WARNING = ("SRGAN invents texture: what it adds looks real and was not measured. Look at the difference "
                       "volume, and measure nothing in the result.")
# Voxels of the input that a voxel depends on, and of a block, so that no layer takes a core more than half a second.
BLOCKS = {"EDSR3D": (11, 96), "SRCNN3D": (12, 56), "SRResNet3D": (12, 88)}


def edsr3d(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Twice the resolution by EDSR in 3D."""
    return _halve_voxels(METHOD_MODELS["edsr3d"], job, on_progress)


def srcnn(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Twice the resolution by SRCNN in 3D."""
    return _halve_voxels(METHOD_MODELS["srcnn"], job, on_progress)


def srresnet(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Twice the resolution by SRResNet in 3D."""
    return _halve_voxels(METHOD_MODELS["srresnet"], job, on_progress)


def srgan(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Twice the resolution by a network between SRResNet and SRGAN, at `job.config.adversarial_strength`."""
    strength = job.config.adversarial_strength
    if not 0 <= strength <= 1:
        raise InputError(f"The strength of SRGAN is a number from 0 (SRResNet) to 1; got {strength!r}.")
    plain, adversarial = (load_network(job, name, "superres") for name in ("superres-srresnet", "superres-srgan"))
    sober = _sharpen(plain, job, span(on_progress, 0.0, 0.5))
    vivid = _sharpen(between(plain, adversarial, strength), job, span(on_progress, 0.5, 1.0))
    job.warnings.append(ADVERSARIAL_WARNING)
    difference = np.abs(vivid - sober)
    unit = job.noise_sigma if job.noise_sigma > 0 else 1.0
    job.volumes["difference"] = (difference / unit).astype(np.float32)
    job.figures.update(
        adversarial_strength=strength, name_suffix="SRGAN, texture invented",
        difference_unit="noise" if job.noise_sigma > 0 else "intensity",
        difference_mean=float(job.volumes["difference"].mean(dtype=np.float64)))
    return vivid


def between(first: nn.Module, second: nn.Module, fraction: float) -> nn.Module:
    """A network whose weights lie between those of two alike ones; `fraction` 0 is the first, 1 the second."""
    made = copy.deepcopy(first)
    other = second.state_dict()
    made.load_state_dict({name: torch.lerp(weight, other[name], fraction)
                          for name, weight in first.state_dict().items()})
    return made


def _halve_voxels(identifier: str, job: Job, on_progress: ProgressCallback | None) -> np.ndarray:
    return _sharpen(load_network(job, identifier, "superres"), job, on_progress)


def _sharpen(network: nn.Module, job: Job, on_progress: ProgressCallback | None) -> np.ndarray:
    """The data at twice the resolution, interpolated to the plan's grid where that is another.

    Raises:
        InputError: an axis is to change by much more or less than two.
    """
    factors = job.plan.factors
    if not all(FACTORS[0] <= factor <= FACTORS[1] for factor in factors):
        raise InputError(
            f"This method halves the voxels along every axis; asked for were factors of "
            f"{', '.join(f'{factor:g}' for factor in factors)} along i, j and k. Ask for half the voxel size of a "
            "volume whose voxels are about as long along every axis, or choose the method network for thick slices.")
    values = ValueRange.of(job.data)
    exact = job.plan.grid.shape == tuple(2 * n for n in job.data.shape) and all(f == 2 for f in factors)
    reach, largest = BLOCKS[type(network).__name__]
    made = over_blocks(lambda part, _: network(part), [network], values.to_unit(job.data), Blocking(2, reach, largest),
                       job.device, "Sharpening", span(on_progress, 0.0, 1.0 if exact else 0.9))
    for axis, (factor, size) in enumerate(zip(factors, job.plan.grid.shape, strict=True)):
        count = made.shape[axis]
        if factor != 2 or size != count:
            places = (np.arange(size) - (size - 1) / 2) * (2 / factor) + (count - 1) / 2
            made = along_axis(cubic_weights(count, places), made, axis, device=job.device,
                              on_progress=span(on_progress, 0.9 + axis / 30, 0.9 + (axis + 1) / 30))
    return values.from_unit(made, work_type(job.data.dtype).type)
