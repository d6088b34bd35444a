"""A model written as the folder of a trained nnU-Net v2: plans.json, dataset.json, fold_N/checkpoint_final.pth.

F. Isensee et al., Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z. nnU-Net 2.5 to 2.8 load it and predict with
it; what nnU-Net cannot do is refused by its name.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from meddl.core.errors import ModelError
from meddl.models.cards import ModelCard
from meddl.models.formats.nnunet.of_dynunet import DYNUNET, as_plain_conv_unet
from meddl.models.recipes import Output, Recipe, Step

_CONFIGURATION, _TRAINER = "3d_fullres", "nnUNetTrainer"
_COUNTS = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
_READERS = {None: "SimpleITKIO", "RAS": "SimpleITKIOWithReorient"}
_SCHEMES = {"ct": "CTNormalization", "z-score": "ZScoreNormalization", "none": "NoNormalization",
            "unit": "RescaleTo01Normalization"}
_NORMS = {"instance": "torch.nn.modules.instancenorm.InstanceNorm3d", "batch": "torch.nn.modules.batchnorm.BatchNorm3d",
          None: None}
_STEPS = ("crop_nonzero", "normalize", "resample")
_ALL_AXES = [2, 1, 0]  # files are read in (k, j, i) order


def write_nnunet(card: ModelCard, tensors: Mapping[str, torch.Tensor], folder: Path) -> tuple[str, ...]:
    """Write the files of a trained nnU-Net into an empty folder.

    Args:
        tensors: the model's weights, "network.parameter".

    Returns:
        Sentences on what is not as it was.

    Raises:
        ModelError: a network, preprocessing or result that nnU-Net does not have; the message names it.
    """
    recipe = _checked_recipe(card)
    networks = [_network_of(card, name, tensors) for name in recipe.networks]
    architecture, arguments, _ = networks[0]
    if any(other[:2] != (architecture, arguments) for other in networks[1:]):
        raise ModelError(f"'{card.id}' has networks of several shapes; folds of an nnU-Net are of one.")
    labels, order, notes = _labels_of(card, recipe.output)
    axes, steps = _axes_and_steps(recipe)
    plans = _plans(card, recipe, axes, steps, _architecture(architecture, arguments))
    dataset = {"name": card.id, "description": card.description, "licence": card.license.weights,
               "channel_names": {str(n): name for n, name in enumerate(recipe.inputs)}, "labels": labels,
               "numTraining": 0, "file_ending": ".nii.gz"} | ({"regions_class_order": order} if order else {})
    for name, content in (("plans.json", plans), ("dataset.json", dataset)):
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for fold, (_, _, weights) in enumerate(networks):
        place = folder / f"fold_{fold}"
        place.mkdir()
        torch.save({
            "network_weights": _all_names(weights, arguments), "optimizer_state": {}, "grad_scaler_state": None,
            "logging": {}, "_best_ema": None, "current_epoch": 0, "trainer_name": _TRAINER,
            "init_args": {"plans": plans, "configuration": _CONFIGURATION, "fold": fold, "dataset_json": dataset},
            "inference_allowed_mirroring_axes": tuple(recipe.windows.mirror_axes) or None},
            place / "checkpoint_final.pth")
    return notes


def _checked_recipe(card: ModelCard) -> Recipe:
    recipe = card.recipe
    if recipe is None:
        raise ModelError(f"'{card.id}' is no model that nnU-Net could run: it works in MedDL's own way. Export it as "
                         "zip.")
    windows, output = recipe.windows, recipe.output
    cannot = {
        "a cascade": recipe.previous is not None, "a network of slices": len(windows.patch_voxels) != 3,
        "windows as long as the volume": 0 in windows.patch_voxels,
        f"windows placed '{windows.placement}' and weighted '{windows.weighting}'":
            (windows.placement, windows.weighting, windows.padding) != ("even", "gaussian", "zeros"),
        "other weights of windows": windows.sigma_scale != 0.125 or windows.overlap != 0.5,
        "a clean-up of labels": bool(recipe.cleanup), "an order of channels of its own": bool(output.order),
        "another use of scores": output.interpolation != "linear" or output.threshold != 0
        or output.activation not in ("none", "softmax") or output.nearest_axis != "auto",
        f"volumes turned to {recipe.orientation}": recipe.orientation not in _READERS}
    if found := [what for what, there in cannot.items() if there]:
        raise ModelError(f"nnU-Net does not have what '{card.id}' needs: {', '.join(found)}. Export it as zip.")
    return recipe


def _network_of(card: ModelCard, name: str,
                tensors: Mapping[str, torch.Tensor]) -> tuple[str, dict, dict[str, torch.Tensor]]:
    """Architecture, arguments and weights in nnU-Net's own terms."""
    spec = card.networks[name]
    weights = {key.removeprefix(f"{name}."): tensor.float() if tensor.is_floating_point() else tensor
               for key, tensor in tensors.items() if key.startswith(f"{name}.")}
    if spec.architecture == DYNUNET:
        arguments, weights = as_plain_conv_unet(spec.arguments, weights)
        return "PlainConvUNet", arguments, weights
    if spec.architecture not in _COUNTS:
        raise ModelError(f"nnU-Net has no network {spec.architecture.removeprefix('monai.')}, which '{card.id}' has; "
                         f"it has {', '.join(_COUNTS)}. Train with --network nnunet, or export as zip.")
    defaults = {"bias": True, "norm": "instance", "norm_eps": 1e-5, "norm_affine": True, "slope": 0.01,
                "activation_first": False, "dimensions": 3}
    return spec.architecture, defaults | spec.arguments, weights


