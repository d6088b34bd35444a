"""nnU-Net v2: a folder with dataset.json, plans.json and fold_*/checkpoint_*.pth becomes a card and safetensors.

F. Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
Methods 18, 2021, doi:10.1038/s41592-020-01008-z. Plans are read as nnU-Net 2.0 to 2.8 write them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from meddl.errors import ModelError
from meddl.models.formats.checkpoint import load_checkpoint, tensors_of
from meddl.models.formats.imported import ImportedModel, identifier, label_entries

_ARCHITECTURES = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
_READERS = {  # how nnU-Net's readers place a file's axes, and whether they turn it first
    "SimpleITKIO": None, "SimpleITKIOWithReorient": "RAS", "NibabelIO": None, "NibabelIOWithReorient": "RAS"}
_SCHEMES = {"CTNormalization": "ct", "ZScoreNormalization": "z-score", "NoNormalization": "none",
            "RescaleTo01Normalization": "unit", "RGBTo01Normalization": "rgb"}
_MAXIMUM_JSON = 64 << 20


def find_nnunet(folder: Path, configuration: str | None = None) -> Path | None:
    """The trained model below `folder` (itself, or at most three levels down), None where there is none.

    Where a cascade lies beside its first stage, the cascade is meant.

    Args:
        configuration: such as "3d_fullres", of several that lie side by side.

    Raises:
        ModelError: several models; the message names them.
    """
    places = find_nnunets(folder)
    if configuration is not None:
        named = [place for place in places if place.name.endswith(f"__{configuration}")]
        if not named and len(places) > 1:
            raise ModelError(f"'{folder.name}' holds no configuration '{configuration}'; it holds "
                             f"{', '.join(place.name for place in places)}.")
        places = named or places
    if len(places) > 1 and len({place.parent for place in places}) == 1:
        stages = {_configuration_of(place): place for place in places}
        if set(stages) == {"3d_lowres", "3d_cascade_fullres"}:
            return stages["3d_cascade_fullres"]
    if len(places) > 1:
        raise ModelError(f"'{folder.name}' holds several trained models: "
                         f"{', '.join(str(place.relative_to(folder)) for place in places)}. Give the folder of one, "
                         "or its configuration (--configuration 3d_fullres).")
    return places[0] if places else None


def find_nnunets(folder: Path) -> list[Path]:
    """All trained models below `folder` (itself, or at most three levels down), in the order of their names."""
    found = [place for place in (folder, *(p for depth in ("*", "*/*", "*/*/*") for p in sorted(folder.glob(depth))))
             if (place / "plans.json").is_file() and (place / "dataset.json").is_file()]
    return [place for place in found if any(place.glob("fold_*"))] or found


def read_nnunet(folder: str | Path, *, name: str | None = None, folds: tuple[str, ...] | None = None,
                checkpoint: str = "checkpoint_final.pth", orientation: str | None = None) -> ImportedModel:
    """Read a trained nnU-Net; of a cascade both stages, the first one from the folder beside.

    Args:
        folder: of the trained model.
        name: what the model is called; the dataset's name where None.
        folds: such as ("0", "1") or ("all",); every fold that is there where None.
        checkpoint: file name in each fold's folder.
        orientation: axis codes to which volumes are turned first. nnU-Net ignores a volume's directions, so this must
            be how the training data lay, such as "RAS" for TotalSegmentator; None: volumes as they are stored.

    Raises:
        ModelError: a file is missing or damaged, or the model needs what MedDL does not have; the message names it.
    """
    folder = Path(folder)
    stage = _read_stage(folder, folds, checkpoint, orientation)
    return ImportedModel(_card(stage, folder, name), stage.tensors, tuple(stage.recipe["notes"]))


@dataclass(frozen=True, eq=False)
class _Stage:
    """One trained configuration, with the one before it where it is the second of a cascade.

    Attributes:
        configuration: its name, such as "3d_fullres".
        dataset: content of dataset.json.
        names: of the labels by value.
        recipe, networks: as a card has them.
        tensors: weights by name.
    """

    configuration: str
    dataset: dict
    names: dict[int, str]
    recipe: dict
    networks: dict
    tensors: dict


def _read_stage(folder: Path, folds, checkpoint: str, orientation: str | None, prefix: str = "") -> _Stage:
    """The trained configuration in `folder`; `prefix` begins the names of its networks."""
    plans, dataset = _read_json(folder / "plans.json"), _read_json(folder / "dataset.json")
    places = _fold_places(folder, folds, checkpoint)
    checkpoints = [load_checkpoint(place) for place in places]
    try:
        previous = None
        configuration = _configuration(plans, checkpoints[0]["init_args"]["configuration"])
        if configuration.get("previous_stage") and prefix:
            raise ModelError(f"'{folder.name}' is to be the first stage of a cascade, but has one before it itself.")
        if configuration.get("previous_stage"):
            place = _previous_place(folder, str(configuration["previous_stage"]))
            previous = _read_stage(place, folds, checkpoint, orientation, "previous_")
        return _assemble(folder, plans, dataset, places, checkpoints, orientation, prefix, previous)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(f"The nnU-Net model '{folder.name}' cannot be read: its plans, dataset.json or checkpoint "
                         f"lack or garble something ({type(error).__name__} {error}).") from error


def _previous_place(folder: Path, previous: str) -> Path:
    """The folder of a cascade's first stage, beside that of the second."""
    beside = [place for place in sorted(folder.parent.glob(f"*__{previous}")) if (place / "plans.json").is_file()]
    same = [place for place in beside if place.name.rsplit("__", 1)[0] == folder.name.rsplit("__", 1)[0]]
    if len(same or beside) != 1:
        raise ModelError(f"'{folder.name}' is the second stage of a cascade; {'several folders' if beside else 'none'} "
                         f"of its first stage, {previous}, lie{'' if beside else 's'} beside it. Import the folder "
                         "that holds both.")
    return (same or beside)[0]


