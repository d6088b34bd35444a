"""What nnU-Net's plans.json and dataset.json say of one configuration, in the terms of a recipe.

Plans are read as nnU-Net 2.0 to 2.8 write them. What MedDL does not have is refused by its name.
"""

from meddl.core.errors import ModelError

_ARCHITECTURES = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
_MAXIMUM_STAGES = 16
_RESAMPLING, _TORCH_RESAMPLING = "resample_data_or_seg_to_shape", "resample_torch_fornnunet"
_SCHEMES = {"CTNormalization": "ct", "ZScoreNormalization": "z-score", "NoNormalization": "none",
            "RescaleTo01Normalization": "unit", "RGBTo01Normalization": "rgb"}


def configuration_named(plans: dict, name: str) -> dict:
    """The configuration of this name with all that it inherits.

    Raises:
        ModelError: there is none, or it inherits from itself.
    """
    found: dict = {}
    visited: list[str] = []
    current: str | None = name
    while current is not None:
        if current in visited:
            raise ModelError(f"The plans' configuration '{current}' inherits from itself.")
        if current not in plans["configurations"]:
            raise ModelError(f"The plans have no configuration '{current}'; they have "
                             f"{', '.join(plans['configurations'])}.")
        visited.append(current)
        found = plans["configurations"][current] | found
        current = plans["configurations"][current].get("inherits_from")
    return found


def network_of(configuration: dict, inputs: int, outputs: int) -> tuple[str, dict]:
    """Name and arguments of the network (see `networks.nnunet`), from new or old plans.

    Args:
        configuration: with all that it inherits.
        inputs, outputs: channels.

    Raises:
        ModelError: a network or an argument that MedDL does not have.
    """
    if "architecture" in configuration:
        name = configuration["architecture"]["network_class_name"].rsplit(".", 1)[-1]
        arguments = configuration["architecture"]["arch_kwargs"]
    else:
        name = configuration["UNet_class_name"]
        stages = min(len(configuration["n_conv_per_stage_encoder"]), _MAXIMUM_STAGES)
        arguments = {
            "features_per_stage": [min(configuration["UNet_base_num_features"] * 2**n,
                                       configuration["unet_max_num_features"]) for n in range(stages)],
            "kernel_sizes": configuration["conv_kernel_sizes"], "strides": configuration["pool_op_kernel_sizes"],
            _ARCHITECTURES.get(name, ""): configuration["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"], "conv_bias": True,
            "conv_op": f"Conv{len(configuration['patch_size'])}d",
            "norm_op": configuration.get("norm_op", f"InstanceNorm{len(configuration['patch_size'])}d"),
            "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "nonlin": "LeakyReLU", "nonlin_kwargs": {}}
    if name not in _ARCHITECTURES:
        raise ModelError(f"The plans ask for the network '{name}'; MedDL knows {', '.join(_ARCHITECTURES)}.")
    dimensions = len(configuration["patch_size"])
    if dimensions not in (2, 3) or len(arguments["strides"]) > _MAXIMUM_STAGES:
        raise ModelError(f"The plans describe a network of {dimensions} axes and {len(arguments['strides'])} stages; "
                         f"MedDL knows 2 and 3 axes, and {_MAXIMUM_STAGES} stages at most.")
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


def with_batch_normalization(configuration: dict) -> dict:
    """The configuration as nnUNetTrainerBN trains it: batch normalization takes the place of what the plans say."""
    kind = f"torch.nn.modules.batchnorm.BatchNorm{len(configuration['patch_size'])}d"
    changed = {"norm_op": kind, "norm_op_kwargs": {"eps": 1e-5, "affine": True}}
    if "architecture" not in configuration:
        return configuration | changed
    architecture = configuration["architecture"]
    return configuration | {"architecture": architecture | {"arch_kwargs": architecture["arch_kwargs"] | changed}}


def _class_name(dotted: str | None) -> str | None:
    return None if dotted is None else str(dotted).rsplit(".", 1)[-1]


def _per_stage(value: object, stages: int) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value] * stages


def _per_axis(value: list[int] | tuple[int, ...] | int, dimensions: int) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)] * dimensions


