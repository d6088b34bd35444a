"""Networks made ready for training give the answers and the gradients of plain torch."""

import copy

import pytest
import torch
from torch import nn

from meddl.networks.architectures.shuffle_unet import ConvBlock, ShuffleUNet
from meddl.networks.cpu.fast_training import TrainingConv3d, TrainingConvBlock, ready_for_training


@pytest.fixture(autouse=True)
def one_thread():
    """As many threads as torch needs to leave oneDNN."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def randomize(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        nn.init.normal_(parameter, mean=float("norm" in name), std=0.3)
    return network


def outcome(network: nn.Module, *parts: torch.Tensor) -> dict[str, torch.Tensor]:
    """The answer and every gradient of a function of it."""
    network.zero_grad(set_to_none=True)
    parts = [part.clone().contiguous(memory_format=torch.channels_last_3d).requires_grad_() for part in parts]
    answer = network(*parts)
    (answer * torch.linspace(-1, 1, answer.numel()).reshape(answer.shape)).sum().backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    return found | {f"part {n}": part.grad for n, part in enumerate(parts)} | {"answer": answer.detach()}


def assert_same(network: nn.Module, *parts: torch.Tensor) -> nn.Module:
    """The same as plain torch in double precision, to the precision of single; returns the network made ready."""
    expected = outcome(copy.deepcopy(network).double(), *(part.double() for part in parts))
    ready = ready_for_training(network)
    found = outcome(ready, *parts)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = value.abs().max()
        torch.testing.assert_close(found[name].double() / scale, value / scale, rtol=1e-4, atol=1e-5, msg=name)
    return ready


@pytest.mark.parametrize("block, shape", [
    (ConvBlock(8, 32), (20, 12, 10)), (ConvBlock(24, 24), (5, 7, 6)), (ConvBlock(16, 24, stride=2), (9, 8, 7)),
    (ConvBlock(64, 8), (6, 5, 4)), (ConvBlock(16, 16), (40, 20, 18))])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_block_has_torchs_answer_and_gradients(block, shape, batch):
    channels = block.conv.in_channels
    ready = assert_same(randomize(block), torch.randn(batch, channels, *shape) + 2)
    assert type(ready) is TrainingConvBlock


def test_a_block_of_two_parts_gives_each_its_gradient():
    assert_same(randomize(ConvBlock(17, 16)), torch.randn(2, 16, 8, 7, 6), torch.randn(2, 1, 8, 7, 6))


@pytest.mark.parametrize("conv", [nn.Conv3d(6, 9, 1), nn.Conv3d(4, 4, 1, stride=2), nn.Conv3d(4, 4, 1, padding=1),
                                  nn.Conv3d(4, 6, 1, groups=2), nn.Conv3d(4, 6, 3, padding="same")])
def test_other_convolutions_are_torchs(conv):
    ready = assert_same(randomize(conv), torch.randn(2, conv.in_channels, 6, 4, 8))
    assert type(ready) is TrainingConv3d


def test_a_whole_network_trains_alike_and_keeps_its_parameters():
    network = randomize(ShuffleUNet(1, 5, widths=(8, 16, 24), refine_channels=8))
    names = {name: value.shape for name, value in network.state_dict().items()}
    assert_same(network, torch.rand(1, 1, 20, 24, 16))
    assert {name: value.shape for name, value in network.state_dict().items()} == names


SMALL = [(2, 3, 3), (2, 1, 4), (1, 1, 1), (8, 1, 1), (3, 1, 2), (2, 8, 9), (5, 7, 5)]


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("conv", [nn.Conv3d(16, 16, 3, padding=1), nn.Conv3d(16, 16, 3, stride=2, padding=1),
                                  nn.Conv3d(16, 16, 5, padding=2), nn.Conv3d(16, 16, (3, 3, 1), padding=(1, 1, 0)),
                                  nn.Conv3d(16, 16, 3, padding=2, dilation=2),
                                  nn.ConvTranspose3d(16, 16, 3, stride=2, padding=1, output_padding=1),
                                  nn.ConvTranspose3d(16, 16, 2, stride=2), ConvBlock(16, 16)],
                         ids=lambda conv: type(conv).__name__ + str(getattr(conv, "kernel_size", "")))
def test_gradients_of_small_images_are_right_in_bf16_too(conv, shape):
    image = torch.randn(2, 16, *shape)
    expected = outcome(randomize(copy.deepcopy(conv)).double(), image.double())
    ready = ready_for_training(randomize(copy.deepcopy(conv)))
    for _ in range(2):
        kept = [torch.full((size,), float("nan")) for size in (1 << 8, 1 << 10, 6912, 1 << 14, 1 << 18)]
        del kept  # what is not written is then not a number
        with torch.autocast("cpu", torch.bfloat16):
            found = outcome(ready, image)
        for name, value in expected.items():
            error = (found[name].double() - value).abs() / value.abs().max().clamp_min(1e-9)
            assert error.max() < 0.05, (name, error.max())


def test_what_needs_no_gradient_gets_none_and_other_types_compute_as_before():
    block = ready_for_training(randomize(ConvBlock(8, 8)))
    image = torch.randn(1, 8, 6, 6, 6)
    block(image).sum().backward()
    assert block.conv.weight.grad is not None
    with torch.no_grad():
        without = block(image)
    torch.testing.assert_close(block(image), without, rtol=1e-4, atol=1e-5)
    assert block.double()(image.double()).dtype == torch.float64
