"""Layers that become part of the layer before them change no answer."""

import copy

import pytest
import torch
from torch import nn

from meddl.core.device import in_fast_precision
from meddl.networks.architectures.nnunet import PlainConvUNet, ResidualEncoderUNet
from meddl.networks.cpu import convolution
from meddl.networks.inference import ready_for_inference

CPU = torch.device("cpu")
NNUNET = ([8, 16], [[3, 3, 3]] * 2, [[1, 1, 1], [2, 2, 2]], [2, 2], [2])


def batch_norm(channels: int, **arguments) -> nn.BatchNorm3d:
    norm = nn.BatchNorm3d(channels, **arguments)
    for value in (norm.weight, norm.bias, norm.running_mean):
        if value is not None:
            nn.init.normal_(value)
    if norm.running_var is not None:
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return norm


def answers(network: nn.Module, channels: int = 3, size=(9, 12, 10)) -> tuple[torch.Tensor, torch.Tensor, nn.Module]:
    plain, image = copy.deepcopy(network).eval(), torch.randn(2, channels, *size)
    ready = ready_for_inference(network, CPU)
    with torch.no_grad():
        return plain(image), ready(image), ready


def kinds(network: nn.Module) -> list[type]:
    return [type(layer) for layer in network.modules() if not list(layer.children())]


@pytest.mark.parametrize("layers", [
    [nn.Conv3d(3, 6, 3, padding=1), batch_norm(6), nn.PReLU()],
    [nn.Conv3d(3, 6, 3, bias=False), nn.Dropout3d(0.5), batch_norm(6, affine=False), nn.LeakyReLU(0.2, inplace=True)],
    [nn.Conv3d(3, 6, 3, groups=3), batch_norm(6), nn.ReLU()],
    [nn.ConvTranspose3d(3, 6, 3, stride=2, padding=1, output_padding=1), batch_norm(6), nn.Dropout(0.3), nn.PReLU()],
    [nn.Conv3d(3, 6, 1), nn.Sequential(batch_norm(6), nn.ReLU())],
    [nn.InstanceNorm3d(3, affine=True), nn.LeakyReLU(0.1)], [nn.GroupNorm(3, 3), nn.ReLU()],
    [nn.Conv3d(3, 6, 3), nn.ReLU()], [nn.Conv3d(3, 6, 3, padding="same"), nn.ReLU()]])
def test_what_follows_is_folded_and_the_answer_stays(layers):
    torch.manual_seed(0)
    expected, found, ready = answers(nn.Sequential(*copy.deepcopy(layers)))
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
    assert all(kind in (nn.Identity, nn.Dropout, nn.Dropout3d) for kind in kinds(ready)[1:])


@pytest.mark.parametrize("layers", [
    [nn.Conv3d(3, 6, 3), batch_norm(6, track_running_stats=False)], [nn.Conv3d(3, 6, 3), nn.PReLU(6)],
    [nn.Conv3d(3, 6, 3), nn.ReLU(), batch_norm(6)], [nn.Conv3d(3, 6, 3), nn.ReLU(), nn.LeakyReLU()],
    [nn.ConvTranspose3d(3, 6, 3, groups=3), batch_norm(6)], [nn.Conv3d(3, 6, 3), nn.Tanh()]])
def test_what_cannot_be_folded_stays_a_layer(layers):
    torch.manual_seed(0)
    expected, found, ready = answers(nn.Sequential(*copy.deepcopy(layers)))
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
    assert type(list(ready)[-1]) is type(layers[-1])


def test_layers_with_several_places_stay():
    norm, act = batch_norm(3), nn.ReLU()
    network = nn.Sequential(nn.Conv3d(3, 3, 1), norm, act, nn.Conv3d(3, 3, 1), norm, act)
    expected, found, _ = answers(network)
    assert torch.allclose(found, expected, atol=1e-5)


def test_an_activation_is_computed_in_every_precision_and_without_the_private_operation(bfloat16, monkeypatch):
    network = nn.Sequential(nn.Conv3d(3, 6, 3), nn.LeakyReLU(0.5), nn.InstanceNorm3d(6), nn.ReLU())
    _, found, ready = answers(network)
    assert (found >= 0).all()
    with torch.no_grad():
        with in_fast_precision(CPU):
            assert (ready(torch.randn(1, 3, 9, 9, 9)) >= 0).all()
        image = torch.randn(1, 3, 9, 9, 9)
        expected = ready(image)
        monkeypatch.setattr(convolution, "_activates", lambda: False)
        assert torch.allclose(ready(image), expected, atol=1e-5)


@pytest.mark.parametrize("network", [
    PlainConvUNet(1, 3, *NNUNET, norm="batch"), ResidualEncoderUNet(1, 4, *NNUNET, norm="batch"),
    PlainConvUNet(1, 3, *NNUNET, norm="batch", activation_first=True), PlainConvUNet(1, 3, *NNUNET, norm=None)])
def test_nnunets_networks_keep_their_answer(network):
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.load_state_dict(batch_norm(module.num_features).state_dict())
    expected, found, _ = answers(network, 1, (16, 12, 8))
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_a_pair_of_images_is_activated_too():
    conv = ready_for_inference(nn.Sequential(nn.Conv3d(24, 16, 3), nn.LeakyReLU(0.1)), CPU)[0]
    first, second = torch.randn(1, 16, 9, 8, 10), torch.randn(1, 8, 9, 8, 10)
    with torch.no_grad():
        expected = conv(torch.cat((first, second), dim=1))
        assert conv.slope == 0.1
        assert torch.allclose(conv.of_pair(lambda: first, [second]), expected, atol=1e-5)
