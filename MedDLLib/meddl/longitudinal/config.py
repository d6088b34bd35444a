"""The configuration of a comparison of two dates. Standard library only."""

from dataclasses import dataclass

from meddl.core.config import INTERPOLATIONS, MODALITIES, CheckedFields, document_fields, option

PRESET = "Rigid"  # of the registration, where none is chosen: what is subtracted is brought together by a linear map


@document_fields
@dataclass(frozen=True)
class ChangeConfig(CheckedFields):
    """Configuration of `meddl.change`."""

    threshold: float = option(
        4.0, "How many standard deviations of the noise a difference has to reach to count as a change.",
        bounds=(0.5, 100))
    modality: str = option(
        "auto", "What the intensities are: MR (matched before the subtraction), CT (Hounsfield units, subtracted as "
        "they are), or auto (found by the shape of the histograms).", choices=MODALITIES)
    bias_field: bool = option(
        True, "Of MR: also remove the ratio of the two bias fields, a cubic polynomial.",
        applies_to={"modality": ("auto", "MR")})
    interpolation: str = option(
        "cubic", "Interpolation of the follow-up on the baseline's grid.",
        choices=tuple(one for one in INTERPOLATIONS if one != "nearest"))
    model: str = option(
        "", "Segment both dates with this model, such as brain, for the table of structures; if not given, the "
        "segmentations that come with the volumes, if any, are taken.")
    lesions: bool = option(
        True, "Of two segmentations that come with the volumes: follow each connected component (lesion), which is "
        "new, grown, stable, shrunk or gone.")
    smallest_ml: float = option(
        0.01, "Lesions that are smaller than this at both dates are left out, in ml.", bounds=(0, None))
    overlap: float = option(
        0.1, "Lesions of both dates are the same where, after the registration, they have this fraction of the smaller "
        "one's volume in common.", bounds=(0, 1))
    stable_percent: float = option(
        10.0, "A lesion is stable where its volume changes by no more than this, in percent.", bounds=(0, None))
