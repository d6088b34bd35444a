"""A GPU that is none: runs what is written for one on the CPU, counts its memory, and refuses what a GPU would refuse.

    with PretendedGpu() as gpu:
        meddl.register(fixed, moving, device=gpu.name)
    gpu.memory.peak, gpu.waits, gpu.uploads

Tensors moved to the device `pretended`, or made there, say that they lie there and hold a CPU tensor, which does the
work. As on a GPU, an operation on one of them and on a tensor in the main memory is an error, and so is a view of it as
an array; `.cpu()` and `.to()` copy. What a GPU needs beyond its tensors is not in the count: a CUDA run adds the
context (some hundred MB), the caching allocator's rounding and fragments, and the workspaces of cuBLAS and cuDNN. Nor
does it tell whether CUDA has each operation.

It counts, by the line that asks, where a program would wait for a GPU: what brings values into the main memory, what
has a shape that depends on values, and copies to it from memory that is not pinned.

torch's device "PrivateUse1" is used, with its experimental support for devices written in Python.
"""

from __future__ import annotations

from collections import Counter

import torch
from tensor_memory import TensorMemory, calling_line
from torch.overrides import TorchFunctionMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "pretended"
# Operations that may have a tensor in the main memory beside one on a GPU.
_ACROSS = {"copy_", "_copy_from", "index", "index_put_", "index_put", "_index_put_impl_"}
# Operations that wait for a GPU: their result is a number for Python, or its size depends on values.
_WAITING = {"_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "unique_dim",
            "unique_consecutive", "bincount", "repeat_interleave"}
_library: torch.library.Library | None = None
_running: list[PretendedGpu] = []  # those that are counting


class _Module(_DummyBackendModule):
    """What torch asks a device about itself."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


class _Generator(torch.Generator):
    """Random numbers for the device, made on the CPU."""

    device = torch.device("cpu")  # until the device has a name

    def __new__(cls, device="cpu"):
        made = super().__new__(cls)
        made.device = torch.device(device)
        return made


class OnDevice(torch.Tensor):
    """A tensor on the pretended GPU; `inner` is the CPU tensor that it stands for."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnDevice:
        with torch.inference_mode(False):  # which takes no wrappers
            made = torch.Tensor._make_wrapper_subclass(
                cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
                device=torch.device(NAME, 0))
        made.inner = inner
        for gpu in _running:
            gpu.memory.show(inner)
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, *args, **(kwargs or {}))

    def __repr__(self) -> str:
        return f"OnDevice({self.inner!r})"


class PretendedGpu(TorchFunctionMode):
    """The device, for as long as the context lasts.

    Attributes:
        name: what torch calls the device.
        memory: what its tensors take. `folder` is that of `TensorMemory`.
        operations: how many were done there.
        waits: how often a line had the program wait for results, by line and operation.
        uploads: how often one copied to the device, likewise; pinned memory aside, the program waits for that too.
    """

    name = NAME

    def __init__(self, folder: str = "meddl", breaks_after: int | None = None, message: str = ""):
        """`breaks_after`: of so many operations; every later one raises a RuntimeError with `message`."""
        super().__init__()
        self.operations, self._breaks_after, self._message = 0, breaks_after, message
        self.memory = TensorMemory(folder)
        self.waits: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()

    def operate(self) -> None:
        """Count an operation.

        Raises:
            RuntimeError: the device is broken.
        """
        self.operations += 1
        if self._breaks_after is not None and self.operations > self._breaks_after:
            raise RuntimeError(self._message)

    def __enter__(self) -> PretendedGpu:
        global _library  # torch takes a device once a process
        if _library is None:
            _setup_privateuseone_for_python_backend(NAME, _Module())
            _library = torch.library.Library("_", "IMPL")
            _library.fallback(_run, "PrivateUse1")
        _running.append(self)
        torch.Generator, self._generator = _Generator, torch.Generator
        return super().__enter__()

    def __exit__(self, *error) -> None:
        _running.remove(self)
        torch.Generator = self._generator
        super().__exit__(*error)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # Making a tensor of Python's numbers, and reading it as such, goes past the dispatcher of operations.
        if func is torch.Tensor.new_tensor and isinstance(args[0], OnDevice):
            return torch.tensor(*args[1:], dtype=args[0].dtype).to(args[0].device)
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            return func(*args, **{**kwargs, "device": None}).to(kwargs["device"])
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and isinstance(args[0], OnDevice):
            args = (args[0], _of_tensors(args[1]), *args[2:])
        if func is torch.Tensor.tolist and isinstance(args[0], OnDevice):
            _count("tolist", "waits")
            return args[0].inner.tolist()
        return func(*args, **kwargs)