def steps_of(plans: dict, configuration: dict, dimensions: int) -> tuple[list[dict], list[str]]:
    """The image's way to the network as steps of a recipe (axes, crop, intensities, voxel size), and notes.

    Args:
        configuration: with all that it inherits.
        dimensions: of the network, 2 or 3.

    Raises:
        ModelError: a resampling or an intensity scheme that MedDL does not have.
    """
    for key in ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities"):
        if configuration.get(key, _RESAMPLING) not in (_RESAMPLING, _TORCH_RESAMPLING):
            raise ModelError(f"The plans resample with {configuration[key]}; MedDL knows {_RESAMPLING} and "
                             f"{_TORCH_RESAMPLING}.")
    data = _resampling(configuration, "data", 3)
    probabilities = _resampling(configuration, "probabilities", 1)
    if data.get("order", 3) not in (0, 1, 3) or data.get("order_z", 0) != 0:
        raise ModelError(f"The plans resample with order {data.get('order')} and order_z {data.get('order_z')}; "
                         "MedDL knows orders 0, 1 and 3, and order_z 0.")
    if probabilities.get("order", 1) != 1 or probabilities.get("order_z", 0) != 0:
        raise ModelError("The plans bring scores back with an order other than 1; MedDL knows 1.")
    if data.get("force_separate_z") != probabilities.get("force_separate_z"):
        raise ModelError("The plans treat slices of image and scores differently (force_separate_z).")
    labels = {"order": 1, "order_z": 0} | _resampling(configuration, "seg", 1)
    if configuration.get("previous_stage") and (labels["order"], labels["order_z"]) != (1, 0):
        raise ModelError(f"The plans resample a first stage's labels with order {labels['order']} and order_z "
                         f"{labels['order_z']}; MedDL knows 1 and 0.")
    forward = [int(axis) for axis in plans["transpose_forward"]]
    properties = (plans.get("foreground_intensity_properties_per_channel")
                  or plans.get("foreground_intensity_properties_by_modality") or {})
    channels = [_normalization(scheme, bool(masked), properties.get(str(n), {})) for n, (scheme, masked) in enumerate(
        zip(configuration["normalization_schemes"], configuration["use_mask_for_norm"], strict=True))]
    spacing: list[float | None] = [None] * (3 - dimensions) + [float(s) for s in configuration["spacing"]]
    steps: list[dict] = [
        {"name": "transpose", "arguments": {"axes": [2 - axis for axis in forward]}}, {"name": "crop_nonzero"},
        {"name": "normalize", "arguments": {"channels": channels}},
        {"name": "resample", "arguments": {"spacing_mm": spacing, "order": int(data.get("order", 3)),
                                           "separate": data.get("force_separate_z")}}]
    return steps, [f"Intensities: {', '.join(configuration['normalization_schemes'])}."]


def _resampling(configuration: dict, what: str, order: int) -> dict:
    """The arguments with which data, labels or scores are resampled. PyTorch's linear interpolation is order 1 and the
    nearest slice across thick ones, on the same points.

    Raises:
        ModelError: PyTorch is to interpolate in another way.
    """
    arguments = configuration.get(f"resampling_fn_{what}_kwargs") or {}
    if configuration.get(f"resampling_fn_{what}") != _TORCH_RESAMPLING:
        return {"order": order} | arguments
    mode, across = arguments.get("mode", "linear"), arguments.get("aniso_axis_mode", "nearest-exact")
    if mode != "linear" or across not in ("nearest-exact", "nearest"):
        raise ModelError(f"The plans resample with PyTorch's mode {mode} and {across} across slices; MedDL knows "
                         "linear and nearest-exact.")
    return {"order": 1, "order_z": 0, "force_separate_z": arguments.get("force_separate_z")}


def _normalization(scheme: str, masked: bool, statistics: dict) -> dict:
    if scheme not in _SCHEMES:
        raise ModelError(f"The plans ask for the intensity scheme '{scheme}'; MedDL knows {', '.join(_SCHEMES)}.")
    if scheme == "CTNormalization":
        return {"scheme": "ct", "lower": float(statistics["percentile_00_5"]),
                "upper": float(statistics["percentile_99_5"]),
                "mean": float(statistics["mean"]), "std": float(statistics["std"])}
    return {"scheme": _SCHEMES[scheme]} | ({"masked": masked} if scheme == "ZScoreNormalization" else {})


def output_of(dataset: dict) -> tuple[dict, dict[int, str], list[str]]:
    """What the channels mean, as a recipe's output; the names of the labels by value; and notes.

    Raises:
        ModelError: regions without an order, or no background.
    """
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


def foreground_values(dataset: dict) -> list[int]:
    """The label values that a cascade's first stage hands on, in the order of its channels."""
    values = {v for name, value in dataset["labels"].items() if name != "ignore" for v in _members(value)}
    return sorted(values - {0})


def _members(value: list[int] | tuple[int, ...] | int) -> set[int]:
    return {int(v) for v in value} if isinstance(value, (list, tuple)) else {int(value)}
