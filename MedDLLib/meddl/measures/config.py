"""The configuration of a comparison. Standard library only."""

from dataclasses import dataclass

from meddl.core.config import CheckedFields, document_fields, option

MATCH_RULES = ("auto", "name", "terminology", "value")  # what makes two segments the same structure
COMPARED_REGIONS = ("grid", "box", "body")  # where true negatives count


@document_fields
@dataclass(frozen=True)
class CompareConfig(CheckedFields):
    """Configuration of `meddl.compare` for segmentations."""

    match: str = option(
        "auto", "What makes two segments the same structure: their name, their terminology codes, their label "
        "value, or auto (the first of these that any two have in common).", choices=MATCH_RULES)
    region: str = option(
        "grid", "Where true negatives count, which rules accuracy, specificity and the ROC curve: the whole grid, the "
        "box around all structures of both, or the body in an image.", choices=COMPARED_REGIONS)
    structure: str = option(
        "", "Of a volume of probabilities: which structure of the reference, by name or label value; all together if "
        "not given.")
    tolerance_mm: float = option(
        1.0, "Tolerance of the surface Dice: surfaces closer than this count as equal.", bounds=(0, None))
    surfaces: bool = option(
        True, "Measure distances between surfaces, which takes longest.")
