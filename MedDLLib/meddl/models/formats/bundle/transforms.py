"""The transforms before a bundle's network, as steps of a recipe."""

import ast
from dataclasses import dataclass, field
from typing import Any

from meddl.core.errors import ModelError
from meddl.models.formats.bundle.config import (
    BundleConfig,
    Component,
    Unexplained,
    component_of,
    is_disabled,
    require_understood,
)

_WITHOUT_EFFECT = {"LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor",
                   "ToDevice", "Identity", "SqueezeDim", "DeleteItems", "SelectItems", "FromMetaTensor", "SaveImage"}
_MODES = {"bilinear": "linear", "linear": "linear", "trilinear": "linear", 1: "linear", "nearest": "nearest",
          0: "nearest"}
_FLOATS = {"float", "float32", "torch.float", "torch.float32", "np.float32", "numpy.float32"}


@dataclass
class Preprocessing:
    """What a bundle does before its network.

    Attributes:
        keys: names of the volumes that become the network's channels, in their order.
        orientation: axis codes, or None.
        steps: of the recipe.
        spacing_mm: voxel size in the order of the axes, or None.
        notes: for the user.
    """

    keys: tuple[str, ...]
    orientation: str | None = None
    steps: list[dict] = field(default_factory=list)
    spacing_mm: list[float] | None = None
    notes: list[str] = field(default_factory=list)


def read_preprocessing(config: BundleConfig, path: str, image_key: str) -> Preprocessing:
    """The preprocessing at an entry.

    Args:
        image_key: name of what goes into the network.

    Raises:
        ModelError: a transform or an argument that MedDL does not know; the message names it.
    """
    transforms = transforms_at(config, path)
    joined = [part for part in transforms if base_name(part) == "ConcatItems" and part.take("name") == image_key]
    if len(joined) > 1:
        raise ModelError(f"The bundle's entry '{path}' joins its channels more than once.")
    keys = tuple(keys_of(joined[0], image_key)) if joined else (image_key,)
    if joined and joined[0].take("dim", 0) != 0:
        raise ModelError(f"The bundle's entry '{joined[0].entry}' joins along dimension {joined[0].take('dim')}; "
                         "MedDL knows 0, the channels.")
    found, together = Preprocessing(keys), not joined
    for part in transforms:
        name = base_name(part)
        if joined and part is joined[0]:
            together = True
            continue
        about = [key for key in ((image_key,) if together else keys) if key in keys_of(part, image_key)]
        if not about:
            continue
        if name in _WITHOUT_EFFECT:
            continue
        if name == "CastToType":
            _check_cast(part)
            continue
        if name not in _TRANSFORMS:
            raise ModelError(f"The bundle's entry '{part.entry}' asks for the transform '{part.name}', which MedDL "
                             f"does not know. It knows {', '.join(sorted(_WITHOUT_EFFECT | set(_TRANSFORMS)))}.")
        _TRANSFORMS[name](part, found, None if together else [keys.index(key) for key in about], image_key)
    return found


def transforms_at(config: BundleConfig, path: str) -> list[Component]:
    """The components of a Compose, or of a list, those switched off left out; raises as `BundleConfig.read`."""
    entry = config.read(path)
    if isinstance(entry, dict):
        outer = component_of(entry, path)
        if outer.name != "Compose":
            return [outer]
        entry, path = outer.arguments.get("transforms"), f"{path}#transforms"
    if not isinstance(entry, list):
        require_understood(entry)
        raise ModelError(f"The bundle's entry '{path}' is no list of transforms.")
    return [component_of(part, f"{path}#{n}") for n, part in enumerate(entry) if not is_disabled(part)]


def base_name(part: Component) -> str:
    """The name of a transform without the ending that marks dictionaries: "Spacing" for "Spacingd"."""
    known = _WITHOUT_EFFECT | set(_TRANSFORMS) | {"CastToType", "ConcatItems", "Activations", "AsDiscrete", "Invert",
                                                  "KeepLargestConnectedComponent", "MapLabelValue", "Lambda"}
    for ending in ("", "d", "D", "Dict"):
        if part.name.removesuffix(ending) in known:
            return part.name.removesuffix(ending)
    return part.name


