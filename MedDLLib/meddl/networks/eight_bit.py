"""Weights in 8 bits: whole numbers from -127 to 127, and for each channel of the first axis a scale.

Symmetric quantization per channel (M. Nagel et al., "A White Paper on Neural Network Quantization", 2021,
arXiv:2106.08295). Networks still compute with floating-point numbers: what gets smaller is the file.
"""

from collections.abc import Mapping

import torch

SCALE = ".scale_of_8_bits"
_MOST = 127
_LEAST_NUMBERS = 64  # of a tensor: fewer are not worth it


def quantize(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of convolutions and the like as int8 (O, ...) with a float32 scale (O,) each; others stay."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.ndim < 2 or tensor.numel() < _LEAST_NUMBERS:
            found[name] = tensor
            continue
        rows = tensor.detach().float().flatten(1)
        scale = rows.abs().amax(dim=1).clamp_min(1e-30) / _MOST
        found[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(tensor.shape)
        found[name + SCALE] = scale
    return found


def dequantize(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights in float32; those that are not in 8 bits stay."""
    found = {}
    for name, tensor in tensors.items():
        if name.endswith(SCALE):
            continue
        scale = tensors.get(name + SCALE)
        found[name] = tensor if scale is None else tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))
    return found
