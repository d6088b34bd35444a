"""MONAI's DynUNet as nnU-Net's PlainConvUNet: layer by layer the same network, where its normalization is nnU-Net's.

One thing differs: a stage of DynUNet's decoder has the kernel of the next coarser stage, nnU-Net's that of its own.
Where these are not the same, the smaller one is filled up with zeros, which changes no result.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from meddl.core.errors import ModelError

DYNUNET = "monai.DynUNet"
_LEAKY = ("leakyrelu", "LEAKYRELU")
_KNOWN = {"spatial_dims", "in_channels", "out_channels", "kernel_size", "strides", "upsample_kernel_size", "filters",
          "norm_name", "act_name", "dropout", "deep_supervision", "deep_supr_num", "res_block", "trans_bias"}


def as_plain_conv_unet(arguments: dict, weights: Mapping[str, torch.Tensor]) -> tuple[dict, dict[str, torch.Tensor]]:
    """The arguments and weights of `networks.architectures.nnunet.PlainConvUNet` that compute the same.

    Raises:
        ModelError: the layers are not those of nnU-Net; the message says which.
    """
    norm, norm_arguments = _pair(arguments.get("norm_name", ("INSTANCE", {"affine": True})))
    act, act_arguments = _pair(arguments.get("act_name", ("leakyrelu", {"inplace": True, "negative_slope": 0.01})))
    strides, kernels = _by_axis(arguments["strides"]), _by_axis(arguments["kernel_size"])
    cannot = {
        f"{norm.lower()} normalization": norm.upper() not in ("INSTANCE", "BATCH"),
        f"the activation {act}": act not in _LEAKY, "dropout": bool(arguments.get("dropout")),
        "residual blocks of its own": bool(arguments.get("res_block")),
        "transposed convolutions with a bias": bool(arguments.get("trans_bias")),
        "layers of slices": arguments["spatial_dims"] != 3,
        "transposed convolutions longer than their strides": _by_axis(arguments["upsample_kernel_size"]) != strides[1:],
        "channels that are not stated": not arguments.get("filters"),
        f"{', '.join(sorted(set(arguments) - _KNOWN))}": bool(set(arguments) - _KNOWN)}
    if found := [what for what, there in cannot.items() if there]:
        raise ModelError(f"nnU-Net's networks have no {', no '.join(found)}; this DynUNet has. Train with --network "
                         "nnunet for a model that nnU-Net takes, or export as zip or monai.")
    stages = len(strides)
    kernels = [[max(pair) for pair in zip(*rows, strict=True)] for rows in
               zip(kernels, [*kernels[1:], kernels[-1]], strict=True)]
    plain = {
        "in_channels": arguments["in_channels"], "out_channels": arguments["out_channels"], "dimensions": 3,
        "features": list(arguments["filters"])[:stages], "kernel_sizes": kernels, "strides": strides,
        "counts": [2] * stages, "decoder_counts": [2] * (stages - 1), "bias": False, "norm": norm.lower(),
        "norm_eps": float(norm_arguments.get("eps", 1e-5)),
        "norm_affine": bool(norm_arguments.get("affine", norm.upper() == "BATCH")),
        "slope": float(act_arguments.get("negative_slope", 0.01)), "activation_first": False}
    return plain, _rename(weights, kernels)


def _rename(weights: Mapping[str, torch.Tensor], kernels: list[list[int]]) -> dict[str, torch.Tensor]:
    """Weights by the names of PlainConvUNet, with kernels of these sizes by stage."""
    stages = len(kernels)
    encoder = ["input_block", *(f"downsamples.{n}" for n in range(stages - 2)), "bottleneck"]
    blocks = {block: (f"encoder.stages.{n}.0", n) for n, block in enumerate(encoder)}
    blocks |= {f"upsamples.{n}.conv_block": (f"decoder.stages.{n}", stages - 2 - n) for n in range(stages - 1)}
    others = {f"upsamples.{n}.transp_conv.conv": f"decoder.transpconvs.{n}" for n in range(stages - 1)}
    others["output_block.conv.conv"] = "decoder.seg_layers.0"
    found = {}
    for name, tensor in weights.items():
        module, parameter = name.rsplit(".", 1)
        if module in others:
            found[f"{others[module]}.{parameter}"] = tensor
            continue
        for block, (place, stage) in blocks.items():
            if module.startswith(f"{block}."):
                layer = module.removeprefix(f"{block}.").removesuffix(".conv")  # conv1, norm1, conv2, norm2
                found[f"{place}.convs.{int(layer[-1]) - 1}.{layer[:-1]}.{parameter}"] = (
                    _fill_up(tensor, kernels[stage]) if tensor.ndim == 5 else tensor)
    return found


def _fill_up(weight: torch.Tensor, kernel: list[int]) -> torch.Tensor:
    """A kernel of this size that computes the same: zeros around."""
    margins = [(wanted - size) // 2 for wanted, size in zip(kernel, weight.shape[2:], strict=True)]
    return F.pad(weight, [n for margin in reversed(margins) for n in (margin, margin)])


def _pair(value: Any) -> tuple[str, dict]:
    """Name and arguments of a layer, as MONAI takes them."""
    return (value, {}) if isinstance(value, str) else (value[0], dict(value[1]))


def _by_axis(rows: Any) -> list[list[int]]:
    return [list(row) if isinstance(row, (list, tuple)) else [row] * 3 for row in rows]
