"""Structured pruning: a network with fewer channels, that begins with the weights of those channels that count most.

Which channels belong together is seen by following them through the network once: what is added has one choice of
channels, what is concatenated keeps each part's own. A channel counts as its scale after normalization (Z. Liu et al.,
ICCV 2017, doi:10.1109/ICCV.2017.298) times the sum of the absolute weights that read it (H. Li et al., ICLR 2017,
arXiv:1608.08710).
"""

import math
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from meddl.core.errors import ModelError
from meddl.networks import build_network

# The argument of each architecture that says how many channels its stages have.
WIDTHS = {"monai.DynUNet": "filters", "monai.UNet": "channels", "monai.SegResNet": "init_filters",
          "monai.BasicUNet": "features", "PlainConvUNet": "features", "ResidualEncoderUNet": "features"}
_GROUPS = 8  # channels of a group normalization come in multiples of its groups
_CONVOLUTIONS = {torch.conv1d, torch.conv2d, torch.conv3d}
_TRANSPOSED = {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}
_GROUPS_ARGUMENT = 6  # of both kinds of convolutions


def narrower_arguments(architecture: str, arguments: dict, fraction: float) -> dict:
    """The arguments of a network with about this fraction of the channels.

    Raises:
        ModelError: the architecture has no widths to choose.
    """
    if architecture not in WIDTHS:
        raise ModelError(f"Channels of the network {architecture} cannot be pruned. What can: "
                         f"{', '.join(sorted(WIDTHS))}.")
    key = WIDTHS[architecture]
    if arguments.get(key) is None:
        raise ModelError(f"The card does not say how many channels the network has ('{key}').")
    widths = arguments[key] if isinstance(arguments[key], (list, tuple)) else [arguments[key]]
    step = _GROUPS if all(width % _GROUPS == 0 for width in widths) else 1
    narrower: dict[int, int] = {}
    least = step
    for width in sorted(set(widths)):  # stages of different widths stay so: others have other layers
        narrower[width] = max(least, step * round(width * fraction / step))
        least = narrower[width] + step
    found = [narrower[width] for width in widths]
    return arguments | {key: found if isinstance(arguments[key], (list, tuple)) else found[0]}


def prune(network: nn.Module, architecture: str, arguments: dict, image: torch.Tensor) -> nn.Module:
    """A network of these arguments, narrower than the given one, with the weights of its channels that count most.

    Args:
        network: of the same architecture.
        image: (1, C, ...) that it takes.

    Raises:
        ModelError: its layers are not of the kinds whose channels can be followed.
    """
    student = build_network(architecture, arguments)
    trace = _Trace(network, image)
    with torch.no_grad(), trace:
        network(image)
    own, wanted = network.state_dict(), student.state_dict()
    counted = trace.importance(own)
    chosen: dict[int, bool] = {}
    for name, axes in trace.axes.items():
        if name in trace.written:  # a convolution's own outputs
            roots = [trace.root(channel) for channel in axes[trace.written[name]]]
            count = wanted[name].shape[trace.written[name]]
            best = sorted(roots, key=lambda root: -counted.get(root, 0.0))[:count]
            chosen |= {root: root in set(best) for root in roots}
    pruned: dict[str, torch.Tensor] = {}
    for name, tensor in own.items():
        if name not in trace.axes and tensor.shape != wanted[name].shape:  # not used for the scores
            pruned[name] = wanted[name]
            continue
        for axis, channels in enumerate(trace.axes.get(name, ())):
            index = [n for n, one in enumerate(channels) if chosen.get(trace.root(one), True)]
            tensor = tensor.index_select(axis, torch.tensor(index, dtype=torch.long))
        if tensor.shape != wanted[name].shape:
            raise ModelError(f"Channels of the network {architecture} cannot be pruned: '{name}' depends on them in a "
                             "way that is not known.")
        pruned[name] = tensor.clone()
    student.load_state_dict(pruned)
    return student


