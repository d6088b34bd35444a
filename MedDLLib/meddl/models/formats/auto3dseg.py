"""Auto3DSeg: a checkpoint of its SegResNet, with its configuration inside, becomes a card and safetensors.

A. Myronenko et al., "Automated 3D segmentation of kidneys and tumors in MICCAI KiTS 2023 challenge", 2023,
doi:10.48550/arXiv.2310.04110. Volumes are prepared in the order in which 3D Slicer's MONAI Auto3DSeg extension, which
publishes such models, prepares them; labels.csv beside the checkpoint is that extension's too.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meddl.core.errors import ModelError
from meddl.models.formats.bundle.config import BundleConfig
from meddl.models.formats.checkpoint import load_checkpoint, own_names, tensors_of
from meddl.models.formats.imported import ImportedModel, identifier, label_entries
from meddl.models.formats.torch_file import CHECKPOINT, mentions, torch_kind
from meddl.networks.architectures.of_monai import PREFIX, checked_arguments

_NETWORK = "network"
_MARGIN_VOXELS = 10
_TOLERANCE = 0.25  # voxel sizes within this fraction of the model's are left alone
_OVERLAP = 0.625
_MAXIMUM_CSV = 1 << 20
_TUMOR_VALUES = (2, 1, 3)  # of whole tumor, core and enhancing tumor, written one over the other
_NORMS = {"INSTANCE_NVFUSER": "instance"}  # the same numbers, computed elsewhere
_CODES = {"category": "SegmentedPropertyCategoryCodeSequence", "type": "SegmentedPropertyTypeCodeSequence",
          "modifier": "SegmentedPropertyTypeModifierCodeSequence"}


def find_auto3dseg(folder: Path) -> Path | None:
    """The checkpoint below `folder` (in it, or at most two levels down), None where there is none."""
    for pattern in ("*.pt", "*/*.pt", "*/*/*.pt"):
        for place in sorted(folder.glob(pattern)):
            if is_auto3dseg(place):
                return place
    return None


def is_auto3dseg(place: Path) -> bool:
    """Whether a file is a checkpoint with a configuration and weights, by the names in it; it is not opened."""
    return torch_kind(place) == CHECKPOINT and mentions(place, "state_dict", "config")


def read_auto3dseg(place: str | Path, *, name: str | None = None, orientation: str | None = None) -> ImportedModel:
    """Read a checkpoint of Auto3DSeg's SegResNet, and labels.csv beside it.

    Args:
        place: of the checkpoint.
        name: what the model is called; from its folder where None.
        orientation: axis codes to which volumes are turned, where the model does not say that.

    Raises:
        ModelError: damaged, or it needs what MedDL does not have; the message names it.
    """
    place = Path(place)
    content = load_checkpoint(place)
    try:
        return _assemble(place, content, name, orientation)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"The Auto3DSeg checkpoint '{place.name}' cannot be read: its configuration lacks or garbles "
                         f"something ({type(error).__name__} {error}).") from error


def _assemble(place: Path, content: dict, name: str | None, orientation: str | None) -> ImportedModel:
    if not isinstance(content.get("config"), dict) or "state_dict" not in content:
        raise ModelError(f"'{place.name}' is no Auto3DSeg checkpoint: it holds no 'config' and 'state_dict'.")
    config = content["config"]
    weights = own_names(tensors_of(content["state_dict"], f"state_dict in '{place.name}'"))
    network = BundleConfig({"network": _plain(config["network"])}).component("network")
    arguments = {key: network.take(key) for key in network.arguments}
    if isinstance(arguments.get("norm"), str):
        arguments["norm"] = _NORMS.get(arguments["norm"].upper(), arguments["norm"])
    architecture, arguments, _ = checked_arguments(network.name, arguments)
    inputs, outputs = int(arguments.get("in_channels", 1)), int(arguments.get("out_channels", 2))
    sigmoid = bool(config.get("sigmoid", False))
    tumor = sigmoid and inputs == 4 and outputs == 3
    channels = _channels(config, inputs)
    steps = _steps(config, inputs, tumor)
    orientation = "RAS" if config.get("orientation_ras", False) else orientation
    patch = [int(n) for n in config["roi_size"]]
    values = list(_TUMOR_VALUES) if tumor else list(range(1, outputs + 1) if sigmoid else range(outputs))
    names, terms = _names(place, config, [value for value in values if value])
    labels = [entry | ({"terminology": terms[entry["value"]]} if terms.get(entry["value"]) else {})
              for entry in label_entries(names)]
    spacing = config.get("resample_resolution")
    title = str(name or (place.parent.name if place.parent.name not in ("", "model") else place.stem))
    notes = [f"Auto3DSeg, {architecture}, epoch {content.get('epoch', 'unknown')}, normalization "
             f"{config['normalize_mode']}, windows {' x '.join(map(str, patch))}, overlap {_OVERLAP:g}"
             + (f", {' x '.join(f'{float(s):g}' for s in spacing)} mm unless the volume is within "
                f"{_TOLERANCE:.0%} of it." if spacing is not None else ", the volume's own voxel size."),
             f"Volumes are {'turned to ' + orientation if orientation else 'taken as stored'}."]
    if sigmoid and outputs > 1:
        notes.append("Regions overlap: " + (
            "whole tumor is written first, then the core, then enhancing tumor." if tumor
            else "later channels are written over earlier ones."))
    recipe = {"inputs": channels, "orientation": orientation, "steps": steps,
              "windows": {"patch_voxels": patch, "overlap": _OVERLAP, "placement": "dense", "weighting": "centered"},
              "output": {"kind": "regions" if sigmoid else "classes", "values": values, "interpolation": "nearest"},
              "networks": [_NETWORK], "notes": notes, "cleanup": _cleanup(f"{place} {title}")}
    card = {
        "id": identifier(title), "version": "1.0.0", "name": _line(title), "task": "segmentation",
        "description": f"Auto3DSeg model for {', '.join(names.values())}."[:2000], "modality": channels,
        "labels": labels, "recipe": recipe,
        "networks": {_NETWORK: {"architecture": PREFIX + architecture, "arguments": arguments,
                                "spacing_mm": min(map(float, spacing)) if spacing is not None else 1.0,
                                "patch_voxels": patch}},
        "license": {"code": "Apache-2.0 (MONAI)", "weights": "not stated"},
        "source": {"name": "Auto3DSeg", "url": "https://github.com/lassoan/SlicerMONAIAuto3DSeg"},
        "training": {"data": "not stated", "data_license": "not stated"}, "accuracy": [],
        "intended_use": "What its maker states; imported from an Auto3DSeg checkpoint. Research only.",
        "limits": "Unknown to MedDL: it was not measured here.",
        "citation": "A. Myronenko et al., 2023, doi:10.48550/arXiv.2310.04110"}
    return ImportedModel(card, {f"{_NETWORK}.{key}": tensor for key, tensor in weights.items()}, tuple(notes))


def _steps(config: dict, inputs: int, tumor: bool) -> list[dict]:
    """The image's way to the network. Tumor models normalize last; the others first, and crop by the raw intensity."""
    crop = {"name": "crop_foreground", "arguments": {"margin_voxels": [_MARGIN_VOXELS] * 3, "inside": True}}
    grid = [crop] if config.get("crop_foreground", True) else []
    if config.get("resample_resolution") is not None:
        spacing = [float(size) for size in config["resample_resolution"]]
        grid.append({"name": "space", "arguments": {
            "spacing_mm": spacing, "smallest_mm": [size * (1 - _TOLERANCE) for size in spacing],
            "largest_mm": [size * (1 + _TOLERANCE) for size in spacing], "single": True}})
    bounds = config.get("intensity_bounds")
    if tumor:
        return grid + _normalization(config["normalize_mode"], bounds, None)
    modes = [config["normalize_mode"], *_extra(config).values()]
    if inputs > 1 and len(modes) != inputs:
        raise ModelError(f"The Auto3DSeg network takes {inputs} volumes, its configuration names {len(modes)} "
                         "(extra_modalities).")
    normalization = [step for n, mode in enumerate(modes[:inputs])
                     for step in _normalization(mode, bounds, [n] if inputs > 1 else None)]
    mark = [{"name": "mark_foreground", "arguments": {"channels": [0]}}] if config.get("crop_foreground", True) else []
    return mark + normalization + grid


