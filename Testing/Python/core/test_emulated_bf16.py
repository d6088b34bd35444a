"""bf16 where the processor lacks it: rounded as hardware rounds it, fast, and nothing else is changed."""

import pytest
import torch
from torch import nn

from meddl.core.emulated_bf16 import EmulatedBfloat16

ROUNDING = 2**-8  # relative, of a bf16 number


def in_bf16(compute, *images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), EmulatedBfloat16(), torch.autocast("cpu", torch.bfloat16):
        return compute(*images)


def rounded(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [tensor.bfloat16().double() for tensor in tensors]


@pytest.mark.parametrize("layer", [
    nn.Conv3d(6, 8, 3, padding=1), nn.Conv3d(6, 4, 3, stride=2, bias=False), nn.Conv3d(6, 6, 3, groups=2),
    nn.ConvTranspose3d(6, 5, 2, stride=2), nn.Conv3d(6, 3, 1)])
def test_convolutions_are_those_of_rounded_numbers_rounded_once(layer):
    torch.manual_seed(0)
    image = torch.randn(2, 6, 7, 8, 9)
    found = in_bf16(layer, image)
    assert found.dtype == torch.bfloat16
    exact = layer.double()
    for parameter in exact.parameters():
        parameter.data = parameter.data.float().bfloat16().double()
    with torch.no_grad():
        expected = exact(*rounded(image))
    torch.testing.assert_close(found.double(), expected, rtol=ROUNDING, atol=1e-5)


@pytest.mark.parametrize("compute, shapes", [
    (torch.matmul, ((5, 70), (70, 4))), (torch.matmul, ((3, 5, 70), (3, 70, 4))),
    (nn.functional.linear, ((5, 70), (4, 70), (4,))), (torch.baddbmm, ((3, 5, 4), (3, 5, 70), (3, 70, 4)))])
def test_products_are_those_of_rounded_numbers_rounded_once(compute, shapes):
    torch.manual_seed(0)
    given = [torch.randn(shape) for shape in shapes]
    found = in_bf16(compute, *given)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), compute(*rounded(*given)), rtol=ROUNDING, atol=1e-5)


def test_scripts_that_were_recorded_are_computed_alike():
    torch.manual_seed(0)
    layers, image = nn.Sequential(nn.Conv3d(2, 4, 3), nn.ReLU(), nn.Conv3d(4, 2, 3)).eval(), torch.randn(1, 2, 9, 9, 9)
    expected = in_bf16(layers, image)
    for script in (torch.jit.trace(layers, image, check_trace=False), torch.jit.script(layers)):
        torch.testing.assert_close(in_bf16(script, image), expected)


def test_what_is_not_bf16_is_left_as_it_is():
    conv, image = nn.Conv3d(2, 4, 3), torch.randn(1, 2, 9, 9, 9)
    with torch.no_grad(), EmulatedBfloat16():
        found = conv(image)
    with torch.no_grad():
        assert torch.equal(found, conv(image))
    mixed = torch.randn(4, 4)
    with EmulatedBfloat16(), pytest.raises(RuntimeError):
        torch.mm(mixed, mixed.bfloat16())


def test_memory_stays_channels_last_as_hardware_leaves_it():
    image = torch.randn(2, 6, 7, 8, 9).contiguous(memory_format=torch.channels_last_3d)
    assert in_bf16(nn.Conv3d(6, 8, 3), image).is_contiguous(memory_format=torch.channels_last_3d)
