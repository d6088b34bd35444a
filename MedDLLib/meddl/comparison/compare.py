"""The verb: compare two results of the same kind."""

from os import PathLike
from typing import Any

from meddl.comparison.probabilities import ProbabilityComparison, compare_probability
from meddl.comparison.segmentations import SegmentationComparison, compare_segmentations
from meddl.comparison.transforms import PointErrors, compare_transforms
from meddl.comparison.volumes import VolumeComparison, compare_volumes
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.io import VolumeLike, as_volume
from meddl.spatial.segmentation import Segmentation
from meddl.spatial.transform import Transform
from meddl.spatial.volume import Volume


def compare(result: Segmentation | VolumeLike | Transform, reference: Segmentation | VolumeLike | Transform, *,
            on_progress: ProgressCallback | None = None, **options: Any
            ) -> SegmentationComparison | ProbabilityComparison | VolumeComparison | PointErrors:
    """Compare a result with a reference.

    Args:
        result, reference: two segmentations, two volumes of one channel, two transforms, or a volume of probabilities
            and a segmentation, on any grids; two paths are those of volumes (`meddl.load_segmentation` and
            `meddl.load_transform` read the others).
        **options: of the kind's function: `meddl.comparison.segmentations.compare_segmentations` (`match`, `region`,
            `image`, `tolerance_mm`, `surfaces`), `meddl.comparison.probabilities.compare_probability` (`structure`,
            `region`, `image`), `meddl.comparison.volumes.compare_volumes` (`mask`),
            `meddl.comparison.transforms.compare_transforms` (`grid`).

    Raises:
        InputError: kinds that cannot be compared, or what the kind's function refuses.
        Cancelled: from `on_progress`.
    """
    if all(isinstance(one, str | PathLike) for one in (result, reference)):
        result, reference = as_volume(result, "result"), as_volume(reference, "reference")
    if isinstance(reference, Segmentation):
        if isinstance(result, Segmentation):
            return compare_segmentations(result, reference, on_progress=on_progress, **options)
        if isinstance(result, Volume):
            return compare_probability(result, reference, on_progress=on_progress, **options)
    if isinstance(result, Volume) and isinstance(reference, Volume):
        return compare_volumes(result, reference, on_progress=on_progress, **options)
    if isinstance(result, Transform) and isinstance(reference, Transform):
        return compare_transforms(result, reference, **options)
    raise InputError("Two segmentations, two volumes, two transforms, or a volume of probabilities and a segmentation "
                     f"can be compared; got {type(result).__name__} and {type(reference).__name__}.")
