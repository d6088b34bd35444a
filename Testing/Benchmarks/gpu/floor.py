"""The least time that a run can take: its operations over the device's rate, its bytes over its bandwidth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from gpu.machine import Ceilings


@dataclass
class Work:
    """What a run computed.

    Attributes:
        flops: operations of convolutions and matrix products, by the type of their numbers.
        layer_bytes: inputs, weights and outputs of these, each read or written once.
        all_bytes: the same of all operations as they are written: what fusing them would save is in it.
    """

    flops: Counter = field(default_factory=Counter)
    layer_bytes: int = 0
    all_bytes: int = 0

    def floor(self, ceilings: Ceilings, mode: str = "float32") -> dict:
        """Least seconds by operations and bytes; numbers in float32 count as `mode` where that is tf32."""
        names = {"float32": "tf32" if mode == "tf32" else "float32"}
        by_flops = sum(count / ceilings.flops.get(names.get(kind, kind), ceilings.flops["float32"])
                       for kind, count in self.flops.items())
        by_bytes = self.layer_bytes / ceilings.bytes
        return {"gigaflops": {kind: round(count / 1e9, 3) for kind, count in self.flops.items()},
                "layer_gigabytes": self.layer_bytes / 1e9, "all_gigabytes": self.all_bytes / 1e9,
                "operations_s": by_flops, "layer_bytes_s": by_bytes, "floor_s": max(by_flops, by_bytes),
                "as_written_s": max(by_flops, self.all_bytes / ceilings.bytes)}


class WorkCounter(TorchDispatchMode):
    """Counts the work on one device that is done within its context."""

    def __init__(self, device: torch.device):
        super().__init__()
        self.device, self.work = device, Work()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        counts = flop_registry.get(func._overloadpacket)
        if counts is None and func is not torch.ops.prim.device.default:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if getattr(func, "is_view", False):
            return out
        held = [part for part in tree_leaves((args, kwargs, out)) if isinstance(part, torch.Tensor)
                and part.device.type == self.device.type]
        count = sum(part.numel() * part.element_size() for part in held)
        self.work.all_bytes += count
        if counts is not None and held:
            self.work.layer_bytes += count
            self.work.flops[str(held[0].dtype).removeprefix("torch.")] += counts(*args, **kwargs, out_val=out)
        return out
