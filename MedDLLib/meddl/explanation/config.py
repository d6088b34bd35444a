"""The configuration of an explanation. Standard library only."""

from dataclasses import dataclass

from meddl.core.config import CheckedFields, document_fields, option

EXPLANATIONS = ("occlusion", "grad-cam")  # how it is shown what a result depends on


@document_fields
@dataclass(frozen=True)
class ExplainConfig(CheckedFields):
    """Configuration of `meddl.explain`."""

    method: str = option(
        "occlusion", "Method: occlusion (parts of the volume are replaced by their mean and everything runs again: how "
        "much of the structure is lost) or grad-cam (which features of the network speak for the structure).",
        choices=EXPLANATIONS)
    runs: int = option(
        30, "Largest number of runs of the occlusion: one on the volume as it is, up to 27 on a coarse grid, the rest "
        "to refine it where the structure depends most on.", bounds=(2, None),
        applies_to={"method": ("occlusion",)})
    smallest_mm: float = option(
        8.0, "Size of an occluded part below which it is not divided further, in mm.", bounds=(0, None),
        applies_to={"method": ("occlusion",)})
    layer: str = option(
        "", "Layer of the network whose features are weighted, by its name; if not given, the last convolution of the "
        "coarsest features.", applies_to={"method": ("grad-cam",)})
