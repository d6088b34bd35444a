"""The steps of a chain of preparation, each a configuration, and the chain as JSON. Standard library only."""

import json
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from meddl.core.config import INTERPOLATIONS, option
from meddl.core.errors import InputError

FORMAT = 1  # of the JSON file


@dataclass(frozen=True)
class N4:
    """N4 bias field correction: takes slow changes of brightness out of MR volumes (N. J. Tustison et al., IEEE
    Transactions on Medical Imaging 29(6), 2010, doi:10.1109/TMI.2010.2046908). SimpleITK's."""

    shrink: int = option(4, "Factor by which the volume is shrunk to find the bias field, which is applied to all "
                         "voxels: more is faster.")
    levels: int = option(4, "Number of resolutions of the bias field; each doubles the number of control points.")
    iterations: int = option(50, "Largest number of iterations at each level.")


@dataclass(frozen=True)
class Denoise:
    """Removal of noise."""

    method: str = option("curvature", "Method: curvature (anisotropic diffusion, keeps edges) or network (MedDL's "
                         "denoiser).", choices=("curvature", "network"))
    iterations: int = option(5, "Number of iterations.", applies_to={"method": ("curvature",)})
    conductance: float = option(3.0, "Conductance of the diffusion: less keeps weaker edges.",
                                applies_to={"method": ("curvature",)})


@dataclass(frozen=True)
class Equalize:
    """Contrast equalization; the range of intensities stays."""

    method: str = option("global", "Method: global (histogram equalization of the whole volume) or adaptive (in a "
                         "window around each voxel, alpha and beta limit the contrast).",
                         choices=("global", "adaptive"))
    bins: int = option(256, "Number of intensity bins.", applies_to={"method": ("global",)})
    radius_voxels: int = option(8, "Half the width of the window.", applies_to={"method": ("adaptive",)})
    alpha: float = option(0.3, "0 equalizes the histogram fully, 1 is an unsharp mask.",
                          applies_to={"method": ("adaptive",)})
    beta: float = option(0.3, "0 equalizes or masks fully, 1 leaves the volume as it is.",
                         applies_to={"method": ("adaptive",)})


@dataclass(frozen=True)
class Normalize:
    """Intensity normalization."""

    method: str = option("z-score", "Method: z-score (mean 0, standard deviation 1), percentile (two percentiles to 0 "
                         "and 1), match (the histogram of the reference volume) or window (a CT window to 0 and 1).",
                         choices=("z-score", "percentile", "match", "window"))
    nonzero: bool = option(False, "Leave voxels of value 0 out, as of a volume without skull.",
                           applies_to={"method": ("z-score",)})
    low_percent: float = option(1.0, "The lower percentile.", applies_to={"method": ("percentile",)})
    high_percent: float = option(99.0, "The upper percentile.", applies_to={"method": ("percentile",)})
    level_hu: float = option(40.0, "Center of the CT window, HU.", applies_to={"method": ("window",)})
    width_hu: float = option(400.0, "Width of the CT window, HU.", applies_to={"method": ("window",)})


@dataclass(frozen=True)
class Crop:
    """Cropping to a box of voxels; none is resampled."""

    to: str = option("body", "To the bounding box of the body (with a margin of 10 mm) or of the region of interest.",
                     choices=("body", "roi"))
    margin_mm: float = option(0.0, "Margin around the box.")


@dataclass(frozen=True)
class Resample:
    """Resampling to another voxel size over the same field of view."""

    spacing_mm: tuple[float, ...] = option((1.0,), "Voxel size in mm: one number, or three along i, j and k.")
    interpolation: str = option("linear", "Interpolation; nearest for label maps.", choices=INTERPOLATIONS)
    antialiasing: bool = option(True, "Smooth by a Gaussian before, along axes whose voxels become larger.")


@dataclass(frozen=True)
class Reorient:
    """Axes permuted and reversed; nothing is resampled."""

    codes: str = option("RAS", "Where the axes point: one letter each of R/L, A/P and S/I.")


@dataclass(frozen=True)
class Resize:
    """A given number of voxels."""

    voxels: tuple[int, ...] = option((128,), "Number of voxels: one number, or three along i, j and k.")
    keep_spacing: bool = option(False, "Keep the voxel size, and pad with the lowest value or crop about the center; "
                                "else resample over the same field of view.")