def keys_of(part: Component, default: str) -> list[str]:
    """Which volumes a transform is about."""
    keys = part.take("keys", default)
    return [str(key) for key in keys] if isinstance(keys, list) else [str(keys)]


def known_arguments(part: Component, *names: str) -> None:
    """See that a transform has no arguments but these and those without effect.

    Raises:
        ModelError: it has; the message names them.
    """
    harmless = {"keys", "allow_missing_keys", "dtype", "lazy", "track_meta", "meta_keys", "meta_key_postfix",
                "image_only", "to_tensor", "device", "data_type", "wrap_sequence"}
    if unknown := sorted(set(part.arguments) - harmless - set(names)):
        raise ModelError(f"The bundle's entry '{part.entry}' gives '{part.name}' arguments that MedDL does not know: "
                         f"{', '.join(unknown)}.")


def only(part: Component, name: str, *allowed: object) -> None:
    """See that an argument has one of the values that MedDL knows; the first is the default.

    Raises:
        ModelError: it has another.
    """
    value = part.take(name, allowed[0])
    for one in value if isinstance(value, list) else [value]:
        if one not in allowed:
            raise ModelError(f"The bundle's entry '{part.entry}' gives '{part.name}' {name} = {one!r}; MedDL knows "
                             f"{', '.join(map(repr, allowed))}.")


def _check_cast(part: Component) -> None:
    kind = part.take("dtype", "torch.float32")
    for one in kind if isinstance(kind, list) else [kind]:
        if str(one) not in _FLOATS:
            raise ModelError(f"The bundle's entry '{part.entry}' casts the image to {one}; MedDL computes with "
                             "float32.")


def _add(found: Preprocessing, name: str, channels: list[int] | None, **arguments: object) -> None:
    """One step, or where volumes are not joined yet one for each of them."""
    for chosen in [None] if channels is None else [[n] for n in channels]:
        found.steps.append({"name": name, "arguments": arguments | ({} if chosen is None else {"channels": chosen})})


def _all_volumes(part: Component, found: Preprocessing, channels: list[int] | None) -> None:
    if channels is not None and len(channels) != len(found.keys):
        raise ModelError(f"The bundle's entry '{part.entry}' changes the grid of some of its input volumes alone, "
                         "which MedDL does not know.")


def _first(part: Component, value: Any, image_key: str) -> Any:
    """What an argument says about the image, where it says something for each key."""
    keys = keys_of(part, image_key)
    if not isinstance(value, list):
        return value
    return value[keys.index(image_key) if image_key in keys and len(value) == len(keys) else 0]


def per_axis(part: Component, name: str, default: float | None) -> list:
    """An argument of one value, or three, as three."""
    value = part.take(name, default)
    value = list(value) if isinstance(value, list) else [value] * 3
    value = value + [value[-1]] * (3 - len(value)) if value else [default] * 3
    if len(value) != 3:
        raise ModelError(f"The bundle's entry '{part.entry}' gives '{part.name}' {name} = {value}; three were "
                         "expected.")
    return value


def _orientation(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "axcodes", "as_closest_canonical", "labels")
    _all_volumes(part, found, channels)
    codes = "RAS" if part.take("as_closest_canonical", False) else part.take("axcodes")
    if not isinstance(codes, str) or len(codes) != 3 or {"RL", "AP", "SI"} != {
            pair for pair in ("RL", "AP", "SI") for code in codes.upper() if code in pair}:
        raise ModelError(f"The bundle's entry '{part.entry}' turns to {codes!r}; three axis codes such as RAS were "
                         "expected.")
    if any(step["name"] in ("space", "resize_to", "pad_to", "pad_to_multiple") for step in found.steps) or (
            found.orientation not in (None, codes.upper())):
        raise ModelError(f"The bundle's entry '{part.entry}' turns the image after its grid was changed, which MedDL "
                         "does not know.")
    found.orientation = codes.upper()


