"""Preprocessing of a volume for the networks: checked, reoriented to RAS, intensities from zero."""

from dataclasses import dataclass

import numpy as np
import torch

from meddl.core.errors import GeometryError, InputError
from meddl.models.volume_metadata import modality_of, padding_of
from meddl.spatial.grid import Grid
from meddl.spatial.resample import to_tensor
from meddl.spatial.volume import Volume

LARGEST_FIELD_MM = 2000.0
SMALLEST_AXIS_VOXELS = 2
NOISE_CORRELATION = 0.3
CT_WINDOW_HU = (-50.0, 150.0)  # a brain in CT spans a few tens of units between air at -1000 and bone at +2000


@dataclass(frozen=True)
class Prepared:
    """A preprocessed volume.

    Attributes:
        image: (I, J, K) float32, axes nearest to R, A, S, lowest value about 0; zero means nothing there.
        grid: where its voxels are.
        warnings: for the user.
    """

    image: torch.Tensor
    grid: Grid
    warnings: tuple[str, ...]


def prepare(volume: Volume, device: torch.device, modality: str = "auto") -> Prepared:
    """Check a volume of finite values and bring its axes and intensities into the common form.

    Padding, with which what was not imaged is filled, becomes background. The result of MR does not depend on the unit
    of intensity.

    Args:
        modality: "CT", "MR", or "auto": by the histogram.

    Raises:
        InputError: several channels, or a flat image.
        GeometryError: a field of view that no scanner has.
    """
    data = volume.scalar_data
    extent = volume.grid.extent_mm
    if min(data.shape) < SMALLEST_AXIS_VOXELS:
        raise InputError(f"A volume needs at least {SMALLEST_AXIS_VOXELS} slices along each axis; this one has "
                         f"{data.shape[0]} x {data.shape[1]} x {data.shape[2]} voxels.")
    if extent.max() > LARGEST_FIELD_MM:
        raise GeometryError(
            f"The field of view measures {extent.max():.0f} mm, more than any scanner's {LARGEST_FIELD_MM:.0f} mm. "
            "The voxel size in the header is probably wrong; millimeters are expected.")
    warnings = []
    oriented = volume.reorient("RAS")
    image = to_tensor(oriented.scalar_data, device)
    image = image.clone() if image.data_ptr() == volume.data.__array_interface__["data"][0] else image
    lowest, highest = float(image.min()), float(image.max())
    if not highest > lowest:
        raise InputError(f"The volume is constant: every voxel is {lowest:g}. There is nothing to segment.")
    if is_ct(data, modality):
        image.clamp_(*CT_WINDOW_HU).sub_(CT_WINDOW_HU[0])
    else:
        padding = padding_of(data)
        if padding is not None:
            image.clamp_min_(padding.background)
        image.sub_(_floor(image))
        image.clamp_min_(0)
    if _neighbor_correlation(image) < NOISE_CORRELATION:
        warnings.append("Neighboring voxels are next to uncorrelated: this looks like noise and unlike a head.")
    if extent.min() < 60:
        warnings.append(f"The field of view is only {extent.min():.0f} mm thick; results may be poor.")
    return Prepared(image.contiguous(), oriented.grid, tuple(warnings))


def _neighbor_correlation(image: torch.Tensor) -> float:
    """Correlation of neighbors along the axis where it is highest, in the middle of the volume."""
    middle = image[tuple(slice(n // 4, n // 4 + max(2, n // 2)) for n in image.shape)]
    highest = 0.0
    for axis in range(3):
        size = middle.shape[axis]
        pair = torch.stack([middle.narrow(axis, 0, size - 1).reshape(-1), middle.narrow(axis, 1, size - 1).reshape(-1)])
        correlation = float(torch.corrcoef(pair)[0, 1]) if pair.shape[1] > 1 else 0.0
        highest = max(highest, correlation) if np.isfinite(correlation) else highest
    return highest


def is_ct(data: np.ndarray, modality: str = "auto") -> bool:
    """Whether intensities (I, J, K) are taken as Hounsfield units."""
    return (modality_of(data) if modality == "auto" else modality) == "CT"


def _floor(image: torch.Tensor) -> float:
    """The level of nothing: the 0.5 percentile, of an even subsample."""
    flat = image.reshape(-1)
    return float(np.quantile(flat[:: max(1, flat.numel() // 200_000)].cpu().numpy(), 0.005))
