"""Matrix products along one axis of a volume, slab by slab: bounded memory, and a cancel at any time."""

import numpy as np
import torch

from meddl.core.progress import ProgressCallback, report
from meddl.spatial.bspline import apply_along
from meddl.spatial.resample import to_tensor

# Voxels of the larger side of one product, on a CPU and on a GPU: bounds memory and the time to a cancel.
SLAB_VOXELS, SLAB_VOXELS_ON_GPU = 1 << 21, 1 << 26


def along_axis(matrix: np.ndarray, source: np.ndarray, axis: int, out: np.ndarray | None = None, *,
               device: torch.device | str = "cpu", message: str = "Interpolating",
               on_progress: ProgressCallback | None = None) -> np.ndarray:
    """`matrix` (m, n) applied along `axis` of `source`, whose n entries there become m.

    Args:
        source: (I, J, K), any real type and strides; float64 is computed in float64, all else in float32.
        out: array to fill; made where None, its axes in memory in the order of the source's.

    Raises:
        Cancelled: from `on_progress`.
    """
    if out is None:
        shape = list(source.shape)
        shape[axis] = len(matrix)
        out = empty_like(source, shape, np.float64 if source.dtype == np.float64 else np.float32)
    work = torch.float64 if out.dtype == np.float64 else torch.float32
    on_device = torch.tensor(matrix, dtype=work).to(device)
    most = SLAB_VOXELS if torch.device(device).type == "cpu" else SLAB_VOXELS_ON_GPU
    for place, done in slabs(out, axis, max(source.size, out.size), most):
        made = apply_along(on_device, to_tensor(source[place], device, work), axis)
        out[place] = made.cpu().numpy()
        report(on_progress, done, message)
    return out


def slabs(volume: np.ndarray, whole_axis: int | None = None, size: int | None = None, most: int | None = None):
    """`(place, done)` of slabs of (I, J, K): an index, and the fraction of the volume after it.

    Args:
        whole_axis: an axis that is not cut.
        size: voxels that one pass over the volume works on; those of the volume where None.
        most: voxels of a slab; `SLAB_VOXELS` where None.
    """
    others = [axis for axis in range(3) if axis != whole_axis]
    across = max(others, key=lambda axis: (volume.shape[axis] > 1, abs(volume.strides[axis])))
    count = volume.shape[across]
    step = max(1, (SLAB_VOXELS if most is None else most) * count // max(1, volume.size if size is None else size))
    for start in range(0, count, step):
        place = [slice(None)] * 3
        place[across] = slice(start, start + step)
        yield tuple(place), min(1.0, (start + step) / count)


def empty_like(source: np.ndarray, shape, dtype) -> np.ndarray:
    """An array of this shape whose axes lie in memory in the same order as the source's."""
    order = sorted(range(source.ndim), key=lambda axis: -abs(source.strides[axis]))
    return np.empty([shape[axis] for axis in order], dtype=dtype).transpose(np.argsort(order))
