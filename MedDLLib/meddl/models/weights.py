"""Weights from and to safetensors. Nothing else is opened: a safetensors file holds numbers and cannot run code."""

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from meddl.core.errors import ModelError
from meddl.models.formats.safetensors_header import read_safetensors_header
from meddl.networks.eight_bit import dequantize

_SHOWN = 5
_LONGEST_NAME = 100


def load_weights(path: str | Path, device: str | torch.device = "cpu") -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, in the types that they are stored in; those in 8 bits as float32.

    Raises:
        ModelError: missing, truncated, damaged, or another format (pickle, PyTorch, TorchScript, zip, text), which
            is named and never opened.
    """
    read_safetensors_header(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dequantize(load_file(str(path), device=str(device)))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"The weights '{path}' cannot be read: {error}. Install the model again.") from error


def save_weights(tensors: Mapping[str, torch.Tensor], path: str | Path, metadata: Mapping[str, str] | None = None,
                 dtype: torch.dtype | None = None) -> dict[str, str | int]:
    """Write tensors as safetensors, first under a temporary name, then moved into place.

    Args:
        metadata: text that goes into the header.
        dtype: type for the floating-point tensors (torch.float16 or bfloat16 for shipping); None keeps theirs.

    Returns:
        `{"file", "sha256", "bytes"}`, as a model card states them.

    Raises:
        ModelError: a value that is no tensor, or does not fit into `dtype`; a full disk. The earlier file is unchanged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    place = Path(path)
    ready = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise ModelError(f"Weights are tensors; '{name}' is a {type(tensor).__name__}.")
        kept = tensor.detach().to("cpu")
        if dtype is not None and kept.is_floating_point():
            cast = kept.to(dtype)
            if not torch.isfinite(cast).all() and torch.isfinite(kept).all():
                raise ModelError(f"'{name}' holds values too large for {dtype}. Use torch.bfloat16 or torch.float32.")
            kept = cast
        ready[name] = kept.clone(memory_format=torch.contiguous_format)  # safetensors stores no shared memory
    temporary = place.with_name(f".{uuid.uuid4().hex}.safetensors")
    try:
        save_file(ready, str(temporary), {str(k): str(v) for k, v in (metadata or {}).items()} or None)
        content = hashlib.sha256()
        with temporary.open("rb") as stream:
            while block := stream.read(1 << 20):
                content.update(block)
        size = temporary.stat().st_size
        read_safetensors_header(temporary)  # whose length says whether it is whole
        temporary.replace(place)
    except (SafetensorError, OSError, ModelError) as error:
        raise ModelError(f"The weights '{place}' could not be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return {"file": place.name, "sha256": content.hexdigest(), "bytes": size}


def load_into(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy tensors into a network, in the network's own types; every name and shape must fit.

    Raises:
        ModelError: names or shapes differ (the differences are listed), or values are not finite. The network is
            then unchanged.
    """
    own = network.state_dict()
    problems = []
    if missing := [name for name in own if name not in tensors]:
        problems.append(f"missing: {_listing(missing)}")
    if unexpected := [name for name in tensors if name not in own]:
        problems.append(f"not in the network: {_listing(unexpected)}")
    shapes = [f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
              for name in own if name in tensors and tensors[name].shape != own[name].shape]
    if shapes:
        problems.append(f"of another shape: {_listing(shapes)}")
    if not problems:
        spoiled = [name for name, tensor in tensors.items()
                   if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all()]
        if spoiled:
            problems.append(f"not finite: {_listing(spoiled)}")
    if problems:
        raise ModelError(f"The weights do not fit the network {type(network).__name__}. " + "; ".join(problems) + ".")
    network.load_state_dict(dict(tensors))


def _listing(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(name[:_LONGEST_NAME] for name in names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