class _Trace(TorchFunctionMode):
    """Follows each channel from the convolution that writes it to all weights that read it.

    Attributes:
        axes: by name of a parameter or buffer, for each of its leading axes the channels along it.
        written: by name of a convolution's weight, the axis of its outputs.
    """

    def __init__(self, network: nn.Module, image: torch.Tensor):
        super().__init__()
        self.axes: dict[str, tuple[list[int], ...]] = {}
        self.written: dict[str, int] = {}
        self._names: dict[int, list[str]] = {}
        for named in (network.named_parameters, network.named_buffers):
            for name, tensor in named(remove_duplicate=False):
                self._names.setdefault(id(tensor), []).append(name)
        self._parents: list[int] = []
        self._alive: list[torch.Tensor] = [image]  # so that no other tensor gets its identity
        self._channels = {id(image): self._new(image.shape[1])}

    def root(self, channel: int) -> int:
        """The one channel that stands for all that were added to each other."""
        while self._parents[channel] != channel:
            channel = self._parents[channel]
        return channel

    def importance(self, weights: dict[str, torch.Tensor]) -> dict[int, float]:
        """How much each channel counts, by its root."""
        scales: dict[int, float] = {}
        reads: dict[int, float] = {}
        for name, axes in self.axes.items():
            tensor = weights[name].float().abs()
            if name in self.written:
                axis = 1 - self.written[name]
                sums = tensor.sum(dim=[n for n in range(tensor.ndim) if n != axis])
                _add(reads, axes[axis], sums, self.root)
            elif name.endswith(".weight"):  # of a normalization
                _add(scales, axes[0], tensor, self.root)
        return {root: value * scales.get(root, 1.0) for root, value in reads.items()}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        known = [self._channels[id(one)] for one in _tensors((args, kwargs)) if id(one) in self._channels]
        result = func(*args, **kwargs)
        if not isinstance(result, torch.Tensor) or not known:
            return result
        if func in _CONVOLUTIONS or func in _TRANSPOSED:
            channels = self._convolve(func in _TRANSPOSED, known[0], args, kwargs)
        elif func in (torch.cat, torch.concat) and (args[1] if len(args) > 1 else kwargs.get("dim", 0)) == 1:
            channels = [one for part in known for one in part]
        else:
            channels = self._unite(known)
            for one in _tensors((args[1:], kwargs)):
                for name in self._names.get(id(one), ()) if one.ndim == 1 and len(one) == len(channels) else ():
                    self.axes[name] = (channels,)
        if result.ndim > 2 and result.shape[1] == len(channels):
            self._alive.append(result)
            self._channels[id(result)] = channels
        return result

    def _convolve(self, transposed: bool, inputs: list[int], args: tuple, kwargs: dict) -> list[int]:
        weight, bias = args[1], args[2] if len(args) > 2 else kwargs.get("bias")
        if (args[_GROUPS_ARGUMENT] if len(args) > _GROUPS_ARGUMENT else kwargs.get("groups", 1)) != 1:
            raise ModelError("Channels of grouped convolutions cannot be pruned.")
        outputs = self._new(weight.shape[1 if transposed else 0])
        for name in self._names.get(id(weight), ()):
            self.axes[name] = (inputs, outputs) if transposed else (outputs, inputs)
            self.written[name] = 1 if transposed else 0
        for name in () if bias is None else self._names.get(id(bias), ()):
            self.axes[name] = (outputs,)
        return outputs

    def _unite(self, known: list[list[int]]) -> list[int]:
        first = known[0]
        for other in known[1:]:
            if len(other) == len(first):
                for one, two in zip(first, other, strict=True):
                    self._parents[self.root(two)] = self.root(one)
        return first

    def _new(self, count: int) -> list[int]:
        begin = len(self._parents)
        self._parents += range(begin, begin + count)
        return list(range(begin, begin + count))


def _add(sums: dict[int, float], channels: list[int], values: torch.Tensor, root) -> None:
    for channel, value in zip(channels, values.tolist(), strict=True):
        sums[root(channel)] = sums.get(root(channel), 0.0) + value


def _tensors(content: Any) -> list[torch.Tensor]:
    """All tensors in tuples, lists and dicts, in their order."""
    if isinstance(content, torch.Tensor):
        return [content]
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, (tuple, list)) else ()
    return [one for part in parts for one in _tensors(part)]


def parameters_of(network: nn.Module) -> int:
    """How many numbers a network has learned."""
    return sum(math.prod(one.shape) for one in network.parameters())
