"""The method *network*, and what *self-training* has in common with it: 2D images along the thick axis, one by one.

Every image that holds the thick axis is sharpened by the network, once as cut along the first in-plane axis and once
along the second; the mean of both is the volume. The images of one batch are all that is in the network's memory.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from meddl.core.errors import ModelNotFoundError
from meddl.core.progress import ProgressCallback, preview, report, span
from meddl.models.own_models import METHOD_MODELS
from meddl.networks.architectures.through_plane import ThroughPlaneNetwork
from meddl.spatial.bspline import apply_along, cubic_weights
from meddl.spatial.grid import axis_codes, reorientation
from meddl.spatial.resample import to_tensor
from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.acquisition.value_range import ValueRange, work_type
from meddl.superres.job import Job, load_network
from meddl.superres.methods.back_projection import back_projection
from meddl.superres.methods.slabs import empty_like, slabs
from meddl.superres.pictures import slice_picture

MODEL = METHOD_MODELS["network"]
# Of the thick slices, in one batch: about a third of a second on one core; on a GPU some 2 GB.
_BATCH_PIXELS, _BATCH_PIXELS_ON_GPU = 1 << 16, 1 << 19
_LEARNED_FACTOR = 4.5
_POSITIVE = {"R": "R", "L": "R", "A": "A", "P": "A", "S": "S", "I": "S"}  # where an axis points once it is turned
_LEAST_HEIGHT = 4  # pixels across the thick axis that an image needs


def network(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """The installed network along each axis that changes, one after the other; back-projection where none is there."""
    model = installed_network(job)
    if model is None:
        job.warnings.append(f"The model '{MODEL}' is not installed; back-projection was used instead.")
        job.figures["method"] = "back-projection"
        return back_projection(job, on_progress)
    return through_plane(model, job, on_progress)


def installed_network(job: Job) -> nn.Module | None:
    """The through-plane network that was chosen, or MedDL's; None where the latter is not installed."""
    try:
        return load_network(job, MODEL, "superres")
    except ModelNotFoundError:
        if job.config.model:
            raise
        return None