def _configuration_of(place: Path) -> str:
    """What the name of a trained model's folder ends in: trainer__plans__configuration."""
    return place.name.rsplit("__", 1)[-1]


def _assemble(folder, plans, dataset, places, checkpoints, orientation, prefix, previous: _Stage | None) -> _Stage:
    trainer, name = checkpoints[0]["trainer_name"], checkpoints[0]["init_args"]["configuration"]
    configuration = _configuration(plans, name)
    output, names, output_notes = _output(dataset)
    channels = dataset.get("channel_names") or dataset["modality"]
    inputs = [str(channels[key]) for key in sorted(channels, key=int)]
    found = _foreground(dataset) if previous else []
    architecture, arguments = _architecture(configuration, len(inputs) + len(found), len(output["values"]))
    patch = [int(n) for n in configuration["patch_size"]]
    steps, step_notes = _steps(plans, configuration, len(patch))
    if previous:
        if set(previous.recipe["inputs"]) != set(inputs) or previous.names != names:
            raise ModelError(f"'{folder.name}' and its first stage have different channels or labels.")
        steps.append({"name": "append_labels", "arguments": {"values": found}})
        step_notes.append(f"A cascade: {previous.configuration} runs first, and its labels are channels of {name}.")
    mirror = checkpoints[0].get("inference_allowed_mirroring_axes") or ()
    reader = plans.get("image_reader_writer", "SimpleITKIO")
    if reader not in _READERS:
        raise ModelError(f"'{folder.name}' reads images with nnU-Net's {reader}; MedDL knows {', '.join(_READERS)}.")
    orientation = orientation or _READERS[reader]
    networks, tensors = {}, {}
    spacing = [float(s) for s in configuration["spacing"]]
    for place, content in zip(places, checkpoints, strict=True):
        fold = prefix + place.parent.name.lower()
        networks[fold] = {"architecture": architecture, "arguments": arguments, "spacing_mm": min(spacing),
                          "patch_voxels": ([1] * (3 - len(patch))) + patch}
        weights = tensors_of(content["network_weights"], f"network_weights in '{place.parent.name}/{place.name}'")
        tensors.update({f"{fold}.{key}": tensor for key, tensor in _own_names(weights).items()})
    notes = [
        f"nnU-Net v2, {trainer}, {name}, {architecture}, "
        f"{len(places)} fold{'s' if len(places) > 1 else ''}, patch {' x '.join(map(str, patch))}, "
        f"{' x '.join(f'{s:g}' for s in spacing)} mm.",
        f"nnU-Net ignores directions: volumes are {'turned to ' + orientation if orientation else 'taken as stored'}.",
        *output_notes, *step_notes]
    if trainer != "nnUNetTrainer":
        notes.append(f"The trainer {trainer} may change more than its plans say.")
    recipe = {"inputs": inputs, "orientation": orientation, "steps": steps,
              "windows": {"patch_voxels": patch, "overlap": 0.5, "placement": "even", "weighting": "gaussian",
                          "sigma_share": 0.125, "mirror_axes": [int(axis) for axis in mirror], "half": True},
              "output": output, "networks": list(networks), "notes": notes}
    if previous:
        recipe["previous"] = previous.recipe
        networks, tensors = previous.networks | networks, previous.tensors | tensors
    return _Stage(name, dataset | {"name": dataset.get("name") or plans.get("dataset_name")}, names, recipe, networks,
                  tensors)


