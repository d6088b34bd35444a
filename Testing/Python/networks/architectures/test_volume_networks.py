"""The 3D networks of super-resolution and denoising: sizes, their start, and any range of intensities."""

import pytest
import torch

from meddl.networks import build_network
from meddl.networks.architectures.srresnet import PatchDiscriminator3D
from meddl.networks.cubic import cubic_twice

SHARPEN = ("EDSR3D", "SRCNN3D", "SRResNet3D")
DENOISE = ("ResidualDenoiser3D", "DenoisingAutoencoder3D")


def network(name, trained=True):
    """The network in double precision; its tail random where a trained one is meant."""
    torch.manual_seed(0)
    net = build_network(name, {}).double()
    if trained:
        torch.nn.init.normal_(net.tail.weight, 0, 0.3)
    return net.eval().requires_grad_(False)


def volume(seed=1):
    return torch.randn(2, 1, 7, 8, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def answer(name, net, x, scale=1.0):
    return net(x, 0.1 * scale) if name == "ResidualDenoiser3D" else net(x)


@pytest.mark.parametrize("name", SHARPEN)
def test_untrained_it_is_the_cubic_spline_at_twice_the_resolution(name):
    x = volume()
    made = network(name, trained=False)(x)
    assert made.shape == (2, 1, 14, 16, 18)
    torch.testing.assert_close(made, cubic_twice(x))


def test_the_cubic_spline_at_twice_the_resolution_keeps_a_slope():
    ramp = torch.arange(12.0).double().reshape(1, 1, -1, 1, 1).expand(1, 1, 12, 4, 4)
    made = cubic_twice(ramp)[0, 0, :, 3, 3]
    torch.testing.assert_close(made[8:16], (torch.arange(8.0).double() + 8) / 2 - 0.25, atol=2e-2, rtol=0)


@pytest.mark.parametrize("name", DENOISE)
def test_untrained_a_denoiser_changes_nothing(name):
    torch.testing.assert_close(answer(name, network(name, trained=False), volume()), volume())


@pytest.mark.parametrize("name", SHARPEN + DENOISE)
def test_any_range_gives_the_same_picture_and_a_constant_stays_constant(name):
    net, x = network(name), volume()
    made = answer(name, net, x)
    untrained = answer(name, network(name, trained=False), x)
    assert (made - untrained).abs().mean() > 1e-3
    torch.testing.assert_close(answer(name, net, 300 * x - 1000, scale=300), 300 * made - 1000)
    if name != "ResidualDenoiser3D":  # it is told that a constant is noisy, and may believe so
        torch.testing.assert_close(net(torch.full_like(x, 5)), torch.full_like(made, 5))


def test_the_noise_map_may_differ_from_voxel_to_voxel():
    net, x = network("ResidualDenoiser3D"), volume()
    sigma = torch.full_like(x, 0.1)
    torch.testing.assert_close(net(x, sigma), net(x, 0.1))
    sigma[..., 5:] = 0.5
    assert not torch.allclose(net(x, sigma), net(x, 0.1))


@pytest.mark.parametrize("name", SHARPEN + DENOISE)
def test_each_has_less_than_half_a_million_parameters(name):
    assert sum(p.numel() for p in build_network(name, {}).parameters()) < 500_000


def test_the_discriminator_scores_patches_and_shows_its_features():
    torch.manual_seed(0)
    net = PatchDiscriminator3D()
    scores, features = net(torch.randn(2, 1, 32, 32, 32))
    assert scores.shape == (2, 1, 4, 4, 4)
    assert [f.shape[1] for f in features] == [16, 32, 64]
    for _ in range(30):  # power iterations
        net(torch.randn(1, 1, 32, 32, 32))
    for layer in [*(layer[0] for layer in net.layers), net.score]:
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
        assert 0.9 < largest < 1.1