def _spacing(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "pixdim", "diagonal", "mode", "padding_mode", "align_corners", "scale_extent",
                    "recompute_affine", "min_pixdim", "max_pixdim", "ensure_same_shape")
    _all_volumes(part, found, channels)
    only(part, "diagonal", False)
    only(part, "padding_mode", "border")
    only(part, "scale_extent", False)
    only(part, "recompute_affine", False)
    if found.spacing_mm is not None:
        raise ModelError(f"The bundle's entry '{part.entry}' changes the voxel size a second time, which MedDL does "
                         "not know.")
    mode = _first(part, part.take("mode", "bilinear"), image_key)
    if mode not in _MODES:
        raise ModelError(f"The bundle's entry '{part.entry}' resamples with mode {mode!r}; MedDL knows bilinear and "
                         "nearest.")
    spacing = [float(size) if size is not None and size > 0 else None for size in per_axis(part, "pixdim", -1)]
    limits = {}
    for name, key in (("min_pixdim", "smallest_mm"), ("max_pixdim", "largest_mm")):
        if part.take(name) is not None:
            limits[key] = [float(size) for size in per_axis(part, name, None)]
    found.spacing_mm = [size or 0.0 for size in spacing]
    found.steps.append({"name": "space", "arguments": {
        "spacing_mm": spacing, "mode": _MODES[mode], "single": _is_single(part, image_key)} | limits})


def _is_single(part: Component, image_key: str) -> bool:
    """Whether a resampling computes its coordinates in float32."""
    kind = _first(part, part.take("dtype", "numpy.float64"), image_key)
    return str(kind) in _FLOATS


def _resize(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "spatial_size", "size_mode", "mode", "align_corners", "anti_aliasing")
    _all_volumes(part, found, channels)
    only(part, "size_mode", "all")
    only(part, "align_corners", None, False)
    only(part, "anti_aliasing", False)
    mode = _first(part, part.take("mode", "area"), image_key)
    if mode not in ("trilinear", "bilinear"):
        raise ModelError(f"The bundle's entry '{part.entry}' resizes with mode {mode!r}; MedDL knows trilinear.")
    found.steps.append({"name": "resize_to", "arguments": {
        "shape": [max(int(n), 0) for n in per_axis(part, "spatial_size", -1)]}})


def _crop_foreground(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "source_key", "select_fn", "channel_indices", "margin", "allow_smaller", "k_divisible",
                    "mode", "return_coords", "start_coord_key", "end_coord_key")
    _all_volumes(part, found, channels)
    if per_axis(part, "margin", 0) != [0, 0, 0] or per_axis(part, "k_divisible", 1) != [1, 1, 1]:
        only(part, "mode", "constant")  # else nothing is filled up
    threshold = _threshold(part)
    source, wanted = part.take("source_key", image_key), part.take("channel_indices")
    chosen = None if wanted is None else [int(n) for n in (wanted if isinstance(wanted, list) else [wanted])]
    if channels is not None and source in found.keys:
        chosen = [found.keys.index(source)]
    elif source != image_key:
        raise ModelError(f"The bundle's entry '{part.entry}' crops around the foreground of '{source}', which is not "
                         "the network's input.")
    found.steps.append({"name": "crop_foreground", "arguments": {
        "margin_voxels": [int(n) for n in per_axis(part, "margin", 0)],
        "inside": bool(part.take("allow_smaller", False)),
        "multiple": [int(n) for n in per_axis(part, "k_divisible", 1)], "threshold": threshold}
        | ({} if chosen is None else {"channels": chosen})})


def _threshold(part: Component) -> float:
    """The foreground's threshold: 0, or that of "lambda x: x > number"."""
    function = part.arguments.get("select_fn")
    if function is None:
        return 0.0
    if isinstance(function, Unexplained):
        try:
            tree = ast.parse(function.text.lstrip("$").strip(), mode="eval").body
        except SyntaxError:
            tree = None
        if (isinstance(tree, ast.Lambda) and len(tree.args.args) == 1 and isinstance(tree.body, ast.Compare)
                and isinstance(tree.body.left, ast.Name) and tree.body.left.id == tree.args.args[0].arg
                and len(tree.body.ops) == 1 and isinstance(tree.body.ops[0], ast.Gt)):
            try:
                return float(ast.literal_eval(tree.body.comparators[0]))
            except (ValueError, TypeError):
                pass
    require_understood(function, part)
    raise ModelError(f"The bundle's entry '{part.entry}' selects the foreground by {function!r}, which MedDL does not "
                     "know.")


