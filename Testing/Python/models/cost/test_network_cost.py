"""The cost of a network is counted without memory, and is that of its layers."""

import pytest
import torch

from meddl.core.errors import ModelError
from meddl.models.cost.network_cost import network_cost
from meddl.networks import build_network

ARGUMENTS = {"in_channels": 2, "out_channels": 3, "features": [4, 8, 8], "kernel_sizes": [[3, 3, 3]] * 3,
             "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "counts": [1, 2, 1], "decoder_counts": [1, 1]}
PATCH = (16, 20, 24)


def test_the_count_is_that_of_the_convolutions():
    network = build_network("PlainConvUNet", ARGUMENTS).eval()
    counted = [0]

    def count(layer, inputs, output):
        if isinstance(layer, torch.nn.ConvTranspose3d):
            counted[0] += inputs[0].numel() * layer.weight[0].numel()
        else:
            counted[0] += output.numel() * layer.weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 2, *PATCH))
    assert network_cost("PlainConvUNet", ARGUMENTS, 2, PATCH).gigamacs == pytest.approx(counted[0] / 1e9)


def test_eight_times_the_voxels_cost_eight_times_as_much():
    small = network_cost("PlainConvUNet", ARGUMENTS, 2, PATCH)
    large = network_cost("PlainConvUNet", ARGUMENTS, 2, [2 * n for n in PATCH])
    assert large.gigamacs == pytest.approx(8 * small.gigamacs)
    assert large.layer_bytes == 8 * small.layer_bytes >= 4 * 4 * 8 * 16 * 20 * 24


def test_a_network_that_computes_as_it_is_built_is_counted_too():
    arguments = {"in_channels": 1, "out_channels": 2, "feature_size": 12, "depths": [1, 1, 1, 1],
                 "num_heads": [1, 1, 1, 1], "spatial_dims": 3}
    assert network_cost("monai.SwinUNETR", arguments, 1, (64, 64, 64)).gigamacs > 0.01


def test_an_unknown_architecture_is_named():
    with pytest.raises(ModelError, match="'Nothing'"):
        network_cost("Nothing", {}, 1, PATCH)
