"""Blocks of MONAI's networks that a CPU can compute in fewer passes through memory, with the same output."""

from functools import partial

import torch
from torch import nn

from meddl.networks.cpu.exchange import exchange_layers
from meddl.networks.cpu.fast_layers import FastConv3d, FastGroupNorm, FastInstanceNorm3d, FastUpsample


def with_faster_blocks(network: nn.Module) -> nn.Module:
    """A network in evaluation mode with blocks of known layers exchanged; those of other versions stay as they are."""
    network = exchange_layers(network, _faster_kind)
    for block in network.modules():
        if _origin(type(block)) == "monai.networks.nets.swin_unetr.WindowAttention" and hasattr(
                block, "use_flash_attention"):
            block.use_flash_attention = True  # scores of all pairs of voxels are not held, but taken as they come
        elif isinstance(block, _Faster):
            for name in _OWN_INPUT & set(dict(block.named_children())):
                getattr(block, name).in_place = True
            if block.origin.endswith("SegResNet"):
                _prepare_segresnet(block)
    return network


class _Faster:
    """Base of the classes that take a block's place; `origin` names the block's own class."""

    origin = ""


def _faster_kind(block: nn.Module) -> type[nn.Module] | None:
    """The class of a block, with the forward pass of this file; None where it has none."""
    kind, origin = type(block), _origin(type(block))
    if origin not in _EXCHANGED or not _has_known_layers(block):
        return None
    return type(f"Fast{kind.__name__}", (_Faster, kind), {"forward": _EXCHANGED[origin], "origin": origin})


def _origin(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"


_OWN_INPUT = {"norm2", "norm3"}  # normalizations of what a convolution of the block gave


def _has_known_layers(block: nn.Module) -> bool:
    layers = dict(block.named_children())
    convolutions = [_plain(layer) for name, layer in layers.items() if name.startswith("conv") and name[4:].isdigit()]
    norms = [layer for name, layer in layers.items() if name.startswith("norm")]
    activations = [layer for name, layer in layers.items() if name.startswith(("act", "lrelu"))]
    return (all(type(layer) is FastConv3d for layer in convolutions)
            and all(type(layer) in (FastGroupNorm, FastInstanceNorm3d) for layer in norms)
            and all(type(layer) in (nn.ReLU, nn.LeakyReLU) for layer in activations))


def _plain(layer: nn.Module) -> nn.Module:
    """The layer itself where MONAI wraps it alone."""
    while isinstance(layer, nn.Sequential) and len(layer) == 1:
        layer = layer[0]
    return layer


def _slope(activation: nn.Module) -> float:
    return getattr(activation, "negative_slope", 0.0)


def _run_preactivated(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Of SegResNet: twice normalization, rectifier and convolution, beside the image itself."""
    first, second = (block.act, block.act) if hasattr(block, "act") else (block.act1, block.act2)
    found = _plain(block.conv1).of_normalized(block.norm1, x, _slope(first))
    result = x if getattr(block, "over_input", False) else x.clone()
    return _plain(block.conv2).of_normalized(block.norm2, found, _slope(second), added_to=result)


def _basic(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return _basic_rest(block, block.conv1(x))


def _basic_rest(block: nn.Module, found: torch.Tensor) -> torch.Tensor:
    found = _plain(block.conv2).of_normalized(block.norm1, found, _slope(block.lrelu))
    return block.norm2.rectify(found, _slope(block.lrelu))


def _residual(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return _residual_rest(block, block.conv1(x), block.conv3(x) if hasattr(block, "conv3") else x)


def _residual_rest(block: nn.Module, found: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
    found = _plain(block.conv2).of_normalized(block.norm1, found, _slope(block.lrelu))
    found = block.norm2(found)
    found += block.norm3(beside) if hasattr(block, "norm3") else beside
    return nn.functional.leaky_relu_(found, _slope(block.lrelu))


def _up(block: nn.Module, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """Of networks with skips: what comes from below, twice as fine, and the skip are convolved together."""
    inner, larger = block.conv_block, block.transp_conv(x)
    if type(inner).forward not in (_basic, _residual) or not _plain(inner.conv1).takes_pairs(larger):
        return inner(torch.cat((larger, skip), dim=1))
    pair = partial(_of_pair, larger, skip)
    if hasattr(inner, "conv3"):
        return _residual_rest(inner, pair(inner.conv1), pair(inner.conv3))
    return _basic_rest(inner, pair(inner.conv1))


def _of_pair(first: torch.Tensor, second: torch.Tensor, layer: nn.Module) -> torch.Tensor:
    return _plain(layer).of_pair(lambda: first, [second])


def _segresnet(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x, skips = network.convInit(x), []
    for down in network.down_layers:
        x = down(x)
        skips.append(x)
    skips.pop()
    for up, blocks in zip(network.up_samples, network.up_layers, strict=True):
        for layer in up[:-1]:
            x = layer(x)
        last = _plain(up[-1])
        x = last.add_to(skips.pop(), x) if isinstance(last, FastUpsample) else last(x).add_(skips.pop())
        x = blocks(x)
    return network.conv_final(x) if network.use_conv_final else x


def _prepare_segresnet(network: nn.Module) -> None:
    """Nothing else reads what goes into its blocks and into its last normalization."""
    for blocks in (*(layers[1:] for layers in network.down_layers), *network.up_layers):
        for block in blocks:
            block.over_input = True
    if network.use_conv_final:
        network.conv_final[0].in_place = True


_EXCHANGED = {
    "monai.networks.blocks.segresnet_block.ResBlock": _run_preactivated,
    "monai.networks.nets.segresnet_ds.SegResBlock": _run_preactivated,
    "monai.networks.blocks.dynunet_block.UnetBasicBlock": _basic,
    "monai.networks.blocks.dynunet_block.UnetResBlock": _residual,
    "monai.networks.blocks.dynunet_block.UnetUpBlock": _up,
    "monai.networks.blocks.unetr_block.UnetrUpBlock": _up,
    "monai.networks.nets.segresnet.SegResNet": _segresnet,
}
