"""A bundle's inferer and what follows its network, as windows, output and clean-up of a recipe."""

import ast
import math
from dataclasses import dataclass, field

from meddl.core.errors import ModelError
from meddl.models.formats.bundle.config import BundleConfig, Component, Unexplained, require_understood
from meddl.models.formats.bundle.transforms import base_name, keys_of, known_arguments, only, transforms_at

_WITHOUT_EFFECT = {"SaveImage", "EnsureType", "ToTensor", "CastToType", "DeleteItems", "SelectItems", "FromMetaTensor",
                   "ToDevice", "EnsureChannelFirst", "SqueezeDim"}


@dataclass
class Postprocessing:
    """What a bundle does with its network's scores.

    Attributes:
        output: of the recipe.
        cleanup, cleanup_grid: of the recipe.
        notes: for the user.
    """

    output: dict
    cleanup: list[dict] = field(default_factory=list)
    cleanup_grid: str = "volume"
    notes: list[str] = field(default_factory=list)


def read_inferer(config: BundleConfig, path: str) -> tuple[dict, int | None]:
    """The windows at an entry, and the axis along which slices are taken apart, or None.

    Raises:
        ModelError: an inferer or an argument that MedDL does not know; the message names it.
    """
    part = config.component(path)
    if part.name == "SimpleInferer":
        return {"patch_voxels": [0, 0, 0], "overlap": 0.0, "placement": "dense", "weighting": "constant"}, None
    if part.name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt", "SliceInferer"):
        raise ModelError(f"The bundle's entry '{part.entry}' asks for the inferer '{part.name}'; MedDL knows "
                         "SlidingWindowInferer, SliceInferer and SimpleInferer.")
    known_arguments(part, "roi_size", "sw_batch_size", "overlap", "mode", "sigma_scale", "padding_mode", "cval",
                    "sw_device", "progress", "cache_roi_weight_map", "cpu_thresh", "buffer_steps", "buffer_dim",
                    "spatial_dim")
    only(part, "mode", "constant", "gaussian")
    only(part, "padding_mode", "constant", "replicate")
    only(part, "cval", 0.0, 0)
    flat = part.name == "SliceInferer"
    size = part.take("roi_size")
    size = list(size) if isinstance(size, list) else [size] * (2 if flat else 3)
    if len(size) != (2 if flat else 3):
        raise ModelError(f"The bundle's entry '{part.entry}' has windows of {len(size)} axes; "
                         f"{2 if flat else 3} were expected.")
    windows = {"patch_voxels": [int(n) if n is not None and n > 0 else 0 for n in size],
               "overlap": _one(part, "overlap", 0.25), "placement": "dense",
               "weighting": "centered" if part.take("mode", "constant") == "gaussian" else "constant",
               "sigma_scale": _one(part, "sigma_scale", 0.125),
               "padding": "edge" if part.take("padding_mode", "constant") == "replicate" else "zeros"}
    return windows, int(part.take("spatial_dim", 0)) if flat else None


def read_postprocessing(config: BundleConfig, path: str, channels: int) -> Postprocessing:
    """The post-processing at an entry.

    Args:
        channels: of the network's scores.

    Raises:
        ModelError: a transform or an argument that MedDL does not know; the message names it.
    """
    state = _State(channels)
    for part in transforms_at(config, path):
        name = base_name(part)
        if "pred" not in keys_of(part, "pred") or name in _WITHOUT_EFFECT:
            continue
        if name not in _TRANSFORMS:
            raise ModelError(f"The bundle's entry '{part.entry}' asks for '{part.name}', which MedDL does not know. "
                             f"It knows {', '.join(sorted(_WITHOUT_EFFECT | set(_TRANSFORMS)))}.")
        _TRANSFORMS[name](part, state)
    return state.result()


