"""MONAI's networks are built from plain data alone, by names and arguments that are known."""

from __future__ import annotations

import pytest
import torch

from meddl.core.errors import ModelError
from meddl.networks import build_network
from meddl.networks.architectures.of_monai import checked_arguments, known_networks

SMALL = {
    "UNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]},
    "BasicUNet": {"features": [4, 4, 4, 4, 4, 4]},
    "AttentionUnet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]},
    "DynUNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3, 3], "strides": [1, 2, 2],
                "upsample_kernel_size": [2, 2], "filters": [4, 8, 8]},
    "SegResNet": {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
    "SegResNetDS": {"init_filters": 8, "blocks_down": [1, 1], "dsdepth": 2},
    "SwinUNETR": {"in_channels": 1, "out_channels": 2, "feature_size": 12, "img_size": [64, 64, 64]},
    "UNETR": {"in_channels": 1, "out_channels": 2, "img_size": [32, 32, 32], "feature_size": 4, "hidden_size": 12,
              "mlp_dim": 12, "num_heads": 2, "pos_embed": "conv"},
    "VNet": {"out_channels": 2, "act": ["elu", {"inplace": True}]},
    "HighResNet": {"out_channels": 2},
    "MedNeXt": {"init_filters": 4, "blocks_down": [1, 1, 1, 1], "blocks_up": [1, 1, 1, 1], "blocks_bottleneck": 1,
                "kernel_size": 3}}


def test_every_known_network_has_a_case():
    assert set(SMALL) == set(known_networks())


@pytest.mark.parametrize("name", SMALL)
def test_each_gives_two_classes(name):
    network = build_network(f"monai.{name}", SMALL[name]).eval()
    if name == "SwinUNETR":  # slow on a small machine; the bundles' tests run it
        return
    with torch.no_grad():
        assert network(torch.rand(1, 1, 32, 32, 32)).shape == (1, 2, 32, 32, 32)


def test_names_of_old_and_arguments_without_effect():
    name, kept, left_out = checked_arguments("Unet", SMALL["UNet"])
    assert name == "UNet" and kept == SMALL["UNet"] and not left_out
    _, kept, left_out = checked_arguments("SwinUNETR", SMALL["SwinUNETR"])
    assert left_out == ("img_size",) and "img_size" not in kept


@pytest.mark.parametrize("name, changes, words", [
    ("Transchex", {}, "Transchex"), ("UNet", {"magic": 1}, "magic"), ("UNet", {"self": 1}, "self"),
    ("UNet", {"act": torch.nn.ReLU}, "plain data"), ("UNet", {"channels": [4]}, "do not fit"),
    ("SegResNetDS", {"preprocess": "os.system"}, "preprocess"), ("SwinUNETR", {"norm_layer": "x"}, "norm_layer")])
def test_anything_else_is_refused_by_name(name, changes, words):
    with pytest.raises(ModelError, match=words):
        build_network(f"monai.{name}", SMALL.get(name, {}) | changes)


def test_a_missing_argument_is_named():
    with pytest.raises(ModelError, match="strides"):
        build_network("monai.UNet", {key: value for key, value in SMALL["UNet"].items() if key != "strides"})