def _card(stage: _Stage, folder: Path, name: str | None) -> dict:
    """The content of card.json."""
    dataset, inputs = stage.dataset, stage.recipe["inputs"]
    dataset_name = str(dataset["name"] or folder.parent.name)
    description = str(dataset.get("description") or f"nnU-Net model for {', '.join(stage.names.values())}.")[:2000]
    terms = _line(dataset.get("licence") or dataset.get("license"))
    return {
        "id": identifier(name or f"{dataset_name}-{stage.configuration}"), "version": "1.0.0",
        "name": name or dataset_name, "task": "segmentation", "description": description, "modality": inputs,
        "labels": label_entries(stage.names), "networks": stage.networks, "recipe": stage.recipe,
        "license": {"code": "Apache-2.0 (nnU-Net)", "weights": terms},
        "source": {"name": _line(dataset.get("reference"), dataset_name), "url": "https://github.com/MIC-DKFZ/nnUNet"},
        "training": {"data": dataset_name, "data_license": terms},
        "accuracy": [], "intended_use": "What its maker states; imported from an nnU-Net folder. Research only.",
        "limits": "Unknown to MedDL: it was not measured here.",
        "citation": "F. Isensee et al., nnU-Net, Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z"}


def _read_json(place: Path) -> dict:
    try:
        if place.stat().st_size > _MAXIMUM_JSON:
            raise ModelError(f"'{place.name}' is larger than {_MAXIMUM_JSON >> 20} MB; that is no nnU-Net file.")
        content = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"'{place}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"'{place}' is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ModelError(f"'{place}' holds no JSON object.")
    return content


def _fold_places(folder: Path, folds, checkpoint: str) -> list[Path]:
    if Path(checkpoint).name != checkpoint:
        raise ModelError(f"A checkpoint is a file name such as checkpoint_final.pth; got '{checkpoint}'.")
    if folds is None:
        places = sorted(folder.glob(f"fold_*/{checkpoint}"))
        numbered = [place for place in places if place.parent.name != "fold_all"]
        places = numbered or places
    else:
        places = [folder / f"fold_{fold}" / checkpoint for fold in folds]
    missing = [str(place) for place in places if not place.is_file()]
    if missing or not places:
        raise ModelError(f"'{folder.name}' lacks {', '.join(missing) or f'fold_*/{checkpoint}'}.")
    return places


def _configuration(plans: dict, name: str) -> dict:
    """A configuration with all that it inherits."""
    found, visited = {}, []
    while name is not None:
        if name in visited:
            raise ModelError(f"The plans' configuration '{name}' inherits from itself.")
        if name not in plans["configurations"]:
            raise ModelError(f"The plans have no configuration '{name}'; they have "
                             f"{', '.join(plans['configurations'])}.")
        visited.append(name)
        found = plans["configurations"][name] | found
        name = plans["configurations"][name].get("inherits_from")
    return found


