"""The configuration of the repeated runs from which uncertainty is estimated. Standard library only."""

from dataclasses import dataclass

from meddl.core.config import CheckedFields, document_fields, option

UNCERTAINTY_MEASURES = ("entropy", "variation-ratio")  # of the labels of several runs, voxel by voxel


@document_fields
@dataclass(frozen=True)
class UncertaintyConfig(CheckedFields):
    """Configuration of the repeated runs from which uncertainty is estimated: `meddl.segment_with_uncertainty`,
    `meddl.register_with_uncertainty` and `meddl.super_resolve_with_uncertainty`."""

    runs: int = option(
        8, "How often the computation runs: once on the volume as it is, then on perturbed copies.", bounds=(2, None))
    measure: str = option(
        "entropy", "What the map of a segmentation shows: entropy of the labels over the runs (in nats, 0 where all "
        "agree), or variation-ratio (the fraction of runs that disagree with the most frequent label).",
        choices=UNCERTAINTY_MEASURES)
    shift_voxels: float = option(
        0.5, "Largest shift of a perturbed copy along each axis, in voxels; it is resampled linearly.",
        bounds=(0, None))
    noise: float = option(
        0.02, "Standard deviation of the noise added to a perturbed copy, as a fraction of the range of its "
        "intensities.", bounds=(0, None))
    gamma: float = option(
        0.1, "Largest logarithm of the gamma that changes the contrast of a perturbed copy; no effect in CT, whose "
        "intensities have a unit.", bounds=(0, None))
    mirror: bool = option(
        True, "Mirror every second copy, where the model knows left from right or was trained with mirroring.")
    seed: int = option(
        0, "Seed of the random perturbations: the same seed gives the same result.")