class _State:
    """What has become of the scores so far."""

    def __init__(self, channels: int):
        self.channels = channels
        self.activation = "none"
        self.brought_back: str | None = None  # how: "linear" or "nearest"
        self.raw_when_brought_back = True
        self.kind: str | None = None
        self.threshold = 0.5
        self.labels_when_brought_back = False
        self.values: list[int] | None = None
        self.order: list[int] | None = None
        self.cleanup: list[dict] = []
        self.cleaned_before = False
        self.notes: list[str] = []

    def result(self) -> Postprocessing:
        kind = self.kind
        if kind is None:
            kind = "classes" if self.activation == "softmax" or (self.channels > 1 and self.activation == "none"
                                                                  ) else "regions"
            self.notes.append("The bundle gives out scores; MedDL takes " + (
                "the class with the largest." if kind == "classes" else f"what is at least {self.threshold:g}."))
        linear = self.brought_back == "linear" and not self.labels_when_brought_back
        if self.brought_back == "linear" and self.labels_when_brought_back:
            self.notes.append("The bundle mixes label values between voxels as it brings them back; MedDL takes the "
                              "nearest label.")
        active = linear and not self.raw_when_brought_back
        output: dict[str, object] = {"kind": kind, "interpolation": "linear" if linear else "nearest",
                  "activation": self.activation if active else "none"}
        if kind == "classes":
            if self.channels < 2:
                raise ModelError("The bundle takes the best class of a network with one channel of scores.")
            output["values"] = self.values or list(range(self.channels))
        else:
            output["values"] = self.values or list(range(1, self.channels + 1))
            output["threshold"] = self._region_threshold(active)
            if self.order is not None:
                output["order"] = self.order
            elif self.channels > 1:
                self.notes.append("Regions may overlap: later channels are written over earlier ones.")
        return Postprocessing(output, self.cleanup, "network" if self.cleaned_before else "volume", self.notes)

    def _region_threshold(self, active: bool) -> float:
        if self.activation != "sigmoid" or active:
            return self.threshold
        if not 0 < self.threshold < 1:
            raise ModelError(f"The bundle takes sigmoid scores from {self.threshold} on; 0 to 1 was expected.")
        return math.log(self.threshold / (1 - self.threshold))


def _activations(part: Component, state: _State) -> None:
    known_arguments(part, "sigmoid", "softmax", "other", "dim", "kernel")
    only(part, "other", None)
    only(part, "dim", 0)
    if part.take("sigmoid", False) and part.take("softmax", False):
        raise ModelError(f"The bundle's entry '{part.entry}' asks for sigmoid and softmax at once.")
    state.activation = "sigmoid" if part.take("sigmoid", False) else "softmax" if part.take("softmax", False) else (
        state.activation)


def _discrete(part: Component, state: _State) -> None:
    known_arguments(part, "argmax", "threshold", "threshold_values", "logit_thresh", "to_onehot", "rounding", "dim",
                    "keepdim", "n_classes", "num_classes")
    only(part, "to_onehot", None, False)
    only(part, "rounding", None)
    threshold = part.take("threshold")
    if part.take("threshold_values", False):
        threshold = part.take("logit_thresh", 0.5)
    if state.kind is not None or bool(part.take("argmax", False)) == (threshold is not None):
        raise ModelError(f"The bundle's entry '{part.entry}' makes labels in a way that MedDL does not know: one of "
                         "argmax and threshold was expected, once.")
    state.kind = "regions" if threshold is not None else "classes"
    if threshold is not None:
        if state.activation == "softmax":
            raise ModelError(f"The bundle's entry '{part.entry}' takes softmax scores from a threshold on, which MedDL "
                             "does not know.")
        state.threshold = float(threshold)


def _invert(part: Component, state: _State) -> None:
    known_arguments(part, "transform", "orig_keys", "orig_meta_keys", "nearest_interp", "post_func")
    only(part, "post_func", None)
    if state.brought_back is not None:
        raise ModelError(f"The bundle's entry '{part.entry}' brings its result back a second time.")
    state.brought_back = "nearest" if part.take("nearest_interp", True) else "linear"
    state.raw_when_brought_back = state.activation == "none"
    state.labels_when_brought_back = state.kind is not None
    state.cleaned_before = bool(state.cleanup)