def _pad(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    divisible = base_name(part) == "DivisiblePad"
    known_arguments(part, "k" if divisible else "spatial_size", "method", "mode", "value", "constant_values")
    _all_volumes(part, found, channels)
    only(part, "method", "symmetric", "end")
    only(part, "mode", "constant", "edge", "replicate", "reflect")
    name, key = ("pad_to_multiple", "multiple") if divisible else ("pad_to", "shape")
    sizes = per_axis(part, "k" if divisible else "spatial_size", 1)
    found.steps.append({"name": name, "arguments": {
        key: [max(int(n), 0 if not divisible else 1) for n in sizes],
        "mode": str(_first(part, part.take("mode", "constant"), image_key)),
        "value": float(part.take("value", part.take("constant_values", 0.0))),
        "even": part.take("method", "symmetric") == "symmetric"}})


def _scale_range(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "a_min", "a_max", "b_min", "b_max", "clip")
    _add(found, "scale_range", channels, a_min=float(part.take("a_min")),
         a_max=float(part.take("a_max")), b_min=_number(part.take("b_min")), b_max=_number(part.take("b_max")),
         clip=bool(part.take("clip", False)))


def _scale(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "minv", "maxv", "factor", "channel_wise")
    lowest, highest = _number(part.take("minv", 0.0)), _number(part.take("maxv", 1.0))
    if lowest is None and highest is None:
        raise ModelError(f"The bundle's entry '{part.entry}' scales by a factor, which MedDL does not know.")
    _add(found, "scale_extremes", channels, lowest=lowest, highest=highest,
         channel_wise=bool(part.take("channel_wise", False)))


def _scale_percentiles(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "lower", "upper", "b_min", "b_max", "clip", "relative", "channel_wise")
    only(part, "relative", False)
    _add(found, "scale_percentiles", channels, lower=float(part.take("lower")), upper=float(part.take("upper")),
         b_min=_number(part.take("b_min")), b_max=_number(part.take("b_max")), clip=bool(part.take("clip", False)),
         channel_wise=bool(part.take("channel_wise", False)))


def _standardize(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "subtrahend", "divisor", "nonzero", "channel_wise")
    measures = {name: _numbers(part.take(name)) for name in ("subtrahend", "divisor")}
    if channels is not None and any(isinstance(value, list) and len(value) != 1 for value in measures.values()):
        raise ModelError(f"The bundle's entry '{part.entry}' standardizes separate volumes by several numbers.")
    _add(found, "standardize", channels, **measures, nonzero=bool(part.take("nonzero", False)),
         channel_wise=bool(part.take("channel_wise", False)))


def _threshold_intensity(part: Component, found: Preprocessing, channels: list[int] | None, image_key: str) -> None:
    known_arguments(part, "threshold", "above", "cval")
    _add(found, "cut_beyond", channels, threshold=float(part.take("threshold")),
         above=bool(part.take("above", True)), value=float(part.take("cval", 0.0)))


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _numbers(value: list[float] | float | None) -> list[float] | float | None:
    return [float(one) for one in value] if isinstance(value, list) else _number(value)


_TRANSFORMS = {
    "Orientation": _orientation, "Spacing": _spacing, "Resize": _resize, "CropForeground": _crop_foreground,
    "SpatialPad": _pad, "DivisiblePad": _pad, "ScaleIntensityRange": _scale_range, "ScaleIntensity": _scale,
    "ScaleIntensityRangePercentiles": _scale_percentiles, "NormalizeIntensity": _standardize,
    "ThresholdIntensity": _threshold_intensity}
