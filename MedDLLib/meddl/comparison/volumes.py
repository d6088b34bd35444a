"""Comparison of a volume with a reference: errors, signal-to-noise ratio and similarity."""

from dataclasses import asdict, dataclass, field

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.measures.image_quality import image_quality, value_range
from meddl.measures.similarity import similarity
from meddl.spatial.volume import Volume


@dataclass(frozen=True, eq=False)
class VolumeComparison:
    """Agreement of a volume with a reference.

    Attributes:
        figures: `mae`, `rmse` (units of the images), `nrmse`, `psnr_db` (infinite where they are equal), `ssim`,
            `nmi`, `lncc`; nan where not defined.
        difference: the volume minus the reference, float32, on the reference's grid.
        report: `data_range` (the values between which PSNR and SSIM are measured), `resampled`, `voxels`, `warnings`.
    """

    figures: dict[str, float]
    difference: Volume
    report: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"VolumeComparison({', '.join(f'{name} {figure:.4g}' for name, figure in self.figures.items())})"

    def rows(self) -> list[dict]:
        """One dictionary with the figures, None where one is not finite."""
        return [{name: figure if np.isfinite(figure) else None for name, figure in self.figures.items()}]


def compare_volumes(volume: Volume, reference: Volume, *, mask: Volume | None = None,
                    on_progress: ProgressCallback | None = None) -> VolumeComparison:
    """Compare a volume with a reference, both of one channel.

    Where the grids differ, the volume is resampled once to the reference's grid, linearly; what it does not cover is
    left out of the comparison.

    Args:
        mask: where to look, nonzero voxels, on any grid; everywhere if None.

    Raises:
        InputError: several channels, no voxel in common, an empty mask, or a constant reference.
        Cancelled: from `on_progress`.
    """
    from meddl.spatial.normalize import check_magnitude
    from meddl.spatial.resample import mask_on_grid, resample

    report(on_progress, 0.0, "Resampling")
    for one, name in ((volume, "The volume"), (reference, "The reference")):
        check_magnitude(one.data, name)
    grid = reference.grid
    truth = np.asarray(reference.scalar_data, dtype=np.float64)
    inside = np.isfinite(truth)
    resampled = not volume.grid.same_as(grid)
    if resampled:
        covered = resample(Volume.scalar(np.ones(volume.shape, np.uint8), volume.affine), grid, "nearest")
        inside &= covered.scalar_data > 0
        volume = resample(volume, grid, "linear")
    if mask is not None:
        inside &= mask_on_grid(mask, grid)
    data = np.asarray(volume.scalar_data, dtype=np.float64)
    inside &= np.isfinite(data)
    if not inside.any():
        raise InputError(f"The two volumes have no voxel in common{'' if mask is None else ' inside the mask'}.")
    report(on_progress, 0.3, "Comparing")
    data, truth = (np.where(np.isfinite(one), one, 0.0) for one in (data, truth))
    figures = {**asdict(similarity(data, truth, inside)), **asdict(image_quality(data, truth, inside))}
    report(on_progress, 1.0, "Compared")
    notes = [] if inside.mean() > 0.5 or mask is not None else [
        f"The volumes have {inside.mean():.0%} of the reference's voxels in common."]
    return VolumeComparison(
        {name: figures[name] for name in ("mae", "rmse", "nrmse", "psnr_db", "ssim", "nmi", "lncc")},
        Volume.scalar(np.where(inside, data - truth, 0.0).astype(np.float32), grid.affine),
        {"data_range": value_range(truth[inside]), "resampled": "volume to the reference's grid" if resampled else None,
         "voxels": int(inside.sum()), "warnings": notes})