def _keep_largest(part: Component, state: _State) -> None:
    known_arguments(part, "applied_labels", "is_onehot", "independent", "connectivity", "num_components")
    only(part, "is_onehot", None, False)
    if state.kind != "classes":
        raise ModelError(f"The bundle's entry '{part.entry}' keeps the largest part of scores or overlapping regions, "
                         "which MedDL does not know.")
    if state.brought_back is not None and state.cleaned_before:
        raise ModelError(f"The bundle's entry '{part.entry}' cleans up both before and after the result is brought "
                         "back.")
    values = part.take("applied_labels")
    arguments: dict[str, object] = {
        "count": int(part.take("num_components", 1)), "neighbors": int(part.take("connectivity") or 3),
        "together": not part.take("independent", True)}
    if values is not None:
        arguments["values"] = [int(value) for value in (values if isinstance(values, list) else [values])]
    state.cleanup.append({"name": "keep_largest_components", "arguments": arguments})


def _map_values(part: Component, state: _State) -> None:
    known_arguments(part, "orig_labels", "target_labels")
    if state.kind != "classes" or state.cleanup:
        raise ModelError(f"The bundle's entry '{part.entry}' renames labels where there are none yet, or after a "
                         "clean-up, which MedDL does not know.")
    names = dict(zip(map(int, part.take("orig_labels")), map(int, part.take("target_labels")), strict=True))
    state.values = [names.get(value, value) for value in state.values or range(state.channels)]


def _function(part: Component, state: _State) -> None:
    """A function that writes the regions of several channels into one map, read as text; nothing else is known."""
    known_arguments(part, "func", "overwrite", "inv_func")
    function = part.arguments.get("func")
    painted = _parse_painting(function.text) if isinstance(function, Unexplained) else None
    if state.kind != "regions" or painted is None:
        require_understood(function, part)
        raise ModelError(f"The bundle's entry '{part.entry}' applies {function!r}, which MedDL does not know.")
    channels = [channel for channel, _ in painted]
    if sorted(channels) != list(range(state.channels)):
        raise ModelError(f"The bundle's entry '{part.entry}' writes the channels {channels} of {state.channels}; each "
                         "was expected once.")
    if state.brought_back is None:
        state.labels_when_brought_back = True
    state.order = channels
    state.values = [value for _, value in painted]


def _parse_painting(text: str) -> list[tuple[int, int]] | None:
    """(channel, label) in the order in which they are written, of "lambda x: torch.where(x[[2]] > 0, 4, ...)"."""
    try:
        tree = ast.parse(text.lstrip("$").strip(), mode="eval").body
    except (SyntaxError, RecursionError, ValueError):
        return None
    if not isinstance(tree, ast.Lambda) or len(tree.args.args) != 1:
        return None
    name, node, found = tree.args.args[0].arg, tree.body, []
    while isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.where" and len(node.args) == 3:
        channel, value = _present_channel(node.args[0], name), node.args[1]
        if channel is None or not isinstance(value, ast.Constant) or type(value.value) is not int:
            return None
        found.append((channel, value.value))
        node = node.args[2]
    ends = isinstance(node, ast.Constant) and node.value == 0
    return found[::-1] if found and ends else None


def _present_channel(node: ast.expr, name: str) -> int | None:
    """The channel n of "x[[n]] > 0", "x[n] > 0" or "x[n] == 1"."""
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.comparators[0], ast.Constant)
            and (type(node.ops[0]), node.comparators[0].value) in ((ast.Gt, 0), (ast.Eq, 1), (ast.Gt, 0.5))):
        return None
    if not isinstance(node.left, ast.Subscript) or not isinstance(node.left.value, ast.Name):
        return None
    index = node.left.slice
    if isinstance(index, ast.List) and len(index.elts) == 1:
        index = index.elts[0]
    if not isinstance(index, ast.Constant) or type(index.value) is not int or index.value < 0:
        return None
    return index.value if node.left.value.id == name else None


def _one(part: Component, name: str, default: float) -> float:
    """An argument that may be given for each axis, where it is the same for all."""
    value = part.take(name, default)
    values = set(value) if isinstance(value, list) else {value}
    if len(values) != 1:
        raise ModelError(f"The bundle's entry '{part.entry}' gives '{part.name}' {name} = {value}; MedDL knows one "
                         "for all axes.")
    return float(values.pop())


_TRANSFORMS = {"Activations": _activations, "AsDiscrete": _discrete, "Invert": _invert, "MapLabelValue": _map_values,
               "KeepLargestConnectedComponent": _keep_largest, "Lambda": _function}
