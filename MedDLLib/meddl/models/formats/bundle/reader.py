"""MONAI bundles: configs/inference.json or .yaml, configs/metadata.json and models/model.pt become a card and
safetensors.

M. J. Cardoso et al., "MONAI: An open-source framework for deep learning in healthcare", 2022,
doi:10.48550/arXiv.2211.02701. Bundles are read as MONAI 0.9 to 1.6 write them; nothing in them is executed.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from meddl.core.errors import ModelError
from meddl.models.formats.bundle.config import BundleConfig, Component, component_of
from meddl.models.formats.bundle.output import read_inferer, read_postprocessing
from meddl.models.formats.bundle.transforms import read_preprocessing
from meddl.models.formats.checkpoint import load_checkpoint, own_names, tensors_of
from meddl.models.formats.imported import ImportedModel, identifier, label_entries
from meddl.models.formats.plain_content import read_object
from meddl.networks.architectures.of_monai import PREFIX, checked_arguments

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_NAMES = {"network": ("network_def", "network", "net_def", "net"), "inferer": ("inferer",),
          "preprocessing": ("preprocessing", "pre_transforms", "val_transforms"),
          "postprocessing": ("postprocessing", "post_transforms", "postprocess")}
_NETWORK = "network"


def find_bundle(folder: Path) -> Path | None:
    """The bundle below `folder` (itself, or at most two levels down), None where there is none."""
    for place in (folder, *sorted(folder.glob("*")), *sorted(folder.glob("*/*"))):
        if any((place / "configs" / name).is_file() for name in _CONFIGS):
            return place
    return None


def read_bundle(folder: str | Path, *, name: str | None = None, orientation: str | None = None) -> ImportedModel:
    """Read a MONAI bundle for segmentation.

    Args:
        folder: with configs and models.
        name: what the model is called; from its metadata where None.
        orientation: axis codes to which volumes are turned, where the bundle does not turn them itself.

    Raises:
        ModelError: a file is missing or damaged, or the bundle needs what MedDL does not have; the message names the
            entry. Nothing is executed.
        DependencyError: its configuration is YAML, and PyYAML is not installed.
    """
    folder = Path(folder)
    place = next(folder / "configs" / file for file in _CONFIGS if (folder / "configs" / file).is_file())
    config = BundleConfig(read_object(place))
    metadata_place = folder / "configs" / "metadata.json"
    metadata = read_object(metadata_place) if metadata_place.is_file() else {}
    try:
        return _assemble(folder, config, metadata, name, orientation)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"The bundle '{folder.name}' cannot be read: its configuration lacks or garbles something "
                         f"({type(error).__name__} {error}).") from error


def _assemble(folder: Path, config: BundleConfig, metadata: dict, name: str | None,
              orientation: str | None) -> ImportedModel:
    network = _network(config)
    architecture, arguments, left_out = checked_arguments(
        network.name, {key: network.take(key) for key in network.arguments})
    outputs, inputs = arguments.get("out_channels"), arguments.get("in_channels")
    if not isinstance(outputs, int) or not isinstance(inputs, int):
        raise ModelError(f"The bundle's entry '{network.entry}' does not say how many channels the network takes and "
                         "gives (in_channels, out_channels).")
    image_key = config.read("image_key") if "image_key" in config else "image"
    before = read_preprocessing(config, _entry(config, "preprocessing"),
                                image_key if isinstance(image_key, str) else "image")
    windows, slices = read_inferer(config, _entry(config, "inferer"))
    dimensions = int(arguments.get("spatial_dims", 3))
    if dimensions != len(windows["patch_voxels"]):
        raise ModelError(f"The bundle's network has {dimensions} axes, its inferer {len(windows['patch_voxels'])}.")
    steps = list(before.steps)
    if slices is not None:
        steps.append({"name": "transpose", "arguments": {"axes": [slices, *(a for a in range(3) if a != slices)]}})
    after = read_postprocessing(config, _entry(config, "postprocessing"), outputs)
    weights, weights_name = _weights(folder, config)
    orientation = before.orientation or orientation
    names = _label_names(metadata, after.output)
    channels = _channel_names(metadata, before.keys, inputs)
    spacing = min([size for size in before.spacing_mm or [] if size > 0], default=1.0)
    patch = [n or 1 for n in windows["patch_voxels"]]
    title = str(name or metadata.get("name") or folder.name)
    notes = [
        f"MONAI bundle, {architecture}, {weights_name}, windows {_by(windows['patch_voxels'])}, overlap "
        f"{windows['overlap']:g}, {_steps_text(steps)}.",
        f"Volumes are {'turned to ' + orientation if orientation else 'taken as stored'}.", *before.notes, *after.notes]
    if after.output.get("order"):
        written = [names[value] for value in after.output["values"]]
        notes.append(f"Regions may overlap; they are written in this order, one over the other: {', '.join(written)}.")
    if left_out:
        notes.append(f"Arguments without effect were left out: {', '.join(left_out)}.")
    recipe = {"inputs": channels, "orientation": orientation, "steps": steps, "windows": windows,
              "output": after.output, "networks": [_NETWORK], "cleanup": after.cleanup,
              "cleanup_grid": after.cleanup_grid, "notes": notes}
    card = {
        "id": identifier(title), "version": _version(metadata), "name": _line(title), "task": "segmentation",
        "description": str(metadata.get("description") or f"MONAI bundle for {', '.join(names.values())}.")[:2000],
        "modality": channels, "labels": label_entries(names), "recipe": recipe,
        "networks": {_NETWORK: {"architecture": PREFIX + architecture, "arguments": arguments, "spacing_mm": spacing,
                                "patch_voxels": [1] * (3 - len(patch)) + patch}},
        "license": {"code": "Apache-2.0 (MONAI)", "weights": _line(metadata.get("license"))},
        "source": {"name": _line(metadata.get("authors"), title), "url": "https://monai.io/model-zoo"},
        "training": {"data": _line(metadata.get("data_source")), "data_license": "not stated"},
        "accuracy": [], "intended_use": _line(metadata.get("intended_use"), "What its maker states. Research only."),
        "limits": "Unknown to MedDL: it was not measured here.",
        "citation": " ".join(str(text) for text in _list(metadata.get("references")))[:1000]}
    tensors = {f"{_NETWORK}.{key}": tensor for key, tensor in weights.items()}
    return ImportedModel(card, tensors, tuple(notes))


def _entry(config: BundleConfig, what: str) -> str:
    """The name of the entry for a part of the bundle."""
    for name in _NAMES[what]:
        if name in config:
            return name
    raise ModelError(f"The bundle's configuration has no {what} (an entry called {' or '.join(_NAMES[what])}).")


def _network(config: BundleConfig) -> Component:
    for name in _NAMES["network"]:
        if name in config and isinstance(value := config.read(name), dict):
            return component_of(value, name)
    return component_of(config.read(_entry(config, "network")), "network")


def _weights(folder: Path, config: BundleConfig) -> tuple[dict, str]:
    """The network's weights, and the name of their file in the bundle."""
    place = folder / (_stated_checkpoint(config) or "models/model.pt")
    if not place.is_file():
        raise ModelError(f"The bundle '{folder.name}' lacks its weights '{place.relative_to(folder)}'. Bundles of the "
                         "model zoo name large files in large_files.yml; download them first.")
    content = load_checkpoint(place)
    for key in ("model", "state_dict", "network", "net"):
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    weights = tensors_of(content, f"'{place.name}'")
    return own_names(weights), place.relative_to(folder).as_posix()


