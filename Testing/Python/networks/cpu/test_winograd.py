"""Convolutions in half the multiplications give the direct convolution's answer."""

import numpy as np
import pytest
import torch

from meddl.networks.cpu import winograd
from meddl.networks.cpu.normalization import Scaling

ONE = (1, 1, 1)
PLAIN = winograd.Geometry(ONE, ONE, ONE)
LAYOUT = torch.channels_last_3d


def image_and_weight(shape=(12, 10, 14), inside=(3, 3), channels=(16, 24), batch=1):
    torch.manual_seed(0)
    image = torch.randn(batch, channels[0], *shape).contiguous(memory_format=LAYOUT)
    weight = torch.randn(channels[1], channels[0], 3, *inside) / (channels[0] * 3 * inside[0] * inside[1])**0.5
    return image, weight, torch.randn(channels[1])


def direct(image, weight, bias, padding, stride=ONE, dilation=ONE):
    return torch.nn.functional.conv3d(image.double(), weight.double(), None if bias is None else bias.double(), stride,
                                      padding, dilation)


def assert_same(found, expected):
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=LAYOUT)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=5e-5)


@pytest.fixture(autouse=True)
def small_images_too(monkeypatch):
    monkeypatch.setattr(winograd, "_PRODUCTS_WORTH_IT", 0)


@pytest.mark.parametrize("slices", [12, 13, 14, 15, 16, 27])
def test_any_number_of_slices_gives_the_direct_answer(slices):
    image, weight, bias = image_and_weight((slices, 10, 14))
    assert winograd.saves(image, weight, PLAIN, 1)
    assert_same(winograd.convolve(image, weight, bias, PLAIN), direct(image, weight, bias, ONE))


@pytest.mark.parametrize(("inside", "padding", "stride", "dilation"), [
    ((3, 3), (1, 0, 2), ONE, ONE), ((1, 3), (1, 0, 1), ONE, ONE), ((5, 3), (1, 2, 1), (1, 2, 2), ONE),
    ((3, 3), (1, 2, 2), ONE, (1, 2, 2)), ((1, 1), (1, 0, 0), ONE, ONE)])
def test_within_slices_kernel_padding_stride_and_dilation_are_free(inside, padding, stride, dilation):
    image, weight, bias = image_and_weight(inside=inside)
    assert winograd.saves(image, weight, winograd.Geometry(padding, stride, dilation), 1)
    assert_same(winograd.convolve(image, weight, bias, winograd.Geometry(padding, stride, dilation)),
                direct(image, weight, bias, padding, stride, dilation))


def test_images_of_a_batch_are_convolved_one_by_one_and_a_bias_may_lack():
    image, weight, _ = image_and_weight(batch=3)
    assert_same(winograd.convolve(image, weight, None, PLAIN), direct(image, weight, None, ONE))


def test_an_answer_is_added_to_an_image_and_activated_after_that():
    image, weight, bias = image_and_weight()
    start = torch.randn(1, 24, 12, 10, 14).contiguous(memory_format=LAYOUT)
    expected = torch.nn.functional.leaky_relu(start.double() + direct(image, weight, bias, ONE), 0.1)
    found = winograd.convolve(image, weight, bias, PLAIN, into=start, slope=0.1)
    assert found is start
    assert_same(found, expected)


def test_tiles_that_are_treated_at_once_do_not_change_the_answer(monkeypatch):
    image, weight, bias = image_and_weight((22, 10, 14))
    expected = winograd.convolve(image, weight, bias, PLAIN)
    monkeypatch.setattr(winograd, "_NUMBERS_AT_ONCE", 1)
    torch.testing.assert_close(winograd.convolve(image, weight, bias, PLAIN), expected, rtol=0, atol=1e-6)


def test_a_constant_image_keeps_its_exact_level_away_from_the_edges():
    weight = torch.full((16, 16, 3, 3, 3), 1 / 432)
    image = torch.full((1, 16, 16, 12, 12), 1000.0).contiguous(memory_format=LAYOUT)
    found = winograd.convolve(image, weight, None, PLAIN)
    torch.testing.assert_close(found[:, :, 1:-1, 1:-1, 1:-1], torch.full((1, 16, 14, 10, 10), 1000.0), rtol=2e-6,
                               atol=0)


@pytest.mark.parametrize("change", [
    {"groups": 2}, {"stride": (2, 1, 1)}, {"dilation": (2, 1, 1)}, {"padding": (0, 1, 1)}, {"channels": (8, 24)},
    {"channels": (16, 3)}, {"shape": (5, 40, 40)}])
def test_what_it_cannot_do_or_would_not_gain_by_is_left_to_others(change):
    image, weight, _ = image_and_weight(change.get("shape", (12, 10, 14)), channels=change.get("channels", (16, 24)))
    places = [change.get(name, ONE) for name in ("padding", "stride", "dilation")]
    assert not winograd.saves(image, weight, winograd.Geometry(*places), change.get("groups", 1))


def test_small_images_are_left_to_others(monkeypatch):
    image, weight, _ = image_and_weight()
    monkeypatch.undo()
    assert not winograd.saves(image, weight, PLAIN, 1)
    assert winograd.saves(*image_and_weight((28, 40, 40), channels=(32, 32))[:2], PLAIN, 1)


def test_rounding_is_about_that_of_a_direct_convolution():
    image, weight, _ = image_and_weight((16, 24, 24), channels=(48, 32))
    exact = direct(image, weight, None, ONE)
    plain = torch.ops.aten.mkldnn_convolution(image, weight, None, *PLAIN, 1)
    found = winograd.convolve(image, weight, None, PLAIN)
    assert float((found - exact).square().mean()) < 2.5 * float((plain - exact).square().mean())


def test_slices_that_are_scaled_on_the_way_give_the_answer_for_the_scaled_image():
    image, weight, bias = image_and_weight((15, 10, 14), batch=2)
    scalings = [Scaling(np.linspace(-1, 2, 16).astype(np.float32) * n, np.full(16, n, np.float32), 0.1)
                for n in (1, 2)]
    scaled = torch.stack([torch.nn.functional.leaky_relu(
        part * torch.from_numpy(s.scale)[:, None, None, None] + torch.from_numpy(s.shift)[:, None, None, None], 0.1)
        for part, s in zip(image, scalings, strict=True)])
    given = image.clone()
    found = winograd.convolve(image, weight, bias, PLAIN, before=scalings)
    assert_same(found, direct(scaled, weight, bias, ONE))
    assert torch.equal(image, given)
