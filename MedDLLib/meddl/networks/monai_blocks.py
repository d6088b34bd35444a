"""Blocks of MONAI's networks that a CPU can compute in fewer passes through memory, with the same answer."""

import torch
from torch import nn


def use_faster_blocks(network: nn.Module) -> None:
    """Exchange the blocks of a network in evaluation mode whose layers are known; other versions' stay as they are."""
    for block in network.modules():
        origin = f"{type(block).__module__}.{type(block).__name__}"
        layers = {name for name, _ in block.named_children()}
        if origin == "monai.networks.nets.swin_unetr.WindowAttention" and hasattr(block, "use_flash_attention"):
            block.use_flash_attention = True  # scores of all pairs of voxels are not held, but taken as they come
        elif origin == "monai.networks.blocks.segresnet_block.ResBlock" and layers == _PREACTIVATED:
            _exchange(block, _preactivated)
        elif origin == "monai.networks.blocks.dynunet_block.UnetResBlock" and layers in (_RESIDUAL, _RESIDUAL | _SKIP):
            _exchange(block, _residual)


_PREACTIVATED = {"norm1", "norm2", "act", "conv1", "conv2"}
_RESIDUAL = {"norm1", "norm2", "lrelu", "conv1", "conv2"}
_SKIP = {"norm3", "conv3"}


def _exchange(block: nn.Module, forward) -> None:
    """Give a block another forward; its normalizations may write over what a convolution of the block gave."""
    kind = type(block)
    block.__class__ = type(f"Fast{kind.__name__}", (kind,), {"forward": forward})
    for name in ("norm2", "norm3") if forward is _residual else ("norm2",):
        if hasattr(block, name):
            getattr(block, name).in_place = True
    if forward is _residual:
        block.norm1.in_place = True


def _preactivated(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    found = block.conv1(_normalized(block.norm1, x, block.act))
    return block.conv2(_normalized(block.norm2, found, block.act)).add_(x)


def _residual(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    found = _normalized(block.norm1, block.conv1(x), block.lrelu)
    found = block.norm2(block.conv2(found))
    skip = block.norm3(block.conv3(x)) if hasattr(block, "conv3") else x
    return block.lrelu(found.add_(skip))


def _normalized(norm: nn.Module, x: torch.Tensor, activation: nn.Module) -> torch.Tensor:
    """The normalized and activated image, in one pass where the layers can."""
    if type(activation) not in (nn.ReLU, nn.LeakyReLU) or not hasattr(norm, "activated"):
        return activation(norm(x))
    return norm.activated(x, getattr(activation, "negative_slope", 0.0))