def _architecture(configuration: dict, inputs: int, outputs: int) -> tuple[str, dict]:
    """Name and arguments of the network, from new or old plans."""
    if "architecture" in configuration:
        name = configuration["architecture"]["network_class_name"].rsplit(".", 1)[-1]
        arguments = configuration["architecture"]["arch_kwargs"]
    else:
        name = configuration["UNet_class_name"]
        stages = len(configuration["n_conv_per_stage_encoder"])
        arguments = {
            "features_per_stage": [min(configuration["UNet_base_num_features"] * 2**n,
                                       configuration["unet_max_num_features"]) for n in range(stages)],
            "kernel_sizes": configuration["conv_kernel_sizes"], "strides": configuration["pool_op_kernel_sizes"],
            _ARCHITECTURES.get(name, ""): configuration["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"], "conv_bias": True,
            "conv_op": f"Conv{len(configuration['patch_size'])}d",
            "norm_op": f"InstanceNorm{len(configuration['patch_size'])}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "nonlin": "LeakyReLU", "nonlin_kwargs": {}}
    if name not in _ARCHITECTURES:
        raise ModelError(f"The plans ask for the network '{name}'; MedDL knows {', '.join(_ARCHITECTURES)}.")
    dimensions = len(configuration["patch_size"])
    known = {"n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides", _ARCHITECTURES[name],
             "n_conv_per_stage_decoder", "conv_bias", "norm_op", "norm_op_kwargs", "dropout_op", "dropout_op_kwargs",
             "nonlin", "nonlin_kwargs", "nonlin_first", "deep_supervision"}
    if unknown := sorted(key for key in set(arguments) - known if arguments[key] is not None):
        raise ModelError(f"The plans give the network {name} arguments that MedDL does not know: {', '.join(unknown)}.")
    if _class_name(arguments["conv_op"]) != f"Conv{dimensions}d":
        raise ModelError(f"The network's patch has {dimensions} axes, its convolutions are {arguments['conv_op']}.")
    norm = _class_name(arguments.get("norm_op"))
    norms = {f"InstanceNorm{dimensions}d": "instance", f"BatchNorm{dimensions}d": "batch", None: None}
    nonlin = _class_name(arguments.get("nonlin")) or "LeakyReLU"
    if norm not in norms or nonlin not in ("LeakyReLU", "ReLU"):
        raise ModelError(f"The network uses {norm} and {nonlin}; MedDL knows instance and batch normalization, "
                         "LeakyReLU and ReLU.")
    stages = len(arguments["strides"])
    norm_arguments, nonlin_arguments = arguments.get("norm_op_kwargs") or {}, arguments.get("nonlin_kwargs") or {}
    return name, {
        "in_channels": inputs, "out_channels": outputs, "dimensions": dimensions,
        "features": _per_stage(arguments["features_per_stage"], stages),
        "kernel_sizes": [_per_axis(k, dimensions) for k in _per_stage(arguments["kernel_sizes"], stages)],
        "strides": [_per_axis(s, dimensions) for s in _per_stage(arguments["strides"], stages)],
        "counts": _per_stage(arguments[_ARCHITECTURES[name]], stages),
        "decoder_counts": _per_stage(arguments["n_conv_per_stage_decoder"], stages - 1),
        "bias": bool(arguments.get("conv_bias", False)), "norm": norms[norm],
        "norm_eps": float(norm_arguments.get("eps", 1e-5)),
        "norm_affine": bool(norm_arguments.get("affine", norms[norm] == "batch")),
        "slope": float(nonlin_arguments.get("negative_slope", 0.01)) if nonlin == "LeakyReLU" else 0.0,
        "activation_first": bool(arguments.get("nonlin_first", False))}


def _class_name(dotted: str | None) -> str | None:
    return None if dotted is None else str(dotted).rsplit(".", 1)[-1]


def _per_stage(value, stages: int) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value] * stages


def _per_axis(value, dimensions: int) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)] * dimensions


def _steps(plans: dict, configuration: dict, dimensions: int) -> tuple[list[dict], list[str]]:
    """The image's way to the network: axes, crop, intensities, voxel size."""
    for key, allowed in (("resampling_fn_data", "resample_data_or_seg_to_shape"),
                         ("resampling_fn_seg", "resample_data_or_seg_to_shape"),
                         ("resampling_fn_probabilities", "resample_data_or_seg_to_shape")):
        if configuration.get(key, allowed) != allowed:
            raise ModelError(f"The plans resample with {configuration[key]}; MedDL knows {allowed}.")
    data = configuration.get("resampling_fn_data_kwargs") or {}
    probabilities = configuration.get("resampling_fn_probabilities_kwargs") or {}
    if data.get("order", 3) not in (0, 1, 3) or data.get("order_z", 0) != 0:
        raise ModelError(f"The plans resample with order {data.get('order')} and order_z {data.get('order_z')}; "
                         "MedDL knows orders 0, 1 and 3, and order_z 0.")
    if probabilities.get("order", 1) != 1 or probabilities.get("order_z", 0) != 0:
        raise ModelError("The plans bring scores back with an order other than 1; MedDL knows 1.")
    if data.get("force_separate_z") != probabilities.get("force_separate_z"):
        raise ModelError("The plans treat slices of image and scores differently (force_separate_z).")
    labels = {"order": 1, "order_z": 0} | (configuration.get("resampling_fn_seg_kwargs") or {})
    if configuration.get("previous_stage") and (labels["order"], labels["order_z"]) != (1, 0):
        raise ModelError(f"The plans resample a first stage's labels with order {labels['order']} and order_z "
                         f"{labels['order_z']}; MedDL knows 1 and 0.")
    forward = [int(axis) for axis in plans["transpose_forward"]]
    properties = (plans.get("foreground_intensity_properties_per_channel")
                  or plans.get("foreground_intensity_properties_by_modality") or {})
    channels = [_normalization(scheme, bool(masked), properties.get(str(n), {})) for n, (scheme, masked) in enumerate(
        zip(configuration["normalization_schemes"], configuration["use_mask_for_norm"], strict=True))]
    spacing = [None] * (3 - dimensions) + [float(s) for s in configuration["spacing"]]
    steps = [{"name": "transpose", "arguments": {"axes": [2 - axis for axis in forward]}}, {"name": "crop_nonzero"},
             {"name": "normalize", "arguments": {"channels": channels}},
             {"name": "resample", "arguments": {"spacing_mm": spacing, "order": int(data.get("order", 3)),
                                                "separate": data.get("force_separate_z")}}]
    return steps, [f"Intensities: {', '.join(configuration['normalization_schemes'])}."]