def _stated_checkpoint(config: BundleConfig) -> str | None:
    """The path that the bundle's CheckpointLoader names, below the bundle's folder, None where it is not understood.

    Raises:
        ModelError: it lies elsewhere.
    """
    candidates = [config.read(name) for name in ("checkpointloader", "handlers") if name in config]
    parts = [part for value in candidates for part in (value if isinstance(value, list) else [value])]
    for part in parts:
        if isinstance(part, dict) and str(part.get("_target_", "")).rsplit(".", 1)[-1] == "CheckpointLoader":
            path = part.get("load_path")
            root = config.read("bundle_root") if "bundle_root" in config else "."
            if not isinstance(path, str) or not path.endswith((".pt", ".pth")):
                return None
            inner = PurePosixPath(path.removeprefix(root).lstrip("/") if isinstance(root, str) and root else path)
            if inner.is_absolute() or ".." in inner.parts or ":" in path or "\\" in path:
                raise ModelError(f"The bundle names weights outside of its folder: '{path}'.")
            return str(inner)
    return None


def _label_names(metadata: dict, output: dict) -> dict[int, str]:
    """Names of the labels by value, in the order of the channels."""
    stated = _deep(metadata, "network_data_format", "outputs", "pred", "channel_def")
    by_channel = {int(key): str(text) for key, text in stated.items() if str(key).isdigit()} if isinstance(
        stated, dict) else {}
    order = output.get("order") or range(len(output["values"]))
    names: dict[int, str] = {}
    for channel, value in sorted(zip(order, output["values"], strict=True)):
        if value and value not in names:
            names[value] = _line(by_channel.get(channel), f"structure {value}").replace("_", " ")
    return names


def _channel_names(metadata: dict, keys: tuple[str, ...], count: int) -> list[str]:
    if len(keys) == count > 1:
        return [_line(key) for key in keys]
    if len(keys) > 1:
        raise ModelError(f"The bundle joins {len(keys)} volumes, its network takes {count} channels.")
    image = _deep(metadata, "network_data_format", "inputs", "image") or {}
    stated, modality = image.get("channel_def") or {}, image.get("modality")
    if count == 1:
        return [_line(modality, "image")]
    return [_line(stated.get(str(n)) if isinstance(stated, dict) else None, f"image {n + 1}") for n in range(count)]


def _deep(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _version(metadata: dict) -> str:
    parts = str(metadata.get("version", "")).split(".")
    return ".".join(parts) if len(parts) == 3 and all(part.isdigit() for part in parts) else "1.0.0"


def _by(numbers: Iterable[int | float | None]) -> str:
    return " x ".join(str(n) if n else "all" for n in numbers)


def _steps_text(steps: list[dict]) -> str:
    return "steps " + ", ".join(step["name"].replace("_", " ") for step in steps) if steps else "no steps before"


def _list(value: object) -> list:
    return value if isinstance(value, list) else [value] if value else []


def _line(text: object, default: str = "not stated") -> str:
    return " ".join(str(text or default).split())[:200] or default