def _architecture(name: str, arguments: dict) -> dict:
    """The network as plans state it."""
    norm = arguments["norm"]
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        "arch_kwargs": {
            "n_stages": len(arguments["features"]), "features_per_stage": list(arguments["features"]),
            "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": arguments["kernel_sizes"],
            "strides": arguments["strides"], _COUNTS[name]: list(arguments["counts"]),
            "n_conv_per_stage_decoder": list(arguments["decoder_counts"]), "conv_bias": arguments["bias"],
            "norm_op": _NORMS[norm],
            "norm_op_kwargs": {"eps": arguments["norm_eps"], "affine": arguments["norm_affine"]} if norm else {},
            "dropout_op": None, "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU" if arguments["slope"] else "torch.nn.ReLU",
            "nonlin_kwargs": {"inplace": True} | ({"negative_slope": arguments["slope"]} if arguments["slope"] else {}),
            **({"nonlin_first": True} if arguments["activation_first"] else {})}}


def _axes_and_steps(recipe: Recipe) -> tuple[list[int], dict[str, dict]]:
    """The order of a file's axes, and the arguments of nnU-Net's three steps by their names.

    Raises:
        ModelError: other steps.
    """
    steps, axes = list(recipe.steps), _ALL_AXES
    if steps and steps[0].name == "transpose":
        axes = [2 - int(axis) for axis in steps.pop(0).arguments["axes"]]
    if tuple(step.name for step in steps) != _STEPS:
        raise ModelError(f"nnU-Net's preprocessing is {_listing(_STEPS)}; the model's is "
                         f"{_listing(step.name for step in recipe.steps)}. Export it as zip.")
    found = {step.name: _known(step) for step in steps}
    for channel in found["normalize"]["channels"]:
        if channel["scheme"] not in _SCHEMES:
            raise ModelError(f"nnU-Net's plans cannot state the intensities '{channel['scheme']}'. Export as zip.")
    if any(size is None for size in found["resample"]["spacing_mm"]):
        raise ModelError("The model keeps a volume's own voxel size along an axis, which nnU-Net's plans cannot state. "
                         "Export it as zip.")
    return axes, found


def _known(step: Step) -> dict:
    known = {"crop_nonzero": set(), "normalize": {"channels"}, "resample": {"spacing_mm", "order", "separate"}}
    if unknown := set(step.arguments) - known[step.name]:
        raise ModelError(f"nnU-Net's plans cannot state {', '.join(sorted(unknown))} of the step {step.name}. Export "
                         "it as zip.")
    return step.arguments


def _listing(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names) or "none"


