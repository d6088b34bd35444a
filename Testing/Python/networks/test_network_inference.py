"""Networks made ready for inference give the answers of plain torch, by faster layers."""

import copy

import pytest
import torch
from torch import nn

from meddl.core.device import in_fast_precision
from meddl.networks.architectures.nnunet import PlainConvUNet, ResidualEncoderUNet
from meddl.networks.architectures.shuffle_unet import ShuffleUNet
from meddl.networks.cpu import convolution, fast_layers, winograd
from meddl.networks.cpu.fast_layers import FastConv3d, FastGroupNorm, FastInstanceNorm3d
from meddl.networks.cpu.normalization import channels_last_norm
from meddl.networks.inference import ready_for_inference

CPU = torch.device("cpu")
TOLERANCES = {"float32": 1e-5, "bfloat16": 0.02}  # relative to the largest value
NNUNET = ([8, 16], [[3, 3, 3]] * 2, [[1, 1, 1], [2, 2, 2]], [2, 2], [2])


def both(network: nn.Module, image: torch.Tensor, exact: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """The answers of plain torch and of the network made ready for inference, `exact` or in the fast precision."""
    plain = copy.deepcopy(network).eval()
    with torch.no_grad():
        expected = plain(image)
        with in_fast_precision(CPU, exact):
            return expected, ready_for_inference(network, CPU)(image)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("layer", [
    nn.Conv3d(3, 8, 3, padding=1), nn.Conv3d(4, 6, 1), nn.Conv3d(8, 4, 3, stride=2, padding=1, bias=False),
    nn.Conv3d(4, 4, (1, 3, 5), padding=(0, 1, 2)), nn.Conv3d(4, 4, 3, padding=2, dilation=2),
    nn.Conv3d(4, 8, 3, groups=2), nn.Conv3d(4, 8, 3, padding="same"),
    nn.Conv3d(4, 8, 3, padding=1, padding_mode="reflect"),
    nn.InstanceNorm3d(5), nn.InstanceNorm3d(6, affine=True), nn.InstanceNorm3d(1, affine=True),
    nn.InstanceNorm3d(4, track_running_stats=True), nn.GroupNorm(2, 6), nn.GroupNorm(1, 4, affine=False),
    nn.ConvTranspose3d(4, 6, 2, stride=2), nn.ConvTranspose3d(4, 6, 3, stride=2, padding=1, output_padding=1),
    nn.ConvTranspose3d(4, 6, (1, 2, 2), stride=(1, 2, 2), bias=False), nn.ConvTranspose3d(4, 4, 2, stride=2, groups=2),
    nn.AvgPool3d(2), nn.AvgPool3d((1, 2, 2)), nn.AvgPool3d(3, stride=2), nn.AvgPool3d(2, ceil_mode=True)])
@pytest.mark.parametrize("batch", [1, 2])
def test_every_layer_answers_as_torch_does(precision, layer, batch):
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    channels = next((n for n in (getattr(layer, name, None) for name in ("in_channels", "num_features", "num_channels"))
                     if n), 4)
    for image in (torch.randn(batch, channels, 7, 9, 8) + 2,
                  (torch.randn(batch, channels, 7, 9, 8) + 2).to(memory_format=torch.channels_last_3d)):
        given = image.clone()
        expected, found = both(nn.Sequential(copy.deepcopy(layer)), image, exact=False)
        assert relative_error(found, expected) < TOLERANCES[precision]
        assert torch.equal(image, given)


@pytest.mark.parametrize("network", [
    PlainConvUNet(1, 3, *NNUNET), ResidualEncoderUNet(2, 4, *NNUNET),
    PlainConvUNet(1, 3, *NNUNET, activation_first=True), ShuffleUNet(1, 4, widths=(16, 32))])
def test_whole_networks_answer_as_plain_torch_does(precision, network):
    torch.manual_seed(0)
    for layer in network.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    channels = next(layer for layer in network.modules() if isinstance(layer, nn.Conv3d)).in_channels
    channels = channels // 8 if isinstance(network, ShuffleUNet) else channels  # blocks of 2 x 2 x 2 voxels
    expected, found = both(network, torch.randn(1, channels, 16, 20, 12), exact=False)
    assert relative_error(found, expected) < TOLERANCES[precision]


def test_one_small_image_goes_through_onednn_and_stays_channels_last():
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch has no oneDNN here")
    network = ready_for_inference(nn.Sequential(nn.Conv3d(16, 16, 3, padding=1), nn.InstanceNorm3d(16),
                                                nn.Conv3d(16, 4, 1)), CPU)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile, torch.no_grad():
        scores = network(torch.randn(1, 16, 8, 8, 8))
    used = {event.key: event.count for event in profile.key_averages()}
    assert (used["aten::mkldnn_convolution"], used["aten::addmm"]) == (1, 1)
    assert not any("slow_conv" in name for name in used)
    assert scores.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_mean_far_from_zero_costs_no_accuracy():
    image = 1e3 + torch.randn(1, 8, 40, 40, 40)
    layers = nn.Sequential(nn.InstanceNorm3d(8), nn.GroupNorm(2, 8))
    with torch.no_grad():
        expected = copy.deepcopy(layers).double()(image.double())
    found = ready_for_inference(layers, CPU)(image.to(memory_format=torch.channels_last_3d))
    assert float((found - expected).abs().max()) < 1e-3  # a float32 near 1000 is exact to 3e-5


def test_layers_of_other_kinds_and_weights_stay_as_they_are():
    class Own(nn.Conv3d):
        pass

    network = nn.Sequential(nn.Conv3d(1, 4, 3), Own(4, 4, 3), nn.InstanceNorm3d(4), nn.GroupNorm(2, 4), nn.Tanh())
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    ready = ready_for_inference(network, CPU)
    assert [type(layer) for layer in ready] == [FastConv3d, Own, FastInstanceNorm3d, FastGroupNorm, nn.Tanh]
    assert all(torch.equal(value, weights[name]) for name, value in ready.state_dict().items())
    assert not ready.training
    assert not any(parameter.requires_grad for parameter in ready.parameters())


def test_other_types_than_float32_run_as_torch_runs_them(bfloat16):
    network = ready_for_inference(nn.Sequential(nn.Conv3d(4, 8, 3), nn.InstanceNorm3d(8)), CPU)
    with torch.no_grad(), in_fast_precision(CPU):
        assert network[0](torch.randn(1, 4, 6, 6, 6)).dtype == torch.bfloat16
    assert network.double()(torch.randn(1, 4, 6, 6, 6, dtype=torch.float64)).dtype == torch.float64


def test_a_pair_of_images_is_convolved_as_if_they_were_one(precision):
    conv = ready_for_inference(nn.Sequential(nn.Conv3d(24, 16, 3, padding=1)), CPU)[0]
    first, second = torch.randn(1, 16, 9, 8, 10), torch.randn(1, 8, 9, 8, 10)
    given = [first.clone(), second.clone()]
    with torch.no_grad():
        expected = conv(torch.cat((first, second), dim=1))
        with in_fast_precision(CPU):
            assert relative_error(conv.of_pair(lambda: first, [second]), expected) < TOLERANCES[precision]
        wide = conv.double().of_pair(first.double, [second.double()])
    assert wide.dtype == torch.float64
    assert torch.equal(first, given[0])
    assert torch.equal(second, given[1])


def test_without_the_private_operation_answers_of_a_pair_are_added(monkeypatch):
    monkeypatch.setattr(convolution, "adds_in_place", lambda: False)
    conv = ready_for_inference(nn.Sequential(nn.Conv3d(6, 4, 3)), CPU)[0]
    image = torch.randn(2, 6, 5, 5, 5)
    with torch.no_grad():
        assert relative_error(conv.of_pair(lambda: image[:, :4], [image[:, 4:]]), conv(image)) < 1e-5


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("size", [(27, 23, 29), (4, 3, 5)])  # rows with some voxels left over; and a small image
def test_normalization_of_every_size_is_exact_and_takes_an_activation_along(size, groups):
    torch.manual_seed(0)
    image = (torch.randn(2, 6, *size) * 3 + 7).to(memory_format=torch.channels_last_3d)
    weight, bias = torch.randn(6), torch.randn(6)
    expected = nn.functional.group_norm(image.double().contiguous(), groups, weight.double(), bias.double())
    found = channels_last_norm(image, groups, weight, bias, 1e-5)
    assert float((found - expected).abs().max()) < 1e-5
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    for slope in (0.0, 0.1):
        with_activation = channels_last_norm(image, groups, weight, bias, 1e-5, slope=slope)
        assert torch.equal(with_activation, nn.functional.leaky_relu(found, slope))


def test_without_the_private_operation_a_transposed_convolution_is_torchs(monkeypatch):
    monkeypatch.setattr(fast_layers, "_transposes", lambda: False)
    layer = nn.ConvTranspose3d(4, 6, 2, stride=2)
    expected, found = both(nn.Sequential(layer), torch.randn(1, 4, 5, 6, 7))
    assert torch.equal(found, expected)


def test_in_place_normalization_gives_the_same():
    image = (torch.randn(2, 6, 9, 8, 7) + 1).to(memory_format=torch.channels_last_3d)
    norm = ready_for_inference(nn.Sequential(nn.InstanceNorm3d(6)), CPU)[0]
    expected = norm(image)
    norm.in_place = True
    given = image.clone(memory_format=torch.channels_last_3d)
    assert torch.equal(norm(given), expected)
    assert torch.equal(given, expected)


@pytest.mark.parametrize("kernel", [(2, 2, 2), (1, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_transposed_convolution_whose_stride_is_its_kernel_is_exact(kernel, bias):
    layer = nn.ConvTranspose3d(5, 7, kernel, stride=kernel, bias=bias)
    expected, found = both(nn.Sequential(layer), torch.randn(2, 5, 6, 9, 4))
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    assert relative_error(found, expected) < 1e-5


def test_a_large_image_is_enlarged_part_by_part(monkeypatch):
    image, weight, bias = torch.randn(1, 4, 7, 5, 6), torch.randn(4, 3, 2, 2, 2), torch.randn(3)
    expected = nn.functional.conv_transpose3d(image, weight, bias, 2)
    for numbers in (1, 2000, 1 << 20):
        monkeypatch.setattr(convolution, "_ENLARGED_AT_ONCE", numbers)
        assert relative_error(convolution.enlarge(image, weight, bias), expected) < 1e-5


@pytest.mark.parametrize("arguments", [{"scale_factor": 2, "mode": "trilinear"}, {"scale_factor": 2, "mode": "nearest"},
                                       {"scale_factor": (2, 1.5, 3), "mode": "trilinear", "align_corners": True},
                                       {"size": (9, 8, 11), "mode": "trilinear"}])
def test_an_image_is_enlarged_as_torch_does(arguments):
    layers = nn.Sequential(nn.Conv3d(2, 6, 3), nn.Upsample(**arguments))
    image = torch.randn(2, 2, 40, 9, 10)
    expected, found = both(layers, image)
    assert relative_error(found, expected) < 1e-5
    features, added = torch.randn(2, 6, 38, 7, 8), torch.randn_like(expected)
    with torch.no_grad():
        upsample, result = layers[1], added.contiguous(memory_format=torch.channels_last_3d)
        assert upsample.add_to(result, features) is result
        assert relative_error(result, added + nn.functional.interpolate(features, **arguments)) < 1e-5


@pytest.mark.parametrize("norm", [nn.GroupNorm(4, 16), nn.InstanceNorm3d(16, affine=True)])
@pytest.mark.parametrize("size", [(40, 32, 36), (4, 5, 6)])
@pytest.mark.parametrize("least", [0, winograd._PRODUCTS_WORTH_IT])
def test_a_convolution_of_a_normalized_image_needs_no_normalized_image(precision, monkeypatch, norm, size, least):
    monkeypatch.setattr(winograd, "_PRODUCTS_WORTH_IT", least)
    torch.manual_seed(0)
    network = nn.ModuleList([norm, nn.Conv3d(16, 16, 3, padding=1)]).eval()
    image, added = torch.randn(2, 16, *size) * 3 + 1, torch.randn(2, 16, *size)
    with torch.no_grad():
        expected = network[1](nn.functional.leaky_relu(norm(image), 0.1))
    norm, conv = ready_for_inference(copy.deepcopy(network), CPU)
    image, given = image.contiguous(memory_format=torch.channels_last_3d), image.clone()
    with torch.no_grad(), in_fast_precision(CPU):
        assert relative_error(conv.of_normalized(norm, image, 0.1), expected) < 2 * TOLERANCES[precision]
        result = added.contiguous(memory_format=torch.channels_last_3d)
        assert conv.of_normalized(norm, image, 0.1, added_to=result) is result
    assert relative_error(result, expected + added) < 2 * TOLERANCES[precision]
    assert torch.equal(image, given)
