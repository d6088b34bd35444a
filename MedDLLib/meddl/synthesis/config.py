"""What the random images look like. Ranges are (smallest, largest), drawn uniformly."""

from dataclasses import dataclass, field

from meddl.core.config import accept_old_names


def _probability(default: float, old_name: str) -> float:
    """A field, with its name in version 0.1.0."""
    return field(default=default, metadata={"old_names": (old_name,)})


@accept_old_names
@dataclass(frozen=True)
class SynthesisConfig:
    """Ranges of the generator.

    Attributes:
        spacing_mm: voxel size of the images made.
        shape: voxels of the images made.
        center_jitter_mm: how far the brain's center may lie from the image's, along each axis.
        rotation_degrees: largest rotation about each axis.
        scale: size factor, one for each axis.
        shear: largest shear.
        elastic_mm: standard deviation of the stationary velocity field.
        elastic_spacing_mm: distance between its control points.
        prior_probability: that an image's tissue means lie around those of a known contrast.
        tissue_sd: standard deviation of a tissue's intensities, of a range of 1.
        bias_sd: standard deviation of the logarithm of the bias field's control points.
        gamma_sd: standard deviation of the logarithm of gamma.
        thickness_mm: slice thickness of an anisotropic image.
        isotropic_mm: voxel size of an isotropic image.
        anisotropic_probability: that an image has thick slices along one axis.
        noise_sd: standard deviation of the noise, of a range of 1.
        crop_probability: that an image has a partial field of view.
        crop_fraction: smallest part of an axis that a partial field of view keeps.
        stripped_probability: that a head is without skull.
        dark_background_probability: that a whole head's background is black.
        clip_probability: that an image's brightest or darkest part is saturated (windowing).
        mirror_probability: that left and right are exchanged.
        shape_probability: that a head's structures have other sizes than in the maps, by what follows.
        nuclei_mm: how far the boundary of each nucleus is moved outwards.
        ventricles_mm: that of the lateral ventricles, about a third to one and a half of their volume; and the others.
        cortex_mm: that of the cortex, into white matter.
        skull_mm, scalp_mm: those of the skull, and of the scalp into the background.
        lesion_probability: that white matter has lesions.
        lesion_spacing_mm: distance between the control points of the field that is above a threshold in lesions.
    """

    spacing_mm: float = 2.0
    shape: tuple[int, int, int] = (80, 104, 88)
    center_jitter_mm: float = 12.0
    rotation_degrees: float = 18.0
    scale: tuple[float, float] = (0.85, 1.15)
    shear: float = 0.02
    elastic_mm: float = 4.0
    elastic_spacing_mm: float = 24.0
    prior_probability: float = _probability(0.6, "prior_share")
    tissue_sd: tuple[float, float] = (0.0, 0.08)
    bias_sd: tuple[float, float] = (0.0, 0.5)
    gamma_sd: float = 0.35
    thickness_mm: tuple[float, float] = (2.0, 8.0)
    isotropic_mm: tuple[float, float] = (0.5, 3.0)
    anisotropic_probability: float = _probability(0.35, "anisotropic_share")
    noise_sd: tuple[float, float] = (0.0, 0.06)
    crop_probability: float = _probability(0.25, "crop_share")
    crop_fraction: float = 0.5
    stripped_probability: float = _probability(0.35, "stripped_share")
    dark_background_probability: float = _probability(0.6, "dark_background_share")
    clip_probability: float = _probability(0.35, "clip_share")
    mirror_probability: float = _probability(0.5, "mirror_share")
    shape_probability: float = 0.0
    nuclei_mm: tuple[float, float] = (-0.8, 0.8)
    ventricles_mm: tuple[float, float] = (-1.6, 0.8)
    cortex_mm: tuple[float, float] = (-0.7, 0.7)
    skull_mm: tuple[float, float] = (-1.6, 1.6)
    scalp_mm: tuple[float, float] = (-1.6, 1.6)
    lesion_probability: float = 0.0
    lesion_spacing_mm: float = 7.0
