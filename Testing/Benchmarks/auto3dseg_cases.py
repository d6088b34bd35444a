"""Auto3DSeg checkpoints to compare with: written as its training writes them, with random weights, and run by MONAI's
transforms and inferer in the order of 3D Slicer's MONAI Auto3DSeg extension."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NETWORK = {"_target_": "SegResNetDS", "init_filters": 8, "blocks_down": [1, 1, 1], "norm": "INSTANCE_NVFUSER",
           "in_channels": 1, "out_channels": 4, "dsdepth": 2}
CONFIG = {"network": NETWORK, "roi_size": [32, 32, 32], "sigmoid": False, "normalize_mode": "range",
          "intensity_bounds": [-200.0, 300.0], "resample_resolution": [1.5, 1.5, 2.0], "crop_foreground": True,
          "orientation_ras": False, "extra_modalities": {}, "modality": "ct", "class_names": ["a", "b", "c"],
          "num_epochs": 300, "learning_rate": 0.0002}
TUMOR = CONFIG | {"network": NETWORK | {"in_channels": 4, "out_channels": 3}, "sigmoid": True, "modality": "mri",
                  "normalize_mode": "meanstd", "resample_resolution": [1.0, 1.0, 1.0]}


def build_network(config: dict, seed: int = 0):
    """MONAI's network of a configuration, with random weights."""
    import torch
    from monai.networks.nets import SegResNetDS

    torch.manual_seed(seed)
    arguments = {key: value for key, value in config["network"].items() if key != "_target_"}
    return SegResNetDS(**(arguments | {"norm": "instance"})).eval()


def write_checkpoint(folder: Path, config: dict, labels: dict[int, str] | None = None, seed: int = 0) -> Path:
    """Write model.pt, and labels.csv where names are given; the folder."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 299, "best_metric": np.float64(0.9), "config": config,
                "state_dict": build_network(config, seed).state_dict()}, folder / "model.pt")
    if labels:
        columns = ["LabelValue", "Name"] + [
            f"{sequence}.{field}" for sequence in ("SegmentedPropertyCategoryCodeSequence",
                                                   "SegmentedPropertyTypeCodeSequence",
                                                   "SegmentedPropertyTypeModifierCodeSequence")
            for field in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")]
        rows = [f"{value},{name},SCT,123037004,Anatomical Structure,SCT,{1000 + value},{name}" for value, name in
                labels.items()]
        (folder / "labels.csv").write_text("\n".join([",".join(columns), *rows]) + "\n")
    return folder


def reference_labels(folder: Path, data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Labels (I, J, K) of MONAI's own parts in the extension's order; the crop follows a turned volume."""
    import torch
    from monai import transforms
    from monai.data import MetaTensor, decollate_batch, list_data_collate
    from monai.inferers import SlidingWindowInfererAdapt

    checkpoint = torch.load(folder / "model.pt", map_location="cpu", weights_only=False)
    config = checkpoint["config"]
    network = build_network(config)
    network.load_state_dict(checkpoint["state_dict"])
    tumor = config["sigmoid"] and len(data) == 4
    image = MetaTensor(torch.from_numpy(np.array(data, dtype=np.float32)), affine=torch.from_numpy(np.array(affine)))
    batch = {"image": image, "raw": image.clone()}
    turn = [transforms.Orientationd(keys=["image", "raw"], axcodes="RAS")] if config["orientation_ras"] else []
    grid = [transforms.CropForegroundd(keys="image", source_key="image" if tumor else "raw", margin=10,
                                       allow_smaller=True)] if config["crop_foreground"] else []
    if config["resample_resolution"] is not None:
        spacing = np.array(config["resample_resolution"])
        grid.append(transforms.Spacingd(keys="image", pixdim=spacing, mode="bilinear", dtype=torch.float,
                                        min_pixdim=spacing * 0.75, max_pixdim=spacing * 1.25))
    before = transforms.Compose([*turn, *grid, *_normalization(config)] if tumor else
                                [transforms.EnsureTyped(keys="image"), *_normalization(config), *turn, *grid])
    ready = before(batch)
    ready.pop("raw")
    collated = list_data_collate([ready])
    inferer = SlidingWindowInfererAdapt(roi_size=config["roi_size"], sw_batch_size=1, overlap=0.625, mode="gaussian")
    with torch.no_grad():
        scores = inferer(collated["image"], network)
    found = (torch.sigmoid(scores) >= 0.5) if config["sigmoid"] else scores.argmax(dim=1, keepdim=True)
    collated["pred"] = MetaTensor(found.to(torch.uint8), meta=collated["image"].meta)
    back = transforms.Invertd(keys="pred", orig_keys="image", transform=before, nearest_interp=True)
    labels = back(decollate_batch(collated)[0])["pred"].numpy()
    if not tumor:
        return labels[0].astype(np.int32)
    merged = 2 * labels.any(axis=0).astype(np.int32)
    merged[labels[1:].any(axis=0)] = 1
    merged[labels[2] > 0] = 3
    return merged


def _normalization(config: dict) -> list:
    import torch
    from monai import transforms

    mode = config["normalize_mode"]
    if mode in ("range", "ct"):
        low, high = config["intensity_bounds"]
        return [transforms.ScaleIntensityRanged(keys="image", a_min=low, a_max=high, b_min=-1, b_max=1, clip=False),
                transforms.Lambdad(keys="image", func=torch.sigmoid)]
    standard = transforms.NormalizeIntensityd(keys="image", nonzero=True, channel_wise=True)
    return {"none": [], "meanstd": [standard], "mri": [standard],
            "meanstdtanh": [standard, transforms.Lambdad(keys="image", func=lambda x: 3 * torch.tanh(x / 3))],
            "pet": [transforms.Lambdad(keys="image", func=lambda x: torch.sigmoid((x - x.min()) / x.std()))]}[mode]
