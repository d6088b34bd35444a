"""Networks made ready for inference, with convolutions and normalizations that a CPU runs faster than torch's choice.

In float32, torch takes a slow general loop for 3D convolutions of one small image, and for kernels of one voxel on one
thread, where oneDNN would be several times faster; its normalizations either copy an image that is channels-last or
sum it in one long, inexact chain. The modules here give the same answer and keep the memory channels-last.
"""

import torch
from torch import nn

from meddl.networks.normalization import channels_last_norm


def ready_for_inference(network: nn.Module, device: torch.device) -> nn.Module:
    """The network itself, on the device, in evaluation mode, channels-last, without gradients, its layers exchanged.

    Only layers of exactly torch's own kinds are exchanged; parameters stay where they are. On other devices, in other
    types than float32 and where torch lacks oneDNN the layers compute as torch's do.
    """
    volumes = any(parameter.ndim == 5 for parameter in network.parameters())
    layout = torch.channels_last_3d if volumes else torch.channels_last
    network = network.to(device, memory_format=layout).eval().requires_grad_(False)
    for layer in network.modules():
        layer.__class__ = _FASTER.get(type(layer), type(layer))  # the same parameters, another forward
    return network


class FastConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` by oneDNN at every size."""

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not (_plain_cpu(x) and weight.dtype == torch.float32 and self.padding_mode == "zeros"
                and not isinstance(self.padding, str) and x.ndim == 5 and _has_onednn()):
            return super()._conv_forward(x, weight, bias)
        return torch.ops.aten.mkldnn_convolution(
            x.contiguous(memory_format=torch.channels_last_3d), weight, bias,
            self.padding, self.stride, self.dilation, self.groups)


class FastInstanceNorm3d(nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` that leaves its input's memory channels-last.

    Attributes:
        in_place: write the answer over the input; set on a layer whose input nothing else reads.
    """

    in_place = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.track_running_stats or not _runs_by_rows(x):
            return super().forward(x)
        return channels_last_norm(x, x.shape[1], self.weight, self.bias, self.eps, self.in_place)


class FastGroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm`, as exact for channels-last memory as for any other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not _runs_by_rows(x):
            return super().forward(x)
        return channels_last_norm(x, self.num_groups, self.weight, self.bias, self.eps)


_FASTER = {nn.Conv3d: FastConv3d, nn.InstanceNorm3d: FastInstanceNorm3d, nn.GroupNorm: FastGroupNorm}


def _plain_cpu(x: torch.Tensor) -> bool:
    return (x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
            and not x.requires_grad)


def _runs_by_rows(x: torch.Tensor) -> bool:
    return (_plain_cpu(x) and x.ndim == 5 and x.shape[1] > 1
            and x.is_contiguous(memory_format=torch.channels_last_3d))


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.aten, "mkldnn_convolution")
