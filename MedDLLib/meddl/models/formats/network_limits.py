"""Networks are built in proportion to the weights that are to fill them; what a file asks for beyond is refused."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch.nn.modules import module as modules
from torch.overrides import TorchFunctionMode

from meddl.core.errors import ModelError

# Beyond these shares of the weights: buffers, layers without weights, and parts that a checkpoint leaves out.
_ELEMENTS, _SPARE_ELEMENTS = 4, 1 << 22
_MODULES, _SPARE_MODULES = 64, 4096
_FACTORIES = {"empty", "zeros", "ones", "full", "rand", "randn", "arange", "linspace"}
_RANDOM = {"uniform_", "normal_"}


@contextmanager
def in_proportion(tensors: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Networks that are built within may have as many elements and layers as goes with these weights.

    Random numbers are not drawn: the weights will take their place.

    Raises:
        ModelError: a network is far larger than the weights.
    """
    limits = _Limits(sum(tensor.numel() for tensor in tensors.values()), len(tensors))
    handle = modules.register_module_module_registration_hook(lambda *_: limits.take_module())
    try:
        with limits:
            yield
    finally:
        handle.remove()


class _Limits(TorchFunctionMode):
    def __init__(self, elements: int, tensors: int):
        super().__init__()
        self._elements = _ELEMENTS * elements + _SPARE_ELEMENTS
        self._modules = _MODULES * tensors + _SPARE_MODULES

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _RANDOM and args:
            return args[0]
        if name in _FACTORIES:
            self._elements -= _requested_elements(name, args, kwargs or {})
            if self._elements < 0:
                raise _too_large()
        return func(*args, **(kwargs or {}))

    def take_module(self) -> None:
        self._modules -= 1
        if self._modules < 0:
            raise _too_large()


def _requested_elements(name: str, args: tuple, kwargs: dict) -> int:
    """How many elements a call of a factory would make, about."""
    if name in ("arange", "linspace"):
        numbers = [value for value in args if isinstance(value, (int, float))]
        return int(max(map(abs, numbers), default=0))
    shape: Any = kwargs.get("size", args[:1] if name == "full" else args)
    while isinstance(shape, (tuple, list)) and len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    sizes = [value for value in shape if isinstance(value, int)] if isinstance(shape, (tuple, list)) else [0]
    return max(prod(sizes), 0)


def _too_large() -> ModelError:
    return ModelError("The network that the model describes is far larger than its weights. It was not built.")
