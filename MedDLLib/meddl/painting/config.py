"""The configuration of an interactive segmentation. Standard library only."""

from dataclasses import dataclass

from meddl.core.config import CheckedFields, document_fields, option

UNPAINTED = ("auto", "background", "unknown")


@document_fields
@dataclass(frozen=True)
class PaintConfig(CheckedFields):
    """Configuration of `meddl.segment_from_paint`."""

    unpainted: str = option(
        "auto", "What the voxels without paint are in a painted slice: background (slices are painted completely), "
        "unknown (strokes, some of them in a segment that is called background), or auto (unknown where there is a "
        "segment called background).", choices=UNPAINTED)
    contour_tolerance: int = option(
        0, "By how many voxels painted contours may be off, grown, shrunk or shifted alike in all painted slices: they "
        "are moved onto the edges of the volume where these are much stronger, and paint is changed. Only where slices "
        "are painted completely.", bounds=(0, 5))
    smoothing_mm: float = option(
        0.7, "Standard deviation of the Gaussian that smooths the probabilities, in mm where voxels are 1 mm or "
        "smaller, else in voxels of the finest axis.", bounds=(0, 10))
    connected: bool = option(
        True, "Keep only the parts of a structure that are connected to its paint.")
    steps: int = option(
        100, "Steps of training after each stroke.", bounds=(1, 10000))
    largest_region: int = option(
        1000000, "Largest number of voxels that are classified; where the region around the paint has more, its slices "
        "are sampled coarser.", bounds=(1000, None))
    seed: int = option(0, "Seed of the random numbers: the same paint gives the same result.", bounds=(0, None))
