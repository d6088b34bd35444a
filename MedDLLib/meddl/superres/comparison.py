"""Comparison of a result with a reference volume: PSNR, SSIM, NRMSE."""

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.measures.image_quality import image_quality
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume


def quality_against(reference: Volume, result: Volume, warnings: list[str],
                    on_progress: ProgressCallback | None = None) -> dict[str, float | None]:
    """psnr_db, ssim and nrmse of the result's first channel, where the reference covers it.

    A reference on another grid is interpolated at the result's voxels, which a warning says.

    Raises:
        InputError: the reference has several channels, or lies elsewhere.
    """
    truth, mask = reference.scalar_data, None
    if not reference.grid.same_as(result.grid, 0.02):
        warnings.append("The reference has another grid; it was interpolated at the result's voxels.")
        ones = Volume.scalar(np.ones(reference.shape, np.uint8), reference.affine)
        mask = resample(ones, result.grid, "nearest", on_progress=span(on_progress, 0.0, 0.1)).scalar_data > 0
        if not mask.any():
            raise InputError("The reference does not overlap the volume. Give one in the same world space.")
        truth = resample(reference, result.grid, "cubic", on_progress=span(on_progress, 0.1, 0.4)).scalar_data
    report(on_progress, 0.4, "Comparing with the reference")
    return image_quality(result.data[0], truth, mask, span(on_progress, 0.4, 1.0)).as_dict()
