"""What a person may choose, one frozen dataclass a verb. A default is written here and nowhere else."""

from dataclasses import dataclass, field, fields
from typing import TypeVar

T = TypeVar("T")

INTERPOLATIONS = ("linear", "nearest", "cubic", "lanczos")  # how a volume is resampled; nearest for label maps
LABEL_SUFFIXES = (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".mha")  # of the files of a job, the default first
TEMPLATE_ROUNDS = 4  # how often volumes are registered to their mean
ENGINES = ("local", "ray")  # what runs the cases of a job: processes of this machine, or a Ray cluster


def _option(default: T, help_text: str, **more: object) -> T:
    """A field with its help, and `choices` and `flags` (its names in the shell, where not the field's own)."""
    return field(default=default, metadata={"help": help_text, **more})


def field_help(config_class: type) -> dict[str, str]:
    """What each field of a config means, for tooltips and the command line."""
    return {f.name: f.metadata.get("help", "") for f in fields(config_class)}


@dataclass(frozen=True)
class SegmentConfig:
    """Choices of `meddl.segment`."""

    flip_averaging: bool = _option(
        False, "Average with the answer for the left-right mirrored head: steadier, twice the time.")
    contrast_adaptation: bool = _option(
        True, "Sharpen the network's answer by the volume's own intensities.")
    atlas_heads: int = _option(
        4, "How many single heads are laid on the volume, beside their average, and vote: more is surer and slower; 0: "
        "none. Only where a model brings such heads, and with contrast adaptation.")
    largest_component: bool = _option(
        True, "Keep only the largest connected part of each structure.")
    confidence: bool = _option(
        False, "Also return the probability of the chosen label at each voxel.")
    float32: bool = _option(
        False, "Compute in float32 throughout, as the makers of an imported model do; else in the device's fastest "
        "precision.")
    structures: tuple[str, ...] = _option(
        (), "Only these structures, by name or label value, with commas between; networks that know none of them are "
        "not run. Where a model of several parts is run in part, a structure keeps the voxels that a part left out "
        "would have taken from it.")
    folds: tuple[str, ...] = _option(
        (), "Of an imported model with several folds, run these alone, such as 0,1: faster, and the answer changes.")
    overlap: float | None = _option(
        None, "Share of a window that the next one covers again, 0 to below 1; an imported model's own where not given "
        "(mostly 0.5). Less is faster, and the answer changes.")
    mirror_axes: int | None = _option(
        None, "Average over mirror images along at most so many axes, 0 for none; an imported model's own where not "
        "given. One less is twice as fast, and the answer changes.")
    body_crop: bool = _option(
        False, "Let an imported model see no more than the box around the body: faster, and the answer changes.")
    skip_empty: bool = _option(
        False, "Leave out an imported model's windows that hold nothing of the body, and all labels outside of it: "
        "faster, and the answer changes.")


# What suits each metric of a deformation, where a RegisterConfig has None.
DEFORMATION_STEPS = {
    "lncc": {"gradient_smoothing_voxels": 3.0, "field_smoothing_voxels": 1.0, "step_voxels": 0.25},
    "mind": {"gradient_smoothing_voxels": 4.0, "field_smoothing_voxels": 1.5, "step_voxels": 0.4},
}
_STEPS_TEXT = {name: " and ".join(f"{steps[name]:g} with {metric}" for metric, steps in DEFORMATION_STEPS.items())
               for name in DEFORMATION_STEPS["lncc"]}