def _normalization(scheme: str, masked: bool, facts: dict) -> dict:
    if scheme not in _SCHEMES:
        raise ModelError(f"The plans ask for the intensity scheme '{scheme}'; MedDL knows {', '.join(_SCHEMES)}.")
    if scheme == "CTNormalization":
        return {"scheme": "ct", "lower": float(facts["percentile_00_5"]), "upper": float(facts["percentile_99_5"]),
                "mean": float(facts["mean"]), "std": float(facts["std"])}
    return {"scheme": _SCHEMES[scheme]} | ({"masked": masked} if scheme == "ZScoreNormalization" else {})


def _output(dataset: dict) -> tuple[dict, dict[int, str], list[str]]:
    """What the channels mean, and the names of the labels."""
    labels = {str(name): value for name, value in dataset["labels"].items() if name != "ignore"}
    common = {"interpolation": "linear", "nearest_axis": "auto", "anisotropy": 3.0}
    notes = ["Its 'ignore' label is not predicted."] if "ignore" in dataset["labels"] else []
    if any(isinstance(value, (list, tuple)) and len(value) > 1 for value in labels.values()):
        regions = [name for name, value in labels.items() if _members(value) != {0}]
        order = [int(value) for value in dataset["regions_class_order"]]
        if len(order) != len(regions):
            raise ModelError(f"dataset.json names {len(regions)} regions, but {len(order)} in regions_class_order.")
        notes.append(f"Overlapping regions: {', '.join(regions)}; the later ones are written over the earlier ones.")
        return {"kind": "regions", "values": order} | common, dict(zip(order, regions, strict=True)), notes
    by_value = {min(_members(value)): name for name, value in labels.items()}
    values = sorted(by_value)
    if values[0] != 0:
        raise ModelError("dataset.json has no background label 0.")
    return ({"kind": "classes", "values": values} | common,
            {value: by_value[value].replace("_", " ") for value in values[1:]}, notes)


def _foreground(dataset: dict) -> list[int]:
    """The label values that a cascade's first stage hands on, in the order of its channels."""
    values = {v for name, value in dataset["labels"].items() if name != "ignore" for v in _members(value)}
    return sorted(values - {0})


def _members(value) -> set[int]:
    return {int(v) for v in value} if isinstance(value, (list, tuple)) else {int(value)}


def _own_names(weights: dict) -> dict:
    """Each parameter once: checkpoints name most of them twice, and hold scores of coarser stages for training."""
    weights = {key.removeprefix("module.").removeprefix("_orig_mod."): tensor for key, tensor in weights.items()}
    heads = {int(key.split(".")[2]) for key in weights if key.startswith("decoder.seg_layers.")}
    kept = {}
    for key, tensor in weights.items():
        if ".all_modules." in key or key.startswith("decoder.encoder."):
            continue
        if key.startswith("decoder.seg_layers."):
            number, rest = key.removeprefix("decoder.seg_layers.").split(".", 1)
            if int(number) != max(heads):
                continue
            key = f"decoder.seg_layers.0.{rest}"
        kept[key] = tensor
    return kept


def _line(text, default: str = "not stated") -> str:
    return " ".join(str(text or default).split())[:200] or default
