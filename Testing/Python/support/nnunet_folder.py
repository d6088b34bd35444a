"""A small trained nnU-Net v2, as its own tools write it to disk, with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch


def write_nnunet(folder: Path, *, labels: dict | None = None, regions_class_order=None, channels=("MR",), folds=(0,),
                 spacing=(2.0, 2.0, 2.0), patch=(16, 16, 16), transpose=(0, 1, 2), residual: bool = False,
                 scheme: str = "ZScoreNormalization", mirror=(0, 1), old_plans: bool = False,
                 features=(4, 8, 8)) -> Path:
    """Write plans.json, dataset.json and the folds; the same arguments give the same weights.

    With two numbers, spacing and patch are of a network of slices. `features`: channels of each stage.
    """
    labels = labels or {"background": 0, "liver": 1, "spleen": 2}
    heads = len(regions_class_order) if regions_class_order else len(set(labels) - {"ignore"})
    folder.mkdir(parents=True, exist_ok=True)
    configuration = _configuration(channels, spacing, patch, scheme, residual, old_plans, features)
    plans = {
        "dataset_name": "Dataset900_Small", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose), "transpose_backward": np.argsort(transpose).tolist(),
        "foreground_intensity_properties_per_channel": {
            str(n): {"mean": 80.0, "std": 60.0, "percentile_00_5": -50.0, "percentile_99_5": 250.0}
            for n in range(len(channels))},
        "configurations": {"3d_base": configuration, "3d_fullres": {"inherits_from": "3d_base", "batch_size": 2}}}
    dataset = {"channel_names": {str(n): name for n, name in enumerate(channels)}, "labels": labels, "name": "Small",
               "numTraining": 1, "file_ending": ".nii.gz"}
    if regions_class_order:
        dataset["regions_class_order"] = list(regions_class_order)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    for fold in folds:
        place = folder / f"fold_{fold}"
        place.mkdir(exist_ok=True)
        torch.save(checkpoint(heads, len(channels), residual, fold, mirror, len(patch), features),
                   place / "checkpoint_final.pth")
    return folder


def write_cascade(folder: Path, *, lowres_spacing=(2.5, 2.5, 2.5), **more) -> Path:
    """Write both stages of a cascade side by side, as nnU-Net names their folders; the folder of the second stage."""
    stages = [write_nnunet(folder / f"nnUNetTrainer__nnUNetPlans__{name}", folds=(seed,), **more)
              for seed, name in enumerate(("3d_lowres", "3d_cascade_fullres"))]
    plans = json.loads((stages[0] / "plans.json").read_text())
    known = plans["configurations"]
    known["3d_lowres"] = {"inherits_from": "3d_base", "spacing": list(lowres_spacing), "next_stage":
                          "3d_cascade_fullres"}
    known["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    labels = json.loads((stages[0] / "dataset.json").read_text())["labels"]
    values = {v for name, value in labels.items() if name != "ignore" for v in np.atleast_1d(value).tolist()} - {0}
    heads = len(more.get("regions_class_order") or (0, *values))
    for seed, (place, name) in enumerate(zip(stages, ("3d_lowres", "3d_cascade_fullres"), strict=True)):
        (place / "plans.json").write_text(json.dumps(plans))
        channels = len(more.get("channels", ("MR",))) + seed * len(values)
        content = checkpoint(heads, channels, more.get("residual", False), seed, more.get("mirror", (0, 1)))
        content["init_args"]["configuration"] = name
        torch.save(content, place / f"fold_{seed}" / "checkpoint_final.pth")
    stages[0].joinpath("fold_0").rename(stages[0] / "fold_1")
    return stages[1]


def network(heads: int, channels: int, residual: bool, seed: int, dimensions: int = 3, features=(4, 8, 8)):
    """The network with random weights."""
    from meddl.networks.architectures.nnunet import PlainConvUNet, ResidualEncoderUNet

    torch.manual_seed(seed)
    kind = ResidualEncoderUNet if residual else PlainConvUNet
    strides, kernels, blocks = _layers(features, dimensions)
    return kind(channels, heads, list(features), kernels, strides, blocks, [1] * (len(features) - 1),
                dimensions=dimensions)


def _layers(features, dimensions: int) -> tuple[list, list, list]:
    """Strides, kernels and numbers of convolutions of the stages."""
    strides = [[1 if stage == 0 else 2] * dimensions for stage in range(len(features))]
    return strides, [[3] * dimensions] * len(features), [1, *[2] * (len(features) - 2), 1]


def checkpoint(heads: int, channels: int, residual: bool, seed: int, mirror=(0, 1), dimensions: int = 3,
               features=(4, 8, 8)) -> dict:
    """What nnU-Net saves: most weights twice, the decoder's copy of the encoder, scores of coarser stages, numbers of
    numpy."""
    weights = {}
    for name, tensor in network(heads, channels, residual, seed, dimensions, features).state_dict().items():
        if name.startswith("decoder.seg_layers.0."):
            weights["decoder.seg_layers.0." + name.split(".")[-1]] = torch.zeros(3)  # of a coarser stage
            name = name.replace("seg_layers.0.", f"seg_layers.{len(features) - 2}.")
        weights[name] = tensor
        if ".conv." in name:
            weights[name.replace(".conv.", ".all_modules.0.")] = tensor
        if name.startswith("encoder."):
            weights[f"decoder.{name}"] = tensor
    return {"network_weights": weights, "optimizer_state": {}, "trainer_name": "nnUNetTrainer", "current_epoch": 3,
            "logging": {"ema": [np.float64(0.25), np.float32(0.5)]}, "_best_ema": np.float64(0.5),
            "init_args": {"configuration": "3d_fullres", "fold": seed}, "inference_allowed_mirroring_axes": mirror}


def _configuration(channels, spacing, patch, scheme: str, residual: bool, old_plans: bool, features) -> dict:
    common = {
        "data_identifier": "x", "patch_size": list(patch), "spacing": list(spacing),
        "normalization_schemes": [scheme] * len(channels), "use_mask_for_norm": [False] * len(channels),
        "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": {
            "is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape", "resampling_fn_probabilities_kwargs": {
            "is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}}
    dimensions = len(patch)
    strides, kernels, blocks = _layers(features, dimensions)
    decoder_blocks = [1] * (len(features) - 1)
    if old_plans:
        return common | {
            "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": features[0],
            "unet_max_num_features": features[-1],
            "n_conv_per_stage_encoder": blocks, "n_conv_per_stage_decoder": decoder_blocks,
            "conv_kernel_sizes": kernels, "pool_op_kernel_sizes": strides, "num_pool_per_axis": [2] * dimensions}
    name = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    counts = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    return common | {"architecture": {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        "arch_kwargs": {
            "n_stages": len(features), "features_per_stage": list(features),
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": kernels, "strides": strides, counts: blocks,
            "n_conv_per_stage_decoder": decoder_blocks, "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True}}}}
