"""MONAI bundles to compare with: written in the layout of the public model zoo, with random weights, and run by MONAI.

Tests and bench_models.py share them; nothing here needs MedDL.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SOFTMAX_LINEAR = "softmax, brought back linearly, best class"
LABELS_NEAREST = "softmax, best class, brought back by the nearest"
SIGMOID_LINEAR = "sigmoid, brought back linearly, from a half on"


@dataclass(frozen=True)
class BundleCase:
    """A bundle: its network, what comes before and after it, and its windows.

    Attributes:
        network: `_target_` and arguments, with in_channels and out_channels.
        transforms: between loading and the network, for the key of the image.
        ending: one of the three above.
        inferer: `_target_` and arguments.
        painted: for regions, label of each channel in the order of writing, as {channel: label}; empty: no such step.
    """

    network: dict
    transforms: tuple[dict, ...]
    ending: str = SOFTMAX_LINEAR
    inferer: dict = field(default_factory=lambda: sliding((32, 32, 32)))
    painted: dict[int, int] = field(default_factory=dict)


def sliding(size, overlap: float = 0.5, **arguments) -> dict:
    """A sliding-window inferer as the zoo's bundles write it."""
    return {"_target_": "SlidingWindowInferer", "roi_size": list(size), "sw_batch_size": 4, "overlap": overlap} | (
        arguments)


def transform(name: str, **arguments) -> dict:
    """A transform of dictionaries, for the image."""
    return {"_target_": name, "keys": "@image_key"} | arguments


RAS = transform("Orientationd", axcodes="RAS")
CT_WINDOW = transform("ScaleIntensityRanged", a_min=-57, a_max=164, b_min=0, b_max=1, clip=True)


def spacing(*pixdim) -> dict:
    """Spacingd, linear."""
    return transform("Spacingd", pixdim=list(pixdim), mode="bilinear")


