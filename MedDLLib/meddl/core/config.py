"""The configurations of the three verbs, one frozen dataclass each. A default is written here and nowhere else."""

import difflib
import functools
import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from numbers import Integral, Real
from operator import attrgetter
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from meddl.core.errors import InputError

T = TypeVar("T")

INTERPOLATIONS = ("linear", "nearest", "cubic", "lanczos")  # how a volume is resampled; nearest for label maps
LABEL_SUFFIXES = (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".mha")  # of the files of a job, the default first
REGISTER_RESULTS = ("warped", "transform", "inverse", "jacobian")  # of a registration, that a job writes
MODALITIES = ("auto", "CT", "MR")  # what the intensities of a volume are taken for
TEMPLATE_ROUNDS = 4  # how often volumes are registered to their mean
FIELD_TOLERANCE_MM = 0.01  # so far a displacement field in a file may be from its map
ENGINES = ("local", "ray")  # what runs the cases of a job: processes of this machine, or a Ray cluster


def option(default: T, help_text: str, **more: object) -> T:
    """A field with its help text and, where given, `choices`, `bounds` (lowest, highest or None) of a number or of each
    number in a list, `filled` (True for a list that is never empty), and `applies_to`, {other field: its values with
    which this one has an effect}.

    Names that it had in version 0.1.0: `old_names`, and `old_flags` in the shell where these were others.
    """
    return field(default=default, metadata={"help": help_text, **more})


def field_help(config_class: type) -> dict[str, str]:
    """Help text of each field of a configuration, for tooltips and the command line."""
    return {f.name: f.metadata.get("help", "") for f in fields(config_class)}


def applies(config: Any, name: str) -> bool:
    """Whether a field has an effect with the other values of a configuration."""
    metadata = next(f.metadata for f in fields(config) if f.name == name)
    return all(getattr(config, other) in values for other, values in metadata.get("applies_to", {}).items())


def old_names(config_class: type) -> dict[str, str]:
    """The present name of each old field name of a dataclass, from the `old_names` in its fields' metadata."""
    return {old: field.name for field in fields(config_class)
            for old in field.metadata.get("old_names", ())}