def _run(func, *args, **kwargs):
    """An operation by the CPU tensors within; what it gives lies on the device if its inputs do, or it shall."""
    ours, others = [], []

    def inner(tensor: torch.Tensor) -> torch.Tensor:
        if isinstance(tensor, OnDevice):
            ours.append(tensor)
            return tensor.inner
        others.append(tensor)
        return tensor

    to_there = bool(args) and isinstance(args[0], OnDevice)
    args, kwargs = _mapped(inner, args), _mapped(inner, kwargs)
    given = next((part for part in args if isinstance(part, torch.device)), kwargs.get("device"))
    device = None if given is None else torch.device(given)
    there = bool(ours) if device is None else device.type == NAME
    name = func.__name__.partition(".")[0]
    leaves = device is not None and not there
    if ours and name not in _ACROSS and any(tensor.ndim for tensor in others):
        raise RuntimeError(f"Expected all tensors to be on the same device: {name} got some on {NAME}, some on cpu.")
    for gpu in _running if ours or there else ():
        gpu.operate()
    across = name == "copy_" and len(ours) == 1
    _count_waits(name, args, waits=across and not to_there or leaves and bool(ours),
                 uploads=across and to_there or name == "_to_copy" and there and not ours)
    if there and device is not None:
        args = tuple(torch.device("cpu") if isinstance(part, torch.device) else part for part in args)
        kwargs = {key: torch.device("cpu") if key == "device" else part for key, part in kwargs.items()}
    found = func(*args, **kwargs)
    known = {id(tensor.inner): tensor for tensor in ours}

    def outer(tensor: torch.Tensor) -> torch.Tensor:
        same = known.get(id(tensor))
        if same is not None and leaves:
            return tensor.clone()
        if same is not None:
            if (same.shape, same.stride()) != (tensor.shape, tensor.stride()):  # changed in place
                same.data = OnDevice(tensor)
            return same
        if not there or name == "copy_":  # which gives its target, and that knows where it is
            return tensor
        # a conjugate that torch has only marked as one is lost on the way in
        return OnDevice(torch.conj_physical(torch._conj(tensor)) if tensor.is_conj() else tensor)

    return _mapped(outer, found)


def _count_waits(name: str, args: tuple, waits: bool, uploads: bool) -> None:
    """Count an operation that has a GPU's program wait; `args` holds the CPU tensors already."""
    by_mask = name in ("index", "index_put_", "_index_put_impl_") and any(
        isinstance(part, torch.Tensor) and part.dtype == torch.bool for part in args[1])
    if waits or by_mask or name in _WAITING:
        _count(name, "waits")
    elif uploads:
        _count(name, "uploads")


def _count(name: str, kind: str) -> None:
    for gpu in _running:
        getattr(gpu, kind)[f"{calling_line(gpu.memory.folder)}: {name}"] += 1


def _of_tensors(index):
    """An index whose lists are tensors."""
    if isinstance(index, tuple):
        return tuple(_of_tensors(part) for part in index)
    return torch.tensor(index) if isinstance(index, list) else index


def _mapped(change, value):
    """`value` with `change` done to all tensors in it, whatever tuples, lists and dictionaries they lie in."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (tuple, list)):
        return type(value)([_mapped(change, part) for part in value])
    return {key: _mapped(change, part) for key, part in value.items()} if isinstance(value, dict) else value