CASES: dict[str, BundleCase] = {
    "unet": BundleCase(
        {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [8, 16, 32],
         "strides": [2, 2], "num_res_units": 2, "norm": "batch"}, (RAS, spacing(1.5, 1.5, 2.0), CT_WINDOW)),
    "segresnet": BundleCase(
        {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 6, "init_filters": 8,
         "blocks_down": [1, 2, 2], "blocks_up": [1, 1], "dropout_prob": 0.2},
        (RAS, spacing(1.7, 1.7, 1.7), transform("NormalizeIntensityd", nonzero=True),
         transform("ScaleIntensityd", minv=-1.0, maxv=1.0)), LABELS_NEAREST,
        sliding((32, 32, 32), 0.25, padding_mode="replicate", mode="gaussian")),
    "swinunetr": BundleCase(
        {"_target_": "SwinUNETR", "spatial_dims": 3, "img_size": 64, "in_channels": 1, "out_channels": 4,
         "feature_size": 12, "use_checkpoint": False},
        (RAS, spacing(1.5, 1.5, 2.5), transform("ScaleIntensityRanged", a_min=-175, a_max=250, b_min=0.0, b_max=1.0,
                                                clip=True)), inferer=sliding((64, 64, 32))),
    "dynunet": BundleCase(
        {"_target_": "DynUNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, "kernel_size": [3, 3, 3],
         "strides": [1, 2, [2, 2, 1]], "upsample_kernel_size": [2, [2, 2, 1]], "filters": [8, 16, 32],
         "norm_name": "instance", "deep_supervision": False, "res_block": True},
        (transform("CropForegroundd", source_key="@image_key", margin=4), RAS, spacing(1.5, 1.5, 1.5), CT_WINDOW)),
    "brats": BundleCase(
        {"_target_": "SegResNet", "blocks_down": [1, 2, 2], "blocks_up": [1, 1], "init_filters": 8, "in_channels": 4,
         "out_channels": 3, "dropout_prob": 0.2},
        (transform("NormalizeIntensityd", nonzero=True, channel_wise=True),), SIGMOID_LINEAR, sliding((48, 48, 32)),
        {1: 2, 0: 1, 2: 4}),
    "regions": BundleCase(
        {"_target_": "BasicUNet", "spatial_dims": 3, "in_channels": 2, "out_channels": 2,
         "features": [8, 8, 16, 16, 16, 8]},
        (RAS, spacing(2.0, 2.0, 2.0), transform("NormalizeIntensityd", channel_wise=True)), SIGMOID_LINEAR,
        sliding((32, 32, 32)), {0: 1, 1: 2}),
    "attention": BundleCase(
        {"_target_": "AttentionUnet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [8, 16, 16],
         "strides": [2, 2]},
        (RAS, spacing(2.0, 2.0, 2.0), transform("ScaleIntensityd"), transform("DivisiblePadd", k=16)),
        inferer={"_target_": "SimpleInferer"}),
    "unetr": BundleCase(
        {"_target_": "UNETR", "in_channels": 1, "out_channels": 3, "img_size": [32, 32, 32], "feature_size": 8,
         "hidden_size": 48, "mlp_dim": 64, "num_heads": 4},
        (RAS, spacing(2.0, 2.0, 2.0), transform("NormalizeIntensityd"))),
    "slices": BundleCase(
        {"_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 4, "channels": [8, 16, 32],
         "strides": [2, 2], "num_res_units": 2}, (transform("ScaleIntensityd"),),
        inferer={"_target_": "SliceInferer", "roi_size": [32, 32], "spatial_dim": 2}),
}
# For times: networks, windows and steps as large as those of the public bundles, each named by what it finds.
LARGE_CASES: dict[str, BundleCase] = {
    "spleen-unet": BundleCase(
        {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [16, 32, 64, 128, 256],
         "strides": [2, 2, 2, 2], "num_res_units": 2, "norm": "batch"}, (RAS, spacing(1.5, 1.5, 2.0), CT_WINDOW),
        inferer=sliding((96, 96, 96))),
    "organs-segresnet": BundleCase(
        {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 25, "init_filters": 16,
         "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1], "dropout_prob": 0.2},
        (RAS, spacing(3.0, 3.0, 3.0), transform("NormalizeIntensityd", nonzero=True),
         transform("ScaleIntensityd", minv=-1.0, maxv=1.0)), SOFTMAX_LINEAR,
        sliding((96, 96, 96), 0.25, padding_mode="replicate", mode="gaussian")),
    "btcv-swinunetr": BundleCase(
        {"_target_": "SwinUNETR", "spatial_dims": 3, "img_size": 96, "in_channels": 1, "out_channels": 14,
         "feature_size": 48, "use_checkpoint": False},
        (RAS, spacing(1.5, 1.5, 2.0), transform("ScaleIntensityRanged", a_min=-175, a_max=250, b_min=0.0, b_max=1.0,
                                                clip=True)), inferer=sliding((96, 96, 96))),
    "abdomen-dynunet": BundleCase(
        {"_target_": "DynUNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 4, "kernel_size": [3] * 6,
         "strides": [1, 2, 2, 2, 2, [2, 2, 1]], "upsample_kernel_size": [2, 2, 2, 2, [2, 2, 1]],
         "norm_name": "instance", "deep_supervision": False, "res_block": True},
        (RAS, spacing(1.5, 1.5, 3.0), transform("ScaleIntensityRanged", a_min=-250, a_max=400, b_min=0, b_max=1,
                                                clip=True),
         transform("CropForegroundd", source_key="@image_key")), inferer=sliding((96, 96, 96))),
    "brats-segresnet": BundleCase(
        {"_target_": "SegResNet", "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1], "init_filters": 16,
         "in_channels": 4, "out_channels": 3, "dropout_prob": 0.2},
        (transform("NormalizeIntensityd", nonzero=True, channel_wise=True),), SIGMOID_LINEAR,
        sliding((240, 240, 160)) | {"sw_batch_size": 1}, {1: 2, 0: 1, 2: 4}),
}


def build_network(case: BundleCase, seed: int = 0):
    """MONAI's network of a case, with random weights that give out more than one class."""
    import monai.networks.nets
    import torch

    torch.manual_seed(seed)
    arguments = {key: value for key, value in case.network.items() if key not in ("_target_", "img_size")}
    if case.network["_target_"] == "UNETR":
        arguments["img_size"] = case.network["img_size"]
    network = getattr(monai.networks.nets, case.network["_target_"])(**arguments)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def write_bundle(folder: Path, case: BundleCase, seed: int = 0, *, as_yaml: bool = False) -> Path:
    """Write configs/inference.json (or .yaml), configs/metadata.json and models/model.pt."""
    import torch

    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    config = inference_config(case)
    if as_yaml:
        import yaml

        (folder / "configs" / "inference.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    else:
        (folder / "configs" / "inference.json").write_text(json.dumps(config, indent=4))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata(case), indent=4))
    torch.save(build_network(case, seed).state_dict(), folder / "models" / "model.pt")
    return folder


def inference_config(case: BundleCase) -> dict:
    """The content of an inference configuration."""
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".", "image_key": "image", "output_dir": "$@bundle_root + '/eval'",
        "datalist": "$list(sorted(glob.glob(os.path.join(@bundle_root, '*.nii.gz'))))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "classes": case.network["out_channels"],
        "network_def": case.network | {"out_channels": "@classes"},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": [
            transform("LoadImaged"), transform("EnsureChannelFirstd"), *case.transforms, transform("EnsureTyped")]},
        "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": case.inferer,
        "postprocessing": {"_target_": "Compose", "transforms": _ending(case)},
        "handlers": [{"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'",
                      "load_dict": {"model": "@network"}}, {"_target_": "StatsHandler", "iteration_log": False}],
        "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "val_data_loader": "@dataloader",
                      "network": "@network", "inferer": "@inferer", "postprocessing": "@postprocessing",
                      "val_handlers": "@handlers", "amp": True},
        "run": ["$@evaluator.run()"]}


