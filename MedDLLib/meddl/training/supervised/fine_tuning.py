"""Fine-tuning: the network and the preprocessing of an installed model, with a last layer for other structures."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from meddl.core.errors import ModelError
from meddl.core.progress import ProgressCallback, report
from meddl.networks import build_network
from meddl.training.config import TrainConfig
from meddl.training.start import StartModel
from meddl.training.supervised.data.inspection import Inspection
from meddl.training.supervised.plan import (
    BYTES_PER_PATCH_VOXEL,
    NETWORK,
    PATCH_VOXELS,
    Plan,
    check_patch,
    output_channels,
    output_of,
    with_batch,
)
from meddl.training.supervised.task import SegmentationTask, coarser, training_arguments

_SIDED, _BODY = "SidedUNet", "body."  # MedDL's own: the U-Net within is taken, with a head for classes
_ENCODERS = {  # modules of each architecture that `freeze_encoder` keeps
    "PlainConvUNet": ("encoder",), "ResidualEncoderUNet": ("encoder",), "ShuffleUNet": ("stem", "encoder", "bottom"),
    "monai.DynUNet": ("input_block", "downsamples", "bottleneck"), "monai.SegResNet": ("convInit", "down_layers"),
    "monai.SwinUNETR": ("swinViT",), "monai.UNETR": ("vit",), "monai.BasicUNet": ("conv_0", "down_1", "down_2",
                                                                                 "down_3", "down_4")}
_PROBED_BATCHES, _PROBED_VOXELS, _PROBE_STEPS = 8, 1 << 15, 60
_NEVER_DRAWN = 1 << 40  # numbers of batches from here on are of none that is trained on
_USUAL_STEPS = 32  # voxels that a patch is a multiple of, where the network does not say


def plan_from_model(model: StartModel, inspection: Inspection, config: TrainConfig, kind: str, free_bytes: int) -> Plan:
    """A plan that goes on from a model; arguments and errors beside these as of `plan.make_plan`.

    Raises:
        ModelError: a collection, a cascade, a program or a network of slices, which cannot be fine-tuned, or one that
            takes other channels.
    """
    card = model.card
    if card.task != "segmentation" or card.parts:
        kind_of = "a collection; fine-tune one of its parts" if card.parts else f"for {card.task}"
        raise ModelError(f"'{card.id}' cannot be fine-tuned: it is {kind_of}.")
    recipe, part = _recipe_of(model, inspection)
    spec = card.networks[part]
    architecture, arguments = spec.architecture, dict(spec.arguments)
    most_voxels = min(PATCH_VOXELS[kind], free_bytes // BYTES_PER_PATCH_VOXEL)
    if architecture == _SIDED:  # it knows structures by their place in the head: less of one tells it nothing
        most_voxels, config = free_bytes // BYTES_PER_PATCH_VOXEL, replace(config, batch=config.batch or 1)
        arguments = {name: arguments[name] for name in ("in_channels", "widths", "refine_channels")}
        architecture, arguments["out_channels"] = "ShuffleUNet", output_channels(inspection)
    if "out_channels" not in arguments or arguments.get("dimensions", arguments.get("spatial_dims", 3)) != 3:
        raise ModelError(f"'{card.id}' cannot be fine-tuned: its network, {architecture}, is a program or works on "
                         "slices.")
    channels = len(inspection.dataset.channels)
    if arguments.get("in_channels", channels) != channels:
        raise ModelError(f"'{card.id}' takes {arguments['in_channels']} channels ({', '.join(card.channel_names)}); "
                         f"the data set has {channels}.")
    arguments["out_channels"] = output_channels(inspection)
    steps = patch_steps(architecture, arguments)
    wanted = check_patch(config).tolist() if config.patch_voxels else recipe["windows"]["patch_voxels"]
    patch = _smaller_patch(wanted, steps, most_voxels)
    recipe["windows"] = recipe["windows"] | {"patch_voxels": list(patch), "mirror_axes": []}
    deep = min(2, len(arguments["strides"]) - 2) if architecture == "monai.DynUNet" else 0
    plan = Plan(recipe, architecture, arguments, patch, 1, deep, card.id, config.contrast)
    return with_batch(plan, config, kind, free_bytes)


def _recipe_of(model: StartModel, inspection: Inspection) -> tuple[dict, str]:
    """The recipe with the output of the data set, and the name of the model's network."""
    own = json.loads((model.folder / "card.json").read_text(encoding="utf-8")).get("recipe")
    if own is None:  # of MedDL: the segmenter's voxel size and range of intensities
        part = "segmenter" if "segmenter" in model.card.networks else next(iter(model.card.networks))
        spec = model.card.networks[part]
        own = {"orientation": "RAS", "windows": {"patch_voxels": list(spec.patch_voxels)}, "steps": [
            {"name": "resample", "arguments": {"spacing_mm": [spec.spacing_mm] * 3, "order": 1}},
            {"name": "scale_percentiles", "arguments": {"lower": 0.5, "upper": 99.5, "b_min": 0.0, "b_max": 1.0,
                                                        "clip": True}}]}
    elif own.get("previous"):
        raise ModelError(f"'{model.card.id}' cannot be fine-tuned: it is a cascade of two networks.")
    else:
        part = own["networks"][0]
    if len(own["windows"]["patch_voxels"]) != 3:
        raise ModelError(f"'{model.card.id}' cannot be fine-tuned: its network works on slices.")
    taken = {key: own[key] for key in ("orientation", "steps", "windows")}
    # volumes are in RAS order in training; a model that takes them as they are stored may lie otherwise
    return {"inputs": list(inspection.dataset.channels), **taken, "orientation": own["orientation"] or "RAS",
            "output": output_of(inspection), "networks": [NETWORK],
            "notes": [f"Fine-tuned from {model.card.id} {model.card.version}."]}, part