def through_plane(model: nn.Module, job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """The data sharpened by a network: `model(images (B, 1, H, W), factor, thickness)`, W thick."""
    values = ValueRange.of(job.data)
    turned = _towards_ras(job)  # the network, not quite the same in a mirror, shall not see how data are stored
    given = job.data[turned]
    data = empty_like(given, given.shape, np.float32)
    for place, _ in slabs(given):
        data[place] = values.to_unit(given[place])
        report(on_progress, 0.0, "Preparing the slices")
    steps = len(job.acquisitions)
    for step, acquisition in enumerate(job.acquisitions):
        if acquisition.factor > _LEARNED_FACTOR:
            job.warnings.append(f"The voxels along {'ijk'[acquisition.axis]} become {acquisition.factor:.2g} times "
                                f"smaller; the network learned up to {_LEARNED_FACTOR:g}, the rest is interpolation.")
        size = job.plan.grid.shape[acquisition.axis]
        data = sharpen_axis(model, data, acquisition, size, job.device,
                            span(on_progress, step / steps, (step + 1) / steps), values, job)
    final = work_type(job.data.dtype)
    made = data if data.dtype == final else empty_like(data, data.shape, final)
    for place, _ in slabs(data):
        made[place] = values.from_unit(data[place], final.type)
        report(on_progress, 1.0, "Writing the voxels")
    return made[turned]


def _towards_ras(job: Job) -> tuple[slice, ...]:
    """The index that reverses each array axis that does not point to the right, to the front or up."""
    permutation, flips = reorientation(job.grid.affine, "RAS")
    reversed_axes = {axis for axis, flip in zip(permutation, flips, strict=True) if flip}
    return tuple(slice(None, None, -1) if axis in reversed_axes else slice(None) for axis in range(3))


def sharpen_axis(model: nn.Module, data: np.ndarray, acquisition: Acquisition, size: int, device: torch.device,
                 on_progress: ProgressCallback | None = None, values: ValueRange | None = None,
                 job: Job | None = None) -> np.ndarray:
    """`data` (I, J, K) float32 with `size` voxels along the acquisition's axis, the mean over both orientations.

    Where the data are constant, so is the result, and a network of this project's is not asked.

    A first look at the middle image goes to the callback's `preview`, where a job and its range of values are given.
    """
    axis = acquisition.axis
    others = [a for a in range(3) if a != axis]
    # An image is cut by holding one axis still and keeping the other beside the thick one.
    cuts = [(still, kept) for still, kept in (others, others[::-1]) if data.shape[kept] >= _LEAST_HEIGHT]
    cuts = cuts or [max((others, others[::-1]), key=lambda cut: data.shape[cut[1]])]
    shape = list(data.shape)
    shape[axis] = size
    out = empty_like(data, shape, np.float32)
    if job is not None:
        _preview(lambda image: sharpen_images(model, to_tensor(image, device), acquisition, size).cpu().numpy(), data,
                 acquisition, size, cuts[0], values, job, on_progress)
    place = _around_object(data, axis, model.reach) if isinstance(model, ThroughPlaneNetwork) else ...
    out[...] = data[0, 0, 0]
    # On a GPU the whole volume lies there, so that no batch waits for another to be fetched.
    whole, made = to_tensor(data[place], device), to_tensor(out[place], device)
    if not whole.numel():
        return out
    most = _BATCH_PIXELS if made.device.type == "cpu" else _BATCH_PIXELS_ON_GPU
    for n, (still, kept) in enumerate(cuts):
        source, target = (a.movedim((still, kept, axis), (0, 1, 2)) for a in (whole, made))
        batch = max(1, most // (source.shape[1] * source.shape[2]))
        for start in range(0, len(source), batch):
            some = slice(start, start + batch)
            images = sharpen_images(model, source[some], acquisition, size)
            if n == 0:
                torch.mul(images, 1 / len(cuts), out=target[some])
            else:
                target[some].add_(images, alpha=1 / len(cuts))
            done = (n + min(1.0, (start + batch) / len(source))) / len(cuts)
            report(on_progress, done, f"Sharpening along axis {'ijk'[axis]}")
    out[place] = made.cpu().numpy()
    return out


def _around_object(data: np.ndarray, axis: int, reach: int) -> tuple[slice, ...]:
    """The box of what differs from the first voxel, so many voxels wider across `axis`, all of it along.

    Beyond, as outside a stripped brain, the data are constant as far as a voxel's result depends on them.
    """
    found = data != data[0, 0, 0]
    place = [slice(None)] * 3
    for across in {0, 1, 2} - {axis}:
        seen = np.flatnonzero(found.any(axis=tuple(other for other in range(3) if other != across)))
        place[across] = slice(max(0, seen[0] - reach), seen[-1] + 1 + reach) if len(seen) else slice(0, 0)
    return tuple(place)


@torch.inference_mode()
def sharpen_images(model: nn.Module, images: torch.Tensor, acquisition: Acquisition, size: int) -> torch.Tensor:
    """(B, H, W) to (B, H, size) by the network, float32."""
    batch = images[:, None].contiguous(memory_format=torch.channels_last)
    made = model(batch, acquisition.factor, acquisition.thickness)[:, 0]
    if made.shape[-1] != size:  # n d / d' lies halfway between two numbers, and was rounded the other way
        places = np.arange(size) - (size - 1) / 2 + (made.shape[-1] - 1) / 2
        matrix = torch.tensor(cubic_weights(made.shape[-1], places), dtype=made.dtype)
        made = apply_along(matrix.to(made.device), made, -1)
    return made.float()


def _preview(sharpened, data, acquisition, size, cut, values, job, on_progress) -> None:
    still, kept = cut
    middle = data.shape[still] // 2

    def picture() -> dict:
        image = np.moveaxis(data, (still, kept, acquisition.axis), (0, 1, 2))[middle:middle + 1]
        after = sharpened(image)[0]
        before = replace(acquisition, axis=-1).interpolate(torch.from_numpy(image[0].copy()), size).numpy()
        codes = axis_codes(job.grid.affine)
        axes = [_POSITIVE[codes[one]] for one in (kept, acquisition.axis)]
        spacing = job.grid.spacing_mm[kept], job.grid.spacing_mm[acquisition.axis] / acquisition.factor
        return slice_picture(values.from_unit(after), values.from_unit(before), axes, spacing)

    preview(on_progress, picture)