def _plans(card: ModelCard, recipe: Recipe, axes: list[int], steps: dict[str, dict], architecture: dict) -> dict:
    channels, resample = steps["normalize"]["channels"], steps["resample"]
    spacing, patch = [float(size) for size in resample["spacing_mm"]], list(recipe.windows.patch_voxels)
    separate = resample.get("separate")
    resampling: dict[str, Any] = {f"resampling_fn_{what}": "resample_data_or_seg_to_shape"
                                  for what in ("data", "seg", "probabilities")}
    orders = {"data": (False, resample.get("order", 3)), "seg": (True, 1), "probabilities": (False, 1)}
    for what, (is_seg, order) in orders.items():
        resampling[f"resampling_fn_{what}_kwargs"] = {"is_seg": is_seg, "order": order, "order_z": 0,
                                                      "force_separate_z": separate}
    configuration = resampling | {
        "data_identifier": f"nnUNetPlans_{_CONFIGURATION}", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2, "patch_size": patch, "median_image_size_in_voxels": patch, "spacing": spacing,
        "normalization_schemes": [_SCHEMES[channel["scheme"]] for channel in channels],
        "use_mask_for_norm": [bool(channel.get("masked")) for channel in channels], "batch_dice": False,
        "architecture": architecture}
    return {
        "dataset_name": card.id, "plans_name": "nnUNetPlans", "image_reader_writer": _READERS[recipe.orientation],
        "transpose_forward": axes, "transpose_backward": [axes.index(axis) for axis in range(3)],
        "original_median_spacing_after_transp": spacing, "original_median_shape_after_transp": patch,
        "experiment_planner_used": "ExperimentPlanner", "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(n): {"mean": channel.get("mean", 0.0), "std": channel.get("std", 1.0),
                     "percentile_00_5": channel.get("lower", 0.0), "percentile_99_5": channel.get("upper", 0.0)}
            for n, channel in enumerate(channels)},
        "configurations": {_CONFIGURATION: configuration}}


def _labels_of(card: ModelCard, output: Output) -> tuple[dict, list[int], tuple[str, ...]]:
    """Labels and order of regions as dataset.json states them, and notes.

    nnU-Net numbers classes without gaps. The members of a region matter to a training alone, and a card does not state
    them: each is written as holding those that are written over it.
    """
    names = {label.value: label.name for label in card.labels}
    labels: dict = {"background": 0}
    values = [value for value in output.values if value or output.kind == "regions"]
    titles = [names.get(value, f"structure {value}") for value in values]
    if len({*titles, "background", "ignore"}) < len(titles) + 2:
        raise ModelError(f"dataset.json names each structure once, none of them background or ignore; '{card.id}' has "
                         f"{', '.join(titles)}.")
    if output.kind == "regions":
        for n, title in enumerate(titles):
            labels[title] = values[n:] if len(values) > 1 else [values[0], values[0] + 1]
        return labels, values, ()
    labels |= {title: n + 1 for n, title in enumerate(titles)}
    if values == list(range(1, len(values) + 1)):
        return labels, [], ()
    numbers = ", ".join(f"{title} {value} as {labels[title]}" for title, value in zip(titles, values, strict=True))
    return labels, [], (f"nnU-Net numbers labels without gaps; it writes {numbers}.",)


def _all_names(weights: Mapping[str, torch.Tensor], arguments: dict) -> dict[str, torch.Tensor]:
    """Weights by all the names that nnU-Net's networks have for them, with empty heads of coarser stages."""
    found: dict[str, torch.Tensor] = {}
    first = 2 if arguments["activation_first"] else 1
    places = {"conv": 0, "norm": first}
    coarser = list(arguments["features"])[-2:0:-1]
    for stage, features in enumerate(coarser):
        found[f"decoder.seg_layers.{stage}.weight"] = torch.zeros(arguments["out_channels"], features, 1, 1, 1)
        found[f"decoder.seg_layers.{stage}.bias"] = torch.zeros(arguments["out_channels"])
    for name, tensor in weights.items():
        name = name.replace("decoder.seg_layers.0.", f"decoder.seg_layers.{len(coarser)}.")
        own = {name: tensor}
        *before, layer, parameter = name.split(".")
        if layer in places:
            own[".".join((*before, "all_modules", str(places[layer]), parameter))] = tensor
        for key in own:
            found[key] = tensor
            if key.startswith("encoder."):
                found[f"decoder.{key}"] = tensor
    return found