def metadata(case: BundleCase) -> dict:
    """The content of a bundle's metadata."""
    names = {str(n): "background" if n == 0 and case.ending != SIGMOID_LINEAR else f"structure_{n}"
             for n in range(case.network["out_channels"])}
    inputs = {str(n): f"image {n + 1}" for n in range(case.network["in_channels"])}
    return {"schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
                      "meta_schema_20240725.json",
            "version": "0.3.1", "monai_version": "1.4.0", "name": "Random bundle", "task": "comparison",
            "description": "Random weights, to compare with.", "authors": "MedDL", "data_source": "none",
            "network_data_format": {
                "inputs": {"image": {"type": "image", "format": "hounsfield", "modality": "CT", "channel_def": inputs,
                                     "num_channels": case.network["in_channels"]}},
                "outputs": {"pred": {"type": "image", "format": "segmentation", "channel_def": names}}}}


def _ending(case: BundleCase) -> list[dict]:
    def pred(name: str, **arguments) -> dict:
        return {"_target_": name, "keys": "pred"} | arguments

    def back(nearest: bool) -> dict:
        return pred("Invertd", transform="@preprocessing", orig_keys="@image_key", nearest_interp=nearest,
                    to_tensor=True)

    if case.ending == SOFTMAX_LINEAR:
        chain = [pred("Activationsd", softmax=True), back(False), pred("AsDiscreted", argmax=True)]
    elif case.ending == LABELS_NEAREST:
        chain = [pred("Activationsd", softmax=True), pred("AsDiscreted", argmax=True), back(True)]
    else:
        chain = [pred("Activationsd", sigmoid=True), back(False), pred("AsDiscreted", threshold=0.5)]
    if case.painted:
        text = "0"
        for channel, value in case.painted.items():
            text = f"torch.where(x[[{channel}]] > 0, {value}, {text})"
        chain.append(pred("Lambdad", func=f"$lambda x: {text}"))
    return [*chain, pred("SaveImaged", output_dir="@output_dir")]


def reference_labels(folder: Path, data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Labels (I, J, K) that MONAI's own machinery gives for an image (C, I, J, K), from the bundle's configuration."""
    import torch
    from monai.data import MetaTensor

    image = MetaTensor(torch.from_numpy(np.array(data, dtype=np.float32)), affine=torch.from_numpy(np.array(affine)))
    return Reference(folder, left_out=("LoadImaged", "EnsureChannelFirstd", "SaveImaged")).labels(image)


class Reference:
    """A bundle run by MONAI from its own configuration, stage by stage as its evaluator does.

    Args:
        folder: of the bundle.
        left_out: transforms that are switched off.
        stage: gives a context for each stage: load, prepare, network, labels.
    """

    def __init__(self, folder: Path, left_out: tuple[str, ...] = ("SaveImaged",), stage=None):
        import monai.inferers  # what the bundle names; imports are not timed
        import monai.networks.nets
        import monai.transforms  # noqa: F401
        import torch
        from monai.bundle import ConfigParser

        self.stage = stage or (lambda _: contextlib.nullcontext())
        parser = ConfigParser()
        parser.read_config(str(next(folder.glob("configs/inference.*"))))
        parser["bundle_root"] = str(folder)
        for entry in (*parser["preprocessing"]["transforms"], *parser["postprocessing"]["transforms"]):
            if entry["_target_"] in left_out:
                entry["_disabled_"] = True
        if parser["network_def"]["_target_"] == "SwinUNETR":
            parser["network_def"].pop("img_size", None)  # no longer taken by MONAI
        with self.stage("load"):
            self.before, self.network, self.inferer, self.after = (
                parser.get_parsed_content(name) for name in ("preprocessing", "network", "inferer", "postprocessing"))
            self.network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
            self.network.eval()

    def labels(self, image) -> np.ndarray:
        """Labels (I, J, K) of an image, of the files of its channels, or of a dictionary of images."""
        import torch
        from monai.data import decollate_batch, list_data_collate

        with self.stage("prepare"):
            batch = list_data_collate([self.before(image if isinstance(image, dict) else {"image": image})])
        with self.stage("network"), torch.no_grad():
            batch["pred"] = self.inferer(batch["image"], self.network)
        with self.stage("labels"):
            found = self.after(decollate_batch(batch)[0])["pred"][0]
            return found.numpy().astype(np.int32)
