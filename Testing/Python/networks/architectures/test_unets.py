"""Networks: shapes, the sides of a sided one, what a card may ask for."""

import pytest
import torch

from meddl.core.errors import ModelError
from meddl.networks import build_network
from meddl.networks.architectures.half_resolution_unet import HalfResolutionUNet
from meddl.networks.architectures.shuffle_unet import ShuffleUNet, shuffle, unshuffle, voxels_of_blocks
from meddl.networks.architectures.sided_unet import SidedUNet

TISSUES, SIDES = [0, 1, 2, 3, 1, 2], [2, 0, 0, 2, 1, 1]


def test_shuffle_undoes_unshuffle_and_keeps_blocks_together():
    image = torch.randn(2, 3, 8, 6, 4)
    assert torch.equal(shuffle(unshuffle(image)), image)
    only = torch.zeros(1, 1, 4, 4, 4)
    only[..., 2:, :2, 2:] = 1
    assert torch.equal(unshuffle(only)[0].flatten(1).any(dim=1), torch.ones(8, dtype=torch.bool))
    assert torch.equal(unshuffle(only)[0, 0].nonzero(), torch.tensor([[1, 0, 1]]))


@pytest.mark.parametrize("shape", [(16, 24, 16), (20, 26, 22)])
@pytest.mark.parametrize("kind", [ShuffleUNet, HalfResolutionUNet])
def test_scores_have_the_size_of_the_image(shape, kind):
    network = kind(2, 5, widths=(8, 16, 16))
    assert network(torch.randn(1, 2, *shape)).shape == (1, 5, *shape)


@pytest.mark.parametrize("kind", [ShuffleUNet, HalfResolutionUNet])
def test_scores_of_some_blocks_are_those_of_their_voxels_among_all(kind):
    network = kind(1, 5, widths=(8, 16)).eval()
    image = torch.randn(2, 1, 12, 8, 16)
    blocks = torch.tensor([0, 5, 37, 190, 383])
    voxels = voxels_of_blocks(blocks, (2, 12, 8, 16))
    everywhere = network(image).permute(0, 2, 3, 4, 1).reshape(-1, 5)
    torch.testing.assert_close(network.scores_of_blocks(image, blocks), everywhere[voxels], atol=1e-5, rtol=1e-5)
    assert sorted(voxels[-8:].tolist()) == sorted(
        [((1 * 12 + i) * 8 + j) * 16 + k for i in (10, 11) for j in (6, 7) for k in (14, 15)])


def test_a_sided_network_without_refinement_has_no_convolution_at_full_resolution():
    network = SidedUNet(1, TISSUES, SIDES, widths=(8, 16), refine_channels=0)
    seen = []
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv3d):
            layer.register_forward_hook(lambda layer, given, output: seen.append(max(output.shape[2:])))
    assert network(torch.randn(1, 1, 16, 16, 16)).shape == (1, 6, 16, 16, 16)
    assert max(seen) == 8


def test_log_probabilities_of_all_classes_sum_to_one_over_left_and_right():
    network = SidedUNet(1, TISSUES, SIDES, widths=(8, 16))
    scores = network(torch.randn(1, 1, 16, 16, 16))
    assert scores.shape[1] == 6
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(1, 16, 16, 16), atol=1e-5, rtol=1e-5)


def test_sides_tell_left_from_right_only_within_a_pair():
    network = SidedUNet(1, TISSUES, SIDES, widths=(8, 16))
    image = torch.randn(1, 1, 16, 16, 16)
    tissue, side = network.factors(image)
    scores = network(image)
    difference = side.log_softmax(1)[:, 0] - side.log_softmax(1)[:, 1]
    torch.testing.assert_close(scores[:, 1] - scores[:, 4], difference, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(scores[:, 3], tissue.log_softmax(1)[:, 3], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "arguments", "message"), [
    ("Transformer9000", {}, "Transformer9000"),
    ("ShuffleUNet", {"in_channels": 1}, "arguments"),
    ("ShuffleUNet", {"in_channels": 1, "out_channels": 2, "widths": []}, "widths"),
    ("SidedUNet", {"in_channels": 1, "tissue_of_class": [0, 1], "side_of_class": [2]}, "side_of_class"),
])
def test_what_a_card_cannot_ask_for_is_refused(name, arguments, message):
    with pytest.raises(ModelError, match=message):
        build_network(name, arguments)
