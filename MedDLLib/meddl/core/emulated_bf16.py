"""bf16 on processors without instructions for it, with the rounding of those that have them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

_aten = torch.ops.aten
_OPERATIONS = {_aten.convolution, _aten._convolution, _aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm}


class EmulatedBfloat16(TorchDispatchMode):
    """Within it, products and convolutions of bf16 numbers are summed in float32 and rounded to bf16 at the end.

    So do AMX and AVX512-BF16. Torch itself emulates them by plain loops, a hundred times slower.
    """

    def __torch_dispatch__(self, operation: torch._ops.OpOverload, types: Sequence[type], args: tuple[Any, ...] = (),
                           kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if operation.overloadpacket not in _OPERATIONS or not _all_bf16(args):
            return operation(*args, **kwargs)
        args, kwargs = tree_map_only(torch.Tensor, torch.Tensor.float, (args, kwargs))
        return operation(*args, **kwargs).bfloat16()


def _all_bf16(args: tuple) -> bool:
    return all(value.dtype == torch.bfloat16 for value in args if isinstance(value, torch.Tensor))