def with_new_names(config_class: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field name, those under an old name moved to the present one."""
    names = old_names(config_class)
    present = {name: value for name, value in values.items() if name not in names}
    return present | {names[name]: value for name, value in values.items() if name in names}


def accept_old_names(config_class: type[T]) -> type[T]:
    """Class decorator: a dataclass takes its fields, and gives them, under their old names too."""
    initialize = vars(config_class)["__init__"]

    @functools.wraps(initialize)
    def renaming(self: T, *values: Any, **named: Any) -> None:
        initialize(self, *values, **with_new_names(config_class, named))

    setattr(config_class, "__init__", renaming)  # noqa: B010  # plain assignment to a method is an error to mypy
    for old, new in old_names(config_class).items():
        setattr(config_class, old, property(attrgetter(new)))
    return config_class


def _fields(config: Any) -> tuple[Field[Any], ...]:
    """The fields of a dataclass or of its object."""
    return fields(config)


def document_fields(config_class: type[T]) -> type[T]:
    """Class decorator: the docstring lists each field with its help, choices and default."""
    lines = [config_class.__doc__ or "", "", "Fields:"]
    for one in _fields(config_class):
        allowed = f" One of {', '.join(one.metadata['choices'])}." if "choices" in one.metadata else ""
        text = f"{one.name} (default {one.default!r}): {one.metadata.get('help', '')}{allowed}"
        lines += textwrap.wrap(text, 100, initial_indent="    ", subsequent_indent="        ",
                               break_on_hyphens=False)
    config_class.__doc__ = "\n".join(lines)
    return config_class


class CheckedFields:
    """Base of configurations: a value of a wrong type, or outside of its field's choices and bounds, is refused as the
    configuration is made. Choices are taken in any case, lists as tuples."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for one in _fields(self):
            value = _check_field(one.name, getattr(self, one.name), hints[one.name], one.metadata)
            object.__setattr__(self, one.name, value)


_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


def _check_field(name: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    """The value as the field holds it.

    Raises:
        InputError: names the field, what it allows and what came.
    """
    kinds = [one for one in get_args(hint) if one is not type(None)] if type(None) in get_args(hint) else [hint]
    if value is None and kinds != [hint]:
        return None
    if get_origin(kinds[0]) is not tuple:
        return _check_one(name, value, kinds[0], metadata)
    if isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, Iterable):
        raise InputError(f"{name} is a list; got {value!r}.")
    items = tuple(_check_one(name, one, get_args(kinds[0])[0], metadata, "lists values each of which is")
                  for one in value)
    if not items and metadata.get("filled"):
        raise InputError(f"{name} lists one value or more; got none.")
    return items


def _check_one(name: str, value: Any, kind: type, metadata: Mapping[str, Any], verb: str = "is") -> Any:
    if kind is str and "choices" in metadata:
        return _check_choice(name, value, metadata["choices"])
    if kind is str and verb != "is" and isinstance(value, Integral):  # a label value, or the number of a fold
        value = str(value)
    is_bool = type(value).__name__ in ("bool", "bool_")
    fits = {bool: is_bool, int: isinstance(value, Integral) and not is_bool, str: isinstance(value, str),
            float: isinstance(value, Real) and not is_bool and math.isfinite(value)}[kind]
    if not fits:
        raise InputError(f"{name} {verb} {_KINDS[kind]}; got {value!r}.")
    low, high = metadata.get("bounds", (None, None))
    if (low is not None and value < low) or (high is not None and value > high):
        raise InputError(f"{name} {verb} {f'{low:g} to {high:g}' if high is not None else f'at least {low:g}'}; "
                         f"got {value!r}.")
    return kind(value)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    by_lower = {choice.lower(): choice for choice in choices}
    if isinstance(value, str) and value.lower() in by_lower:
        return by_lower[value.lower()]
    near = difflib.get_close_matches(value.lower(), list(by_lower), n=1) if isinstance(value, str) else []
    similar = f" Similar: {by_lower[near[0]]}." if near else ""
    raise InputError(f"{name} is one of {', '.join(choices)}; got {value!r}.{similar}")


@document_fields
@accept_old_names
@dataclass(frozen=True)
class SegmentConfig(CheckedFields):
    """Configuration of `meddl.segment`."""

    flip_averaging: bool = option(
        False, "Average the probabilities with those of the left-right mirrored volume (test-time augmentation): less "
        "variance, twice the time.")
    contrast_adaptation: bool = option(
        True, "Refine the network's output by a mixture model of the volume's own intensities: boundaries follow its "
        "contrast.")
    atlas_label_maps: int = option(
        4, "How many of the atlas's label maps are registered to the volume for multi-atlas label fusion: more is more "
        "accurate and slower; 0 uses the probabilistic atlas alone. Only for models with such label maps, and with "
        "contrast adaptation.", old_names=("atlas_heads",), bounds=(0, None))
    largest_component: bool = option(True, "Keep only the largest connected part of each structure.")
    modality: str = option(
        "auto", "What the intensities are: CT (Hounsfield units), MR (any unit), or auto (found by the shape of the "
        "histogram: air, a narrow peak of soft tissue, bone).", choices=MODALITIES)
    confidence: bool = option(False, "Also return the probability of the chosen label at each voxel.")
    float32: bool = option(
        False, "Compute in float32 throughout, as the reference implementation of an imported model does; else in the "
        "device's fastest precision.")
    structures: tuple[str, ...] = option(
        (), "Segment only these structures, by name or label value, separated by commas; networks that have none of "
        "them are not run. Where parts of a model are not run, a structure keeps the voxels that those parts would "
        "have relabeled.")
    folds: tuple[str, ...] = option(
        (), "Run only these cross-validation folds of an imported model, such as 0,1: faster, and the result changes.")
    overlap: float | None = option(
        None, "Overlap of neighboring sliding-window patches as a fraction of the patch, 0 to below 1; if not given, "
        "the imported model's own (mostly 0.5). Less is faster, and the result changes.", bounds=(0, 1))
    mirror_axes: int | None = option(
        None, "Test-time mirroring along at most this many axes, 0 for none; if not given, the imported model's own. "
        "One less is twice as fast, and the result changes.", bounds=(0, None))
    body_crop: bool = option(
        False, "Crop the input of an imported model to the bounding box of the body: faster, and the result changes.")
    skip_empty: bool = option(
        False, "Skip an imported model's sliding-window patches that hold nothing of the body, and remove all labels "
        "outside of it: faster, and the result changes.")


_DEFORMABLE = {"transform_type": ("deformable",)}
# What suits each metric of a deformation, where a RegisterConfig has None.
DEFORMATION_STEPS = {
    "lncc": {"gradient_smoothing_voxels": 3.0, "field_smoothing_voxels": 1.0, "step_voxels": 0.25},
    "mind": {"gradient_smoothing_voxels": 4.0, "field_smoothing_voxels": 1.5, "step_voxels": 0.4},
}
_STEPS_TEXT = {name: " and ".join(f"{steps[name]:g} with {metric}" for metric, steps in DEFORMATION_STEPS.items())
               for name in DEFORMATION_STEPS["lncc"]}


@document_fields
@accept_old_names
@dataclass(frozen=True)
class RegisterConfig(CheckedFields):
    """Configuration of `meddl.register`."""

    transform_type: str = option(
        "rigid", "Type of the transform: translation (3 parameters), rigid (6), affine (12) or deformable (affine, "
        "then a smooth displacement field).",
        choices=("translation", "rigid", "affine", "deformable"), old_names=("transform",), old_flags=("--kind",))
    linear_transform: str = option(
        "affine", "Type of the linear transform before a deformation: translation, rigid (one subject) or affine.",
        choices=("translation", "rigid", "affine"), applies_to=_DEFORMABLE)
    metric: str = option(
        "auto", "Similarity metric. Linear: nmi (normalized mutual information, robust to partial overlap) or mi "
        "(mutual information). Deformable: lncc (local normalized cross-correlation, for one modality) or mind "
        "(MIND-SSC descriptors, for several). auto: nmi (tubularity where one volume is an angiogram of vessels "
        "alone), then lncc where the intensities agree, else mind.",
        choices=("auto", "nmi", "mi", "lncc", "mind"))
    large_displacement_search: str = option(
        "auto", "Discrete search for large displacements after the coarsest level of a deformation: on, off or auto "
        "(where that level moved a part of the object by more than 12 mm).",
        choices=("auto", "on", "off"), old_names=("capture",), applies_to=_DEFORMABLE | {"symmetric": (False,)})
    symmetric: bool = option(
        False, "Symmetric diffeomorphic registration by one stationary velocity field: exchanging fixed and moving "
        "gives the inverse transform, which is exact, not approximated. About four times slower; without large "
        "displacement search.", applies_to=_DEFORMABLE)
    initialization: str = option(
        "auto", "Initial alignment: auto (the best of the alignment by the headers, the centers of the fields of view "
        "and the centers of mass) or given (the alignment by the headers alone).",
        choices=("auto", "given"), old_names=("start",))
    search_rotations: int = option(
        0, "How many rotations, spread evenly over all, to try as initialization, beside those that align the "
        "principal axes of the objects; 0 trusts the headers, 100 finds any rotation.", bounds=(0, None))
    least_gain_percent: float = option(
        1.0, "The initial alignment stays unless another has so much more mutual information on the two finest grids: "
        "percent of NMI - 1 or of MI, and 0.0025 a percent. Noise, bias, interpolation make less.", bounds=(0, 100))
    estimate_quality: bool = option(True, "Estimate how sure the linear result is; less than half a second.")
    levels_mm: tuple[float, ...] = option(
        (8.0, 4.0, 2.0), "Grid spacings in mm from coarse to fine; smaller for small objects, never below a "
        "voxel.", bounds=(1e-3, None), filled=True)
    samples: int = option(
        100_000, "Largest number of sample points for the metric at each level.", bounds=(100, None))
    bins: int = option(
        32, "Intensity bins of the joint histogram.",
        applies_to={"transform_type": ("translation", "rigid", "affine")}, bounds=(8, None))
    iterations: int = option(40, "Largest number of optimizer iterations at each level.", bounds=(1, None))
    deformable_levels_mm: tuple[float, ...] = option(
        (), "Grid spacings of the deformation in mm from coarse to fine, never below a voxel; if not given, 4, 2 and 1 "
        "voxels.", applies_to=_DEFORMABLE, bounds=(1e-3, None))
    deformable_iterations: tuple[int, ...] = option(
        (100, 60, 20), "Largest number of iterations at each level of the deformation.",
        applies_to=_DEFORMABLE, bounds=(0, None), filled=True)
    correlation_radius_voxels: int = option(
        2, "Radius of the window of local correlation, in voxels of each level.",
        applies_to=_DEFORMABLE | {"metric": ("auto", "lncc")}, bounds=(1, 20))
    gradient_smoothing_voxels: float | None = option(
        None, "Sigma of the Gaussian that smooths each update field (fluid-like regularization), in voxels of each "
        f"level: more is stiffer. If not given, {_STEPS_TEXT['gradient_smoothing_voxels']}.",
        applies_to=_DEFORMABLE, bounds=(0, 50))
    field_smoothing_voxels: float | None = option(
        None, "Sigma of the Gaussian that smooths the displacement field after each iteration (elastic-like "
        "regularization), in voxels of each level: more is stiffer. If not given, "
        f"{_STEPS_TEXT['field_smoothing_voxels']}.", applies_to=_DEFORMABLE, bounds=(0, 50))
    step_voxels: float | None = option(
        None, "Step size: the largest displacement of a voxel in an iteration, in voxels of each level. If not given, "
        f"{_STEPS_TEXT['step_voxels']}.", applies_to=_DEFORMABLE, bounds=(1e-3, 0.5))
    landmark_weight: float = option(
        0.8, "Weight of the landmark term of the deformation: 0 none (landmarks only initialize it), 1 ignores the "
        "images at a landmark.", applies_to=_DEFORMABLE, bounds=(0, 1))
    landmark_sigma_mm: float = option(
        12.0, "Sigma of the Gaussian by which the landmark term falls off around each landmark.",
        old_names=("landmark_reach_mm",), applies_to=_DEFORMABLE, bounds=(0.1, 1000))
    convergence_threshold: float = option(
        2e-5, "A level of the deformation ends when the metric has grown by less than this fraction in five "
        "iterations; 0: never.", old_names=("stall",), applies_to=_DEFORMABLE, bounds=(0, 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(self.deformable_iterations):
            raise InputError(f"deformable_iterations are not all 0; got {self.deformable_iterations!r}.")

    @classmethod
    def from_preset(cls, name: str, **values: Any) -> "RegisterConfig":
        """The configuration of a preset, by its name in any case, with these values instead of its own.

        Raises:
            InputError: no preset has this name; or a value that is refused.
        """
        key = preset_key(name)
        if key not in (known := {preset_key(one): one for one in REGISTER_PRESETS}):
            near = difflib.get_close_matches(key, list(known), n=1)
            similar = f" Similar: {known[near[0]]}." if near else ""
            raise InputError(f"A preset is one of {'; '.join(REGISTER_PRESETS)}. Got {name!r}.{similar}")
        return replace(REGISTER_PRESETS[known[key]], **with_new_names(cls, values))


REGISTER_PRESETS: dict[str, RegisterConfig] = {
    "Rigid": RegisterConfig(),
    "Affine": RegisterConfig(transform_type="affine"),
    "Deformable": RegisterConfig(transform_type="deformable"),
    "Deformable multi-modal": RegisterConfig(transform_type="deformable", metric="mind"),
    "Same subject, two dates": RegisterConfig(transform_type="deformable", linear_transform="rigid", symmetric=True),
    "Large motion": RegisterConfig(search_rotations=100),
    "Time series": RegisterConfig(initialization="given", levels_mm=(4.0, 2.0), least_gain_percent=0.0,
                                  estimate_quality=False),
}


def preset_key(name: str) -> str:
    """The name of a preset as an option takes it; "Large motion" and "LARGE_MOTION" are "large-motion"."""
    return str(name).strip().lower().replace(",", "").replace(" ", "-").replace("_", "-")


def registration_config(config: RegisterConfig | None, preset: str | None, default: str = "Rigid") -> RegisterConfig:
    """The configuration that was given, or that of the preset; else that of the preset `default`.

    Raises:
        InputError: both were given, the preset is not known, or `config` is no configuration of a registration.
    """
    if config is None:
        return RegisterConfig.from_preset(default if preset is None else preset)
    if preset is not None:
        raise InputError("Give a configuration or a preset; RegisterConfig.from_preset(name, ...) is a preset with "
                         "other values.")
    return check_config(config, RegisterConfig)


def check_config(config: Any, config_class: type[T]) -> T:
    """The configuration of a verb; its defaults where it is None.

    Raises:
        InputError: something else.
    """
    if config is not None and not isinstance(config, config_class):
        raise InputError(f"`config` is a meddl.{config_class.__name__}; got {type(config).__name__}.")
    return config_class() if config is None else config


_FINER = {"method": ("network", "cubic", "back-projection", "self-training", "edsr3d", "srcnn", "srresnet", "srgan")}
_CONSISTENT = {"method": tuple(name for name in _FINER["method"] if name != "cubic")}  # with the measured slices


@document_fields
@accept_old_names
@dataclass(frozen=True)
class SuperResolveConfig(CheckedFields):
    """Configuration of `meddl.super_resolve`."""

    method: str = option(
        "network", "Method: network (trained on other volumes), cubic (interpolation), back-projection "
        "(interpolation, then iterative back-projection of the residual to the measured slices) or self-training (the "
        "network, fine-tuned on this volume); edsr3d, srcnn, srresnet and srgan halve the voxel size along every axis "
        "(srgan synthesizes texture); denoise (conditioned on the noise level), denoise-autoencoder and "
        "denoise-self-supervised (fine-tuned on this volume) keep the grid.",
        choices=("network", "cubic", "back-projection", "self-training", "edsr3d", "srcnn", "srresnet", "srgan",
                 "denoise", "denoise-autoencoder", "denoise-self-supervised"))
    model: str | None = option(
        None, "Your own model (`meddl train superres`) in the place of the method's: its identifier; not for srgan.",
        applies_to={"method": ("network", "self-training", "edsr3d", "srcnn", "srresnet", "denoise",
                               "denoise-autoencoder", "denoise-self-supervised")})
    adversarial_strength: float = option(
        0.3, "Of the method srgan: interpolation of the weights between SRResNet (0) and SRGAN (1).",
        applies_to={"method": ("srgan",)}, bounds=(0, 1))
    factor: float | None = option(
        None, "Upsampling factor along the thickest axes, above 1; instead of a target voxel size.", applies_to=_FINER)
    target_spacing_mm: float | None = option(
        None, "Target voxel size in mm along every axis that is coarser; if not given, the thickest axis gets the "
        "smallest voxel size of the volume.", old_flags=("--spacing",), applies_to=_FINER)
    axis: int | None = option(None, "Upsample only this array axis (0, 1, 2 for i, j, k); if not given, the thickest "
                              "one.", applies_to=_FINER, bounds=(0, 2))
    keep_type: bool = option(True, "Cast the result to the input's data type, rounded and clipped; else float.")
    keep_range: bool = option(True, "Clip the result to the range of the input: no overshoot at sharp edges.")
    profile: str = option(
        "gaussian", "Slice profile: gaussian (its full width at half maximum is the slice thickness) or rect (a box "
        "with soft edges).", choices=("gaussian", "rect"), applies_to=_CONSISTENT)
    profile_weights: tuple[float, ...] = option(
        (), "The measured slice profile: weights at steps of one new voxel about the center of the slice. Replaces "
        "profile and thickness.", applies_to=_CONSISTENT)
    thickness_mm: float | None = option(
        None, "Slice thickness (full width at half maximum of the profile); if not given, the slice distance "
        "(no gap, no overlap), of which at most 85 % is deconvolved, as too much does harm and too little does not.",
        applies_to=_CONSISTENT)
    zero_filling: float | None = option(
        None, "Factor by which the scanner interpolated the thick axis (zero-filled k-space); 1 for none; if not "
        "given, it is detected and undone.", applies_to=_CONSISTENT)
    noise_sigma: float | None = option(
        None, "Standard deviation of the volume's noise, in its own intensities; if not given, it is estimated.")
    slice_motion: bool = option(
        False, "Of several stacks: correct the rigid motion of each slice between them.", applies_to=_FINER)
    iterations: int = option(
        10, "Largest number of iterations of the method back-projection.", applies_to={"method": ("back-projection",)})
    seconds: float = option(
        60.0, "Time limit of self-training for each channel; the best network so far is used.",
        applies_to={"method": ("self-training", "denoise-self-supervised")})