def network_from_model(model: StartModel, plan: Plan, inspection: Inspection, freeze_encoder: bool
                       ) -> tuple[nn.Module, set[str]]:
    """The network of a plan with the model's weights, and the names of those of its output layers that are new: where
    the structures are others, and of coarser stages, which a model is stored without.

    Raises:
        ModelError: the model's weights are of another network, or its encoder is not known.
    """
    network = build_network(plan.architecture, training_arguments(plan))
    part = _recipe_of(model, inspection)[1]
    given = model.weights_of(part)
    if model.card.networks[part].architecture == _SIDED:
        given = {name.removeprefix(_BODY): tensor for name, tensor in given.items() if name.startswith(_BODY)}
    own = network.state_dict()
    outputs = _of_outputs(plan)
    replaced = set() if _same_structures(model, inspection) else outputs
    fitting = {name: tensor for name, tensor in given.items()
               if name in own and name not in replaced and own[name].shape == tensor.shape}
    if len(fitting) < len(own) / 2:
        raise ModelError(f"The weights of '{model.card.id}' fit {len(fitting)} of {len(own)} parts of the network "
                         f"{plan.architecture}: too few to go on from.")
    network.load_state_dict(own | fitting)
    if freeze_encoder:
        if plan.architecture not in _ENCODERS:
            raise ModelError(f"The encoder of {plan.architecture} is not known; train all of it.")
        for name in _ENCODERS[plan.architecture]:
            getattr(network, name).requires_grad_(False)
    return network, outputs - set(fitting)