def _cleanup(names: str) -> list[dict]:
    """What the extension does to the labels of models that are called so."""
    if "whole-head" not in names:
        return []
    return [{"name": "keep_largest_components", "arguments": {"count": 2}}]


def _normalization(mode: str, bounds: Sequence[float] | None, channels: list[int] | None) -> list[dict]:
    about = {} if channels is None else {"channels": channels}
    if mode == "none":
        return []
    if mode in ("range", "ct"):
        if bounds is None:
            raise ModelError(f"The Auto3DSeg model normalizes intensities by '{mode}' and names no intensity_bounds.")
        return [{"name": "scale_range", "arguments": {"a_min": float(bounds[0]), "a_max": float(bounds[1]),
                                                      "b_min": -1.0, "b_max": 1.0} | about},
                {"name": "squash", "arguments": {"kind": "sigmoid"} | about}]
    if mode in ("meanstd", "mri", "meanstdtanh"):
        standard = {"name": "standardize", "arguments": {"nonzero": True, "channel_wise": True} | about}
        return [standard] + ([{"name": "squash", "arguments": {"kind": "tanh"} | about}]
                             if mode == "meanstdtanh" else [])
    if mode == "pet":
        return [{"name": "squash", "arguments": {"kind": "pet"} | about}]
    raise ModelError(f"The Auto3DSeg model normalizes intensities by '{mode}'; MedDL knows range, ct, meanstd, mri, "
                     "meanstdtanh, pet and none.")


