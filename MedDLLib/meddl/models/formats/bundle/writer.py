"""A model written as a MONAI bundle: configs/metadata.json and inference.json, models/model.pt, scripts.

M. J. Cardoso et al., "MONAI: An open-source framework for deep learning in healthcare", 2022,
doi:10.48550/arXiv.2211.02701. The transforms that MONAI does not have stand in the bundle's own scripts.
"""

import json
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from meddl.core.errors import ModelError
from meddl.models.cards import ModelCard
from meddl.models.recipes import Recipe
from meddl.networks.architectures.of_monai import PREFIX

_SCRIPT = Path(__file__).with_name("scripts.py")
_MODULE = "around_the_network"  # the copy's name in the bundle
_SCRIPTS = f"scripts.{_MODULE}"
_STEPS = ("crop_nonzero", "normalize", "resample")
_SCHEMA = ("https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
           "meta_schema_20240725.json")
_SCHEMES = ("ct", "z-score", "unit", "none")


def write_bundle(card: ModelCard, tensors: Mapping[str, torch.Tensor], folder: Path) -> tuple[str, ...]:
    """Write the files of a MONAI bundle into an empty folder.

    Args:
        tensors: the model's weights, "network.parameter".

    Returns:
        Sentences on what is not as it was: none.

    Raises:
        ModelError: a network, preprocessing or result that the bundle could not state; the message names it.
    """
    recipe, part = _recipe_and_network(card)
    spec = card.networks[part]
    weights = {name.removeprefix(f"{part}."): tensor.float() if tensor.is_floating_point() else tensor
               for name, tensor in tensors.items() if name.startswith(f"{part}.")}
    for name in ("configs", "models", "scripts", "docs"):
        (folder / name).mkdir()
    network = {"_target_": f"monai.networks.nets.{spec.architecture.removeprefix(PREFIX)}"} | spec.arguments
    for name, content in (("inference.json", _inference(recipe, network)), ("metadata.json", _metadata(card, recipe))):
        text = json.dumps(content, indent=4, ensure_ascii=False)
        (folder / "configs" / name).write_text(text + "\n", encoding="utf-8")
    torch.save(weights, folder / "models" / "model.pt")
    shutil.copyfile(_SCRIPT, folder / "scripts" / f"{_MODULE}.py")
    (folder / "scripts" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "LICENSE").write_text(f"License of the weights: {card.license.weights}\n", encoding="utf-8")
    (folder / "docs" / "README.md").write_text(_readme(card), encoding="utf-8")
    return ()


def _recipe_and_network(card: ModelCard) -> tuple[Recipe, str]:
    """The recipe, and the name of its one network."""
    recipe = card.recipe
    if recipe is None:
        raise ModelError(f"'{card.id}' works in MedDL's own way, which a MONAI bundle could not state. Export it as "
                         "zip.")
    steps = tuple(step.name for step in recipe.steps)
    cannot = {
        "several networks": len(recipe.networks) != 1, "a cascade": recipe.previous is not None,
        f"the steps {', '.join(steps)} (not {', '.join(_STEPS)})": steps != _STEPS,
        f"windows placed '{recipe.windows.placement}'": recipe.windows.placement != "even"
        or (recipe.windows.weighting, recipe.windows.padding) != ("gaussian", "zeros"),
        "windows of slices or as long as the volume": len(recipe.windows.patch_voxels) != 3
        or 0 in recipe.windows.patch_voxels,
        "a clean-up of labels": bool(recipe.cleanup), "an order of channels of its own": bool(recipe.output.order),
        "another use of scores": recipe.output.interpolation != "linear" or recipe.output.threshold != 0
        or recipe.output.activation != "none" or recipe.output.nearest_axis != "auto"}
    if found := [what for what, there in cannot.items() if there]:
        raise ModelError(f"The MONAI bundle that MedDL writes does not have what '{card.id}' needs: "
                         f"{', '.join(found)}. Export it as zip.")
    if any(channel["scheme"] not in _SCHEMES for channel in recipe.steps[1].arguments["channels"]):
        raise ModelError(f"The MONAI bundle that MedDL writes knows the intensities {', '.join(_SCHEMES)}.")
    architecture = card.networks[recipe.networks[0]].architecture
    if not architecture.startswith(PREFIX):
        raise ModelError(f"MONAI has no network {architecture}, which '{card.id}' has. Export it as zip"
                         f"{', or as nnunet' if architecture.endswith('UNet') else ''}.")
    return recipe, recipe.networks[0]


