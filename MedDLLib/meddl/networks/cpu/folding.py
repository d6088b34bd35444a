"""Layers of a network in evaluation mode that become part of the layer before them, with the same output.

A batch normalization is then a fixed scale and shift of each channel, which a convolution's weights and bias take in
(B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
2018, doi:10.1109/CVPR.2018.00286, section 3.2); a rectifier is computed while the values are still in the processor's
cache.
"""

from collections import Counter
from collections.abc import Iterator

from torch import nn

from meddl.networks.cpu.fast_layers import FastConv3d, FastConvTranspose3d

_WITHOUT_EFFECT = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def fold(network: nn.Module) -> None:
    """Fold what follows directly within `torch.nn.Sequential`, or as a module's own `in_order` says.

    Layers that have several places stay as they are.
    """
    places = Counter(id(child) for module in network.modules() for child in module.children())
    for sequence in network.modules():
        before = None
        for owner, name, layer in list(_in_order(sequence)):
            if type(layer) in _WITHOUT_EFFECT:
                continue
            if before is not None and places[id(layer)] == places[id(before)] == 1 and _fold(layer, before):
                owner._modules[name] = nn.Identity()
            else:
                before = layer


def _in_order(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """(owner, name, layer) of a sequence's layers, those of sequences within it one by one."""
    if not _is_sequence(module):
        return
    layers = module.in_order() if hasattr(module, "in_order") else module.named_children()
    for name, child in layers:
        if _is_sequence(child):
            yield from _in_order(child)
        else:
            yield module, name, child


def _is_sequence(module: nn.Module) -> bool:
    return type(module).forward is nn.Sequential.forward or hasattr(module, "in_order")


def _fold(layer: nn.Module, before: nn.Module) -> bool:
    """Make `layer` part of the one before it, where it can be."""
    if getattr(before, "slope", None) != 1.0:  # it takes none, or has one already
        return False
    if isinstance(before, (FastConv3d, FastConvTranspose3d)) and type(layer) is nn.BatchNorm3d:
        return _scale(before, layer)
    if type(layer) is nn.PReLU and layer.num_parameters == 1:
        before.slope = float(layer.weight)
    elif type(layer) in (nn.LeakyReLU, nn.ReLU):
        before.slope = getattr(layer, "negative_slope", 0.0)
    else:
        return False
    return True


def _scale(convolution: nn.Module, norm: nn.BatchNorm3d) -> bool:
    if norm.running_mean is None or (convolution.transposed and convolution.groups > 1):
        return False
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight
    bias = -norm.running_mean if convolution.bias is None else convolution.bias - norm.running_mean
    bias = bias * scale if norm.bias is None else bias * scale + norm.bias
    weight = convolution.weight
    along = [1, -1] if convolution.transposed else [-1, 1]
    weight.copy_(weight * scale.reshape(*along, *[1] * (weight.ndim - 2)))
    convolution.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=False)
    return True