@dataclass(frozen=True)
class RegisterConfig:
    """Choices of `meddl.register`."""

    transform: str = _option(
        "rigid", "What may change: translation (3 numbers), rigid (6), affine (12) or deformable (affine, then a "
        "smooth displacement of every voxel).",
        choices=("translation", "rigid", "affine", "deformable"), flags=("--kind",))
    metric: str = _option(
        "auto", "What is maximized. Linear: nmi (normalized mutual information, steady under little overlap) or mi "
        "(mutual information). Deformable: lncc (local correlation, for one modality) or mind (self-similarity, for "
        "several). auto: nmi (an angiogram of vessels alone is laid on tubes), then lncc where the intensities agree, "
        "else mind.",
        choices=("auto", "nmi", "mi", "lncc", "mind"))
    capture: str = _option(
        "auto", "Search large displacements after the coarsest level of a deformation: on, off or auto (where that "
        "level moved a part of the object by more than 12 mm).",
        choices=("auto", "on", "off"))
    symmetric: bool = _option(
        False, "Deform both volumes alike, by one velocity field: exchanging fixed and moving gives the inverse map, "
        "and the inverse is known, not approximated. About four times slower; large displacements are not searched.")
    start: str = _option(
        "auto", "Where to start: auto (the best of the given alignment, the fields of view's centers and "
        "the centers of mass) or given (no search: only the alignment that the headers give).",
        choices=("auto", "given"))
    search_rotations: int = _option(
        0, "How many rotations, spread evenly over all, to try at the start, beside those that lay the "
        "objects' long axes on each other; 0 trusts the headers, 100 finds any turn.")
    levels_mm: tuple[float, ...] = _option(
        (8.0, 4.0, 2.0), "Grid spacings in mm from coarse to fine; smaller for small objects, never below a "
        "voxel.")
    samples: int = _option(
        100_000, "Points at which the volumes are compared at each level, at most.")
    bins: int = _option(
        32, "Intensity bins of the joint histogram.")
    iterations: int = _option(
        40, "Steps of the optimizer at each level, at most.")
    deformable_levels_mm: tuple[float, ...] = _option(
        (), "Grid spacings of the deformation in mm from coarse to fine, never below a voxel; if not given, 4, 2 and 1 "
        "voxels.")
    deformable_iterations: tuple[int, ...] = _option(
        (100, 60, 20), "Steps of the deformation at each of its levels, at most.")
    correlation_radius_voxels: int = _option(
        2, "Half width of the window of local correlation, in voxels of each level.")
    gradient_smoothing_voxels: float | None = _option(
        None, "How far a step is smoothed (sigma), in voxels of each level: more is stiffer, as a fluid. If not given, "
        f"{_STEPS_TEXT['gradient_smoothing_voxels']}.")
    field_smoothing_voxels: float | None = _option(
        None, "How far the whole displacement is smoothed after each step (sigma), in voxels of each level: more is "
        f"stiffer, as an elastic body. If not given, {_STEPS_TEXT['field_smoothing_voxels']}.")
    step_voxels: float | None = _option(
        None, "How far a voxel moves in a step at most, in voxels of each level. If not given, "
        f"{_STEPS_TEXT['step_voxels']}.")
    landmark_weight: float = _option(
        0.8, "How strongly pairs of landmarks pull the deformation: 0 not at all (they are a start only), 1 leaves the "
        "images no say at a landmark.")
    landmark_reach_mm: float = _option(
        12.0, "How far around a landmark its pull reaches (sigma).")
    stall: float = _option(
        2e-5, "A level of the deformation ends when the metric has grown by less than this share in five steps; 0: "
        "never.")


REGISTER_PRESETS: dict[str, RegisterConfig] = {
    "Rigid": RegisterConfig(),
    "Affine": RegisterConfig(transform="affine"),
    "Deformable": RegisterConfig(transform="deformable"),
    "Deformable multi-modal": RegisterConfig(transform="deformable", metric="mind"),
    "Large motion": RegisterConfig(search_rotations=100),
    "Time series": RegisterConfig(start="given", levels_mm=(4.0, 2.0)),
}


@dataclass(frozen=True)
class SuperResolveConfig:
    """Choices of `meddl.super_resolve`."""

    method: str = _option(
        "network", "How: network (learned from other volumes), cubic (interpolation alone), back-projection "
        "(interpolation, then corrected until it explains the measured slices) or self-training (the network, trained "
        "further on this volume); edsr3d, srcnn, srresnet and srgan halve the voxels along every axis (srgan invents "
        "texture); denoise (told the noise), denoise-autoencoder and denoise-self-supervised (trained further on this "
        "volume) keep the voxels.",
        choices=("network", "cubic", "back-projection", "self-training", "edsr3d", "srcnn", "srresnet", "srgan",
                 "denoise", "denoise-autoencoder", "denoise-self-supervised"))
    adversarial_strength: float = _option(
        0.3, "Of the method srgan: how far from SRResNet (0) to SRGAN (1).")
    factor: float | None = _option(
        None, "How many times smaller the voxels of the thickest axes become, any number above 1; instead of a "
        "target voxel size.")
    target_spacing_mm: float | None = _option(
        None, "Voxel size to reach in mm along every axis that is coarser; if not given, the thickest axis "
        "gets the smallest voxel size of the volume.", flags=("--spacing",))
    axis: int | None = _option(
        None, "Sharpen only this array axis (0, 1, 2 for i, j, k); if not given, the thickest is found.")
    keep_type: bool = _option(
        True, "Give the result the input's number type, rounded and held at its limits; else floating point.")
    keep_range: bool = _option(
        True, "Hold the result within the smallest and largest input value: no overshoot at sharp edges.")
    profile: str = _option(
        "gaussian", "Slice profile: gaussian (its full width at half maximum is the slice thickness) or rect (a box "
        "with soft edges).", choices=("gaussian", "rect"))
    profile_weights: tuple[float, ...] = _option(
        (), "The slice profile itself, where it is known: weights at steps of one new voxel about the slice's "
        "center. Replaces profile and thickness.")
    thickness_mm: float | None = _option(
        None, "Slice thickness; if not given, the slice distance (no gap, no overlap), of which corrections take 85 % "
        "at most, as too much does harm and too little does not.")
    zero_filling: float | None = _option(
        None, "By what factor the scanner interpolated the thick axis (zero-filled k-space); 1 for not at all; if not "
        "given, it is detected and undone.")
    noise_sigma: float | None = _option(
        None, "Standard deviation of the volume's noise, in its own intensities; if not given, it is estimated.")
    iterations: int = _option(
        10, "Steps of the method back-projection, at most.")
    seconds: float = _option(
        60.0, "Time that self-training may take, for each channel; the best network so far is used.")