def _inference(recipe: Recipe, network: dict) -> dict:
    """The content of inference.json."""
    arguments = dict(recipe.steps[2].arguments)
    windows, output = recipe.windows, recipe.output
    several = len(recipe.inputs) > 1
    keys = [f"image_{n}" for n in range(len(recipe.inputs))] if several else ["image"]
    join = [{"_target_": "ConcatItemsd", "keys": keys, "name": "image"}] if several else []
    turn = [] if recipe.orientation is None else [
        {"_target_": "Orientationd", "keys": "image", "axcodes": recipe.orientation}]
    return {
        "imports": ["$import numpy as np", "$import torch", f"$import {_SCRIPTS} as {_MODULE}"],
        "bundle_root": ".", "dataset_dir": "/workspace/data", "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "datalist": f"${_MODULE}.find_cases(@dataset_dir, {len(recipe.inputs)})",
        "network_def": network, "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": "LoadImaged", "keys": keys}, {"_target_": "EnsureChannelFirstd", "keys": keys}, *join, *turn,
            {"_target_": f"{_SCRIPTS}.PrepareImaged", "keys": "image",
             "normalize": recipe.steps[1].arguments["channels"]} | arguments]},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False,
                       "num_workers": 0},
        "inferer": {"_target_": f"{_SCRIPTS}.EvenWindowsInferer", "roi_size": list(windows.patch_voxels),
                    "overlap": windows.overlap, "sigma_scale": windows.sigma_scale,
                    "mirror_axes": list(windows.mirror_axes)},
        "postprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": f"{_SCRIPTS}.RestoreLabelsd", "keys": "pred", "image_key": "image",
             "values": list(output.values), "regions": output.kind == "regions"},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_postfix": "seg",
             "resample": False, "separate_folder": False,
             "output_dtype": f"$np.{'uint8' if max(output.values) < 256 else 'int32'}"}]},
        "checkpointloader": {"_target_": "CheckpointLoader", "load_path": "@ckpt_path",
                             "load_dict": {"model": "@network"}, "map_location": "@device"},
        "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "val_data_loader": "@dataloader",
                      "network": "@network", "inferer": "@inferer", "postprocessing": "@postprocessing",
                      "val_handlers": "$[@checkpointloader]"},
        "initialize": ["$setattr(torch.backends.cudnn, 'benchmark', True)"], "run": ["$@evaluator.run()"]}


def _metadata(card: ModelCard, recipe: Recipe) -> dict:
    """The content of metadata.json."""
    names = {label.value: label.name for label in card.labels}
    titles = {str(n): names.get(value, "background") for n, value in enumerate(recipe.output.values)}
    by_structure: dict[str, list[float]] = {}
    for entry in card.accuracy:
        by_structure.setdefault(f"mean {entry.metric}, {entry.structure}", []).append(entry.value)
    patch = list(recipe.windows.patch_voxels)
    return {
        "schema": _SCHEMA, "version": card.version, "changelog": {card.version: "exported from MedDL"},
        "monai_version": metadata.version("monai"), "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {name: metadata.version(name) for name in ("scipy", "nibabel")},
        "supported_apps": {}, "name": card.name, "task": f"segmentation of {', '.join(names.values())}",
        "description": card.description, "authors": card.source.name, "copyright": card.license.weights,
        "license": card.license.weights, "data_source": card.training.data, "data_type": "NIfTI, NRRD",
        "image_classes": f"{len(recipe.inputs)} channels: {', '.join(recipe.inputs)}",
        "label_classes": ", ".join(f"{value} {name}" for value, name in names.items()),
        "pred_classes": ", ".join(f"channel {channel} {name}" for channel, name in titles.items()),
        "eval_metrics": {name: round(float(np.mean(values)), 4) for name, values in by_structure.items()},
        "intended_use": card.intended_use, "references": [card.citation] if card.citation else [],
        "network_data_format": {
            "inputs": {"image": {"type": "image", "format": "magnitude", "modality": ", ".join(card.modality),
                                 "num_channels": len(recipe.inputs), "spatial_shape": patch, "dtype": "float32",
                                 "value_range": [], "is_patch_data": True,
                                 "channel_def": {str(n): name for n, name in enumerate(recipe.inputs)}}},
            "outputs": {"pred": {"type": "image", "format": "segmentation", "num_channels": len(titles),
                                 "spatial_shape": patch, "dtype": "float32", "value_range": [], "is_patch_data": True,
                                 "channel_def": titles}}}}


def _readme(card: ModelCard) -> str:
    rows = [f"| {one.case} | {one.structure} | {one.metric} | {one.value:g} |" for one in card.accuracy]
    table = ["", "| Case | Structure | Measure | Value |", "|---|---|---|---:|", *rows] if rows else []
    return "\n".join([
        f"# {card.name}", "", card.description, "", f"Trained on: {card.training.data}.",
        f"License of the weights: {card.license.weights}.", "", card.intended_use, "", card.limits, *table, "",
        "```sh", "python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES", "```", ""])