def _extra(config: dict) -> dict:
    """Further input volumes and how each is normalized."""
    extra = config.get("extra_modalities") or {}
    return {str(key): str(mode) for key, mode in (extra.items() if isinstance(extra, dict) else extra)}


def _channels(config: dict, inputs: int) -> list[str]:
    names = [_line(config.get("modality"), "image").upper(), *_extra(config)]
    if len(names) == inputs:
        return [_line(name) for name in names]
    return [f"image {n + 1}" for n in range(inputs)] if inputs > 1 else names[:1]


def _names(place: Path, config: dict, values: list[int]) -> tuple[dict[int, str], dict[int, dict]]:
    """Names and terminology of the labels, from labels.csv, or else from the configuration."""
    table = place.with_name("labels.csv")
    if not table.is_file():
        stated = config.get("class_names")
        stated = stated if isinstance(stated, (list, tuple)) else []
        return {value: _line(stated[n] if n < len(stated) else None, f"structure {value}").replace("_", " ")
                for n, value in enumerate(values)}, {}
    if table.stat().st_size > _MAXIMUM_CSV:
        raise ModelError(f"'{table.name}' is larger than {_MAXIMUM_CSV >> 20} MB; it is no list of labels.")
    try:
        rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
        named = {int(row["LabelValue"]): row for row in rows if (row.get("LabelValue") or "").strip()}
    except (UnicodeDecodeError, csv.Error, KeyError, ValueError) as error:
        raise ModelError(f"'{table.name}' is no list of labels with LabelValue and Name: {error}.") from error
    if unknown := sorted(set(named) - set(values) - {0}):
        raise ModelError(f"'{table.name}' names the labels {unknown}, which the network does not give; it gives "
                         f"{values}.")
    names = {value: _line(named.get(value, {}).get("Name"), f"structure {value}") for value in values}
    return names, {value: term for value in values if (term := _terminology(named.get(value, {})))}


def _terminology(row: dict) -> dict | None:
    found = {}
    for part, prefix in _CODES.items():
        code = [_line(row.get(f"{prefix}.{field}"), "") for field in ("CodingSchemeDesignator", "CodeValue",
                                                                     "CodeMeaning")]
        found[part] = code if all(code) and not any(set(text) & set("~^|") for text in code) else None
    return found if found["category"] and found["type"] else None


def _plain(value: Any) -> Any:
    """Tuples as lists, as a configuration in text has them."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def _line(text: object, default: str = "not stated") -> str:
    return " ".join(str(text or default).split())[:200] or default
