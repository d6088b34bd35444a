"""The 2D through-plane network: sizes, its start at the cubic spline, and what its structure promises."""

import numpy as np
import pytest
import torch

from meddl.networks import build_network
from meddl.networks.cubic import resized_count
from meddl.spatial.bspline import cubic_weights


def network(trained=True):
    """The network in double precision; with random tails and gains where a trained one is meant."""
    torch.manual_seed(0)
    net = build_network("ThroughPlaneNetwork", {"channels": 8, "blocks": 2}).double()
    if trained:
        for zero in (net.gains[-1].weight, *(tail.weight for tail in net.tails.values())):
            torch.nn.init.normal_(zero, 0, 0.3)
    return net.eval().requires_grad_(False)


def image(height=9, width=11):
    return torch.randn(2, 1, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("factor", [1.3, 2, 2.5, 3, 3.7, 4, 4.5])
def test_only_the_last_axis_grows_to_the_same_field_of_view(factor):
    assert network()(image(), factor).shape == (2, 1, 9, resized_count(11, factor))


@pytest.mark.parametrize("factor", [1.5, 2, 3.7])
def test_untrained_it_is_the_cubic_spline_on_the_centered_grid(factor):
    x = image()
    size = resized_count(11, factor)
    places = (np.arange(size) - (size - 1) / 2) / factor + 5
    cubic = x @ torch.from_numpy(cubic_weights(11, places)).T
    torch.testing.assert_close(network(trained=False)(x, factor), cubic)


@pytest.mark.parametrize("factor", [1.7, 3])
def test_any_range_gives_the_same_picture_and_a_constant_stays_constant(factor):
    net, x = network(), image()
    assert not torch.allclose(net(x, factor), network(trained=False)(x, factor), atol=0.1)
    torch.testing.assert_close(net(300 * x - 1000, factor), 300 * net(x, factor) - 1000)
    constant = torch.full_like(x, -1000)
    blank = torch.full((2, 1, 9, resized_count(11, factor)), -1000.0).double()
    torch.testing.assert_close(net(constant, factor), blank)


def test_thickness_is_told_image_by_image():
    net, x = network(), image()
    together = net(x, 2, torch.tensor([0.7, 1.4]))
    torch.testing.assert_close(together[:1], net(x[:1], 2, 0.7))
    torch.testing.assert_close(together[1:], net(x[1:], 2, 1.4))
    assert not torch.allclose(together[:1], net(x[:1], 2, 1.4))


def test_a_factor_takes_the_next_larger_head():
    net = network()
    assert [net.head_of(s) for s in (1.2, 2, 2.01, 3, 3.5, 4, 5)] == [2, 2, 3, 3, 4, 4, 4]
    with pytest.raises(ValueError, match="at least 2"):
        type(net)(heads=())


def test_the_network_that_ships_is_small():
    count = sum(p.numel() for p in build_network("ThroughPlaneNetwork", {}).parameters())
    assert 100_000 < count < 300_000
