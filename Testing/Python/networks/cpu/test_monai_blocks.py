"""MONAI's networks answer the same with exchanged blocks."""

import copy

import pytest
import torch

from meddl.core.device import in_fast_precision
from meddl.networks import build_network
from meddl.networks.cpu import winograd
from meddl.networks.cpu.buffer_pool import reuse
from meddl.networks.inference import ready_for_inference

CPU = torch.device("cpu")
NETWORKS = {
    "SegResNet": {"in_channels": 2, "out_channels": 3, "init_filters": 16, "blocks_down": [1, 2], "blocks_up": [1]},
    "SegResNetDS": {"in_channels": 2, "out_channels": 3, "init_filters": 16, "blocks_down": [1, 1],
                    "norm": "instance"},
    "DynUNet": {"spatial_dims": 3, "in_channels": 2, "out_channels": 3, "kernel_size": [3, 3, 3], "strides": [1, 2, 2],
                "upsample_kernel_size": [2, 2], "filters": [16, 20, 24], "norm_name": "instance", "res_block": True},
    "DynUNet plain": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "kernel_size": [3, 3, 3],
                      "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [16, 24, 32],
                      "norm_name": "instance", "res_block": False},
    "DynUNet of batches": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "kernel_size": [3, 3, 3],
                           "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [16, 24, 32],
                           "norm_name": "batch"},
    "DynUNet with dropout": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "kernel_size": [3, 3, 3],
                             "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [16, 24, 32],
                             "dropout": 0.2, "norm_name": "instance"},
    "SegResNet enlarged by convolutions": {"in_channels": 1, "out_channels": 3, "init_filters": 16,
                                           "blocks_down": [1, 1], "blocks_up": [1], "upsample_mode": "deconv"},
    "SwinUNETR": {"in_channels": 2, "out_channels": 3, "feature_size": 12},
    "UNet": {"spatial_dims": 3, "in_channels": 2, "out_channels": 3, "channels": [8, 16], "strides": [2],
             "num_res_units": 2, "norm": "batch"},
}
EXCHANGED = {"SegResNet": {"FastSegResNet", "FastResBlock", "FastUpsample"}, "SegResNetDS": {"FastSegResBlock"},
             "DynUNet": {"FastUnetResBlock", "FastUnetUpBlock", "FastUnetBasicBlock"},
             "DynUNet plain": {"FastUnetUpBlock", "FastUnetBasicBlock"},
             "SwinUNETR": {"FastUnetResBlock", "FastUnetrUpBlock"}}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("batch", "least"), [(1, 0), (2, 0), (1, winograd._PRODUCTS_WORTH_IT)])
def test_exchanged_blocks_give_the_same_answer(monkeypatch, name, batch, least):
    monkeypatch.setattr(winograd, "_PRODUCTS_WORTH_IT", least)
    torch.manual_seed(0)
    network = build_network(f"monai.{name.split()[0]}", NETWORKS[name]).eval()
    size = (64, 32, 32) if name == "SwinUNETR" else (32, 24, 16)
    image = torch.randn(batch, NETWORKS[name]["in_channels"], *size)
    given = image.clone()
    ready = ready_for_inference(copy.deepcopy(network), CPU)
    with torch.no_grad():
        expected = network(image)
        with reuse():
            found = ready(image)
            again = ready(image)  # in memory that holds the first's numbers
    expected, found, again = (x[0] if isinstance(x, (list, tuple)) else x for x in (expected, found, again))
    assert torch.equal(found, again)
    assert float((found - expected).abs().max() / expected.abs().max()) < 2e-5
    assert torch.equal(image, given)
    if name in EXCHANGED:
        assert EXCHANGED[name] <= {type(block).__name__ for block in ready.modules()}


@pytest.mark.parametrize("name", NETWORKS)
def test_other_precisions_are_computed_by_torch(bfloat16, name):
    torch.manual_seed(0)
    network = build_network(f"monai.{name.split()[0]}", NETWORKS[name]).eval()
    size = (64, 32, 32) if name == "SwinUNETR" else (32, 24, 16)
    image = torch.randn(1, NETWORKS[name]["in_channels"], *size)
    ready = ready_for_inference(copy.deepcopy(network), CPU)
    with torch.no_grad():
        expected = network(image)
        with in_fast_precision(CPU):
            found = ready(image)
        wide = ready.double()(image.double())
    expected, found, wide = (x[0] if isinstance(x, (list, tuple)) else x for x in (expected, found, wide))
    assert float((found - expected).abs().max() / expected.abs().max()) < 0.1
    assert float((wide - expected).abs().max() / expected.abs().max()) < 2e-5
    assert wide.dtype == torch.float64


def test_attention_takes_the_pairs_as_they_come():
    ready = ready_for_inference(build_network("monai.SwinUNETR", NETWORKS["SwinUNETR"]), CPU)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile, torch.no_grad():
        ready(torch.randn(1, 2, 64, 32, 32))
    used = {event.key for event in profile.key_averages()}
    assert "aten::scaled_dot_product_attention" in used
    assert "aten::_softmax" not in used