def fit_outputs(names: set[str], task: SegmentationTask, on_progress: ProgressCallback | None = None) -> None:
    """Fit output layers with weights of these names to the features that the network has, on patches of the cases that
    are trained on: a training then begins with what the features hold, and does not spoil them first. Layers that are
    more than a matrix stay as they are.

    Raises:
        Cancelled: from `on_progress`.

    Linear probing before fine-tuning: A. Kumar et al., ICLR 2022, doi:10.48550/arXiv.2202.10054.
    """
    network = task.network.to(task.device).train()
    layers = [layer for name, layer in network.named_modules() if f"{name}.weight" in names]
    if not layers or not all(isinstance(layer, nn.Conv3d) and set(layer.kernel_size) == {1} for layer in layers):
        return
    rng = np.random.default_rng(0)
    features: list[list[torch.Tensor]] = [[] for _ in layers]
    classes: list[list[torch.Tensor]] = [[] for _ in layers]
    for batch in range(_PROBED_BATCHES):
        report(on_progress, batch / _PROBED_BATCHES, "Fitting the new output layers")
        images, truth = task.patches(_NEVER_DRAWN + batch, whole=True)
        for number, found in enumerate(_inputs_of(layers, network, images)):
            seen = coarser(truth, found.shape[2:]).flatten()
            some = torch.from_numpy(rng.choice(len(seen), min(len(seen), _PROBED_VOXELS), replace=False))
            some = some.to(seen.device)
            features[number].append(found.movedim(1, -1).flatten(0, 3)[some].float())
            classes[number].append(seen[some])
    for layer, rows, truths in zip(layers, features, classes, strict=True):
        _fit(layer, torch.cat(rows), torch.cat(truths), task)


@torch.no_grad()
def _inputs_of(layers: Sequence[nn.Module], network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """What the network gives to some of its layers, each (B, C, x, y, z)."""
    given: dict[nn.Module, torch.Tensor] = {}
    hooks = [layer.register_forward_pre_hook(lambda layer, inputs: given.update({layer: inputs[0]}))
             for layer in layers]
    network(images)
    for hook in hooks:
        hook.remove()
    return [given[layer] for layer in layers]


def _fit(layer: nn.Conv3d, features: torch.Tensor, classes: torch.Tensor, task: SegmentationTask) -> None:
    """The best weights of an output layer for features (N, C) of voxels of classes (N,)."""
    optimizer = torch.optim.LBFGS(list(layer.parameters()), max_iter=_PROBE_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        scores = nn.functional.linear(features, layer.weight.flatten(1), layer.bias)
        value = task.loss_of_scores(scores.t()[None, :, :, None, None], classes[None, :, None, None])
        value.backward()
        return value

    optimizer.step(loss)


def _same_structures(model: StartModel, inspection: Inspection) -> bool:
    """Whether the model's structures are those of the data set, by name and value."""
    ours = list(zip(inspection.structures.values, inspection.structures.names, strict=True))
    return model.card.recipe is not None and ours == [(label.value, label.name) for label in model.card.labels]


def _of_outputs(plan: Plan) -> set[str]:
    """Names of the weights whose shapes depend on the number of outputs."""
    shapes = []
    for more in (0, 1):
        changed = training_arguments(plan) | {"out_channels": plan.arguments["out_channels"] + more}
        with torch.device("meta"):
            shapes.append({name: tensor.shape for name, tensor in
                           build_network(plan.architecture, changed).state_dict().items()})
    return {name for name, shape in shapes[0].items() if shapes[1][name] != shape}


def patch_steps(architecture: str, arguments: dict) -> tuple[int, int, int]:
    """What the patch is a multiple of along each axis."""
    if architecture == "ShuffleUNet":
        return (2 ** len(arguments["widths"]),) * 3
    if architecture == "monai.SegResNet":
        return (2 ** (len(arguments.get("blocks_down", (1, 2, 2, 4))) - 1),) * 3
    strides = arguments.get("strides")
    if not strides:
        return (_USUAL_STEPS,) * 3
    rows = [row if isinstance(row, (list, tuple)) else (row,) * 3 for row in strides]
    first, second, third = (math.prod(row[axis] for row in rows) for axis in range(3))
    return first, second, third


def _smaller_patch(patch: Sequence[int], steps: Sequence[int], most_voxels: int) -> tuple[int, int, int]:
    """A patch of multiples of `steps` with about `most_voxels` at most: the longest axis is shortened first."""
    size = [-(-(n or 4 * step) // step) * step for n, step in zip(patch, steps, strict=True)]
    while math.prod(size) > most_voxels:
        axis = max((a for a in range(3) if size[a] >= 3 * steps[a]), key=lambda a: size[a], default=None)
        if axis is None:
            break
        size[axis] -= steps[axis]
    return size[0], size[1], size[2]