Step = N4 | Denoise | Equalize | Normalize | Crop | Resample | Reorient | Resize
STEPS: dict[str, type[Step]] = {"n4": N4, "denoise": Denoise, "equalize": Equalize, "normalize": Normalize,
                                "crop": Crop, "resample": Resample, "reorient": Reorient, "resize": Resize}


def name_of(step: Step) -> str:
    """The name of a step in JSON and shell.

    Raises:
        InputError: no step.
    """
    for name, kind in STEPS.items():
        if type(step) is kind:
            return name
    raise InputError(f"A step was expected, such as meddl.preparation.steps.N4(); got {type(step).__name__}.")


def chain_to_text(steps: Iterable[Step]) -> str:
    """A chain as JSON: each step with all its values, so that other defaults do not change it."""
    return json.dumps({"format": FORMAT, "steps": [{"step": name_of(step), **asdict(step)} for step in steps]},
                      indent=1) + "\n"


def chain_from_text(text: str) -> tuple[Step, ...]:
    """The chain that `chain_to_text` wrote; values left out have their defaults.

    Raises:
        InputError: not such a text, an unknown step, field or value.
    """
    try:
        content = json.loads(text)
        entries = [dict(entry) for entry in content["steps"]]
        version = content.get("format", FORMAT)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError('A chain is JSON such as {"steps": [{"step": "n4"}, {"step": "normalize"}]}; this is not.'
                         ) from error
    if version != FORMAT:
        raise InputError(f"The chain has format {version}; {FORMAT} is known.")
    return tuple(make_step(str(entry.pop("step", "")), entry) for entry in entries)


def load_chain(path: str | Path) -> tuple[Step, ...]:
    """Read a chain from a JSON file. Raises as `chain_from_text`."""
    try:
        return chain_from_text(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The chain '{path}' cannot be read: {error}.") from error


def step_from_words(words: str) -> Step:
    """A step as the shell takes it: `denoise`, or `normalize:method=window,level_hu=50`.

    Three numbers of one field have a `x` between them: `resample:spacing_mm=1x1x2`.

    Raises:
        InputError: an unknown step, field or value.
    """
    name, _, rest = words.partition(":")
    values: dict[str, typing.Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"A step is NAME or NAME:FIELD=VALUE,FIELD=VALUE; got '{words}'.")
        values[key.strip()] = value.strip()
    return make_step(name.strip(), values)


def make_step(name: str, values: dict[str, typing.Any]) -> Step:
    """A step of this name with these values, texts or what JSON has.

    Raises:
        InputError: an unknown step, field or value.
    """
    if name not in STEPS:
        raise InputError(f"A step is one of {', '.join(STEPS)}; got '{name}'.")
    kind, hints = STEPS[name], typing.get_type_hints(STEPS[name])
    known = {field.name: field for field in fields(kind)}
    made: dict[str, typing.Any] = {}
    for key, value in values.items():
        if key not in known:
            raise InputError(f"The step '{name}' has the fields {', '.join(known)}; got '{key}'.")
        made[key] = _convert(value, hints[key], f"{name}: {key}")
        choices = known[key].metadata.get("choices")
        if choices and made[key] not in choices:
            raise InputError(f"{name}: {key} is one of {', '.join(choices)}; got '{made[key]}'.")
    return kind(**made)


def three_of(values: Sequence, name: str) -> tuple:
    """Three values of one or three.

    Raises:
        InputError: another number, or a value that is not above zero.
    """
    if len(values) not in (1, 3) or not all(value > 0 for value in values):
        raise InputError(f"{name} is one number above zero, or three; got {list(values)}.")
    return tuple(values) * 3 if len(values) == 1 else tuple(values)


def _convert(value: typing.Any, hint: typing.Any, name: str) -> typing.Any:
    try:
        if isinstance(hint, types.GenericAlias):
            kind = typing.get_args(hint)[0]
            parts = value.split("x") if isinstance(value, str) else value
            return tuple(kind(part) for part in (parts if isinstance(parts, list | tuple) else [parts]))
        if hint is bool and isinstance(value, str):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        if hint in (int, float) and isinstance(value, bool) or hint is int and float(value) != int(float(value)):
            raise ValueError(value)
        return hint(value)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{name} cannot be {value!r}.") from error
