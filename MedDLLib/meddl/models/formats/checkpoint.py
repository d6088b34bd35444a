"""PyTorch checkpoints, opened without running code: only tensors, plain containers and numbers come out."""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from meddl.core.errors import ModelError
from meddl.models.formats.pickle_check import check_torch_file
from meddl.models.formats.plain_content import check_plain

_MAXIMUM_PARTS = 3_000_000  # what a long training logs for each structure counts too
_LONGEST_NAME = 500


def load_checkpoint(path: str | Path) -> dict:
    """The dictionary that a checkpoint (.pth, .pt) holds, its tensors on the CPU.

    Raises:
        ModelError: missing, damaged, no dictionary, it names something beyond tensors and numbers, which could run
            code and was not opened, or what it holds is far larger than the file.
    """
    place = Path(path)
    try:
        check_torch_file(place)
        with torch.serialization.safe_globals(_harmless()):
            content = torch.load(place, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"The checkpoint '{place}' does not exist.") from error
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelError(f"The checkpoint '{place.name}' holds more than tensors and numbers and was not opened: "
                         f"{_reason(error)} Ask its maker for the weights alone.") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, TypeError, IndexError,
            AssertionError, NotImplementedError, OverflowError, RecursionError, zipfile.BadZipFile) as error:
        raise ModelError(f"The checkpoint '{place.name}' is damaged or no PyTorch file: {_reason(error)}") from error
    if not isinstance(content, dict):
        raise ModelError(f"The checkpoint '{place.name}' holds a {type(content).__name__}; a dictionary was expected.")
    check_plain(content, f"The checkpoint '{place.name}'", _MAXIMUM_PARTS)
    return content


def tensors_of(content: object, what: str) -> dict[str, torch.Tensor]:
    """`content` as weights by name.

    Raises:
        ModelError: it is something else, or holds a tensor that is no plain one with values of its own.
    """
    if not isinstance(content, dict) or not content or not all(
            isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()):
        raise ModelError(f"{what} is no table of weights by name.")
    for name, tensor in content.items():
        if len(name) > _LONGEST_NAME:
            raise ModelError(f"{what} calls a tensor '{name[:60]}...', {len(name)} characters long.")
        if problem := _problem(tensor):
            raise ModelError(f"The tensor '{name}' in {what} {problem}.")
    return content


def own_names(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights without what PyTorch puts before the names of networks that were compiled or trained in parallel."""
    return {re.sub(r"^(_orig_mod\.|module\.)+", "", name): tensor for name, tensor in weights.items()}


def _problem(tensor: torch.Tensor) -> str:
    """Why a tensor cannot be a weight; "" where it can."""
    if tensor.is_nested or tensor.layout is not torch.strided or tensor.is_quantized:
        return "is sparse, nested or quantized; MedDL takes plain ones"
    if tensor.device.type != "cpu":
        return f"has no values (device {tensor.device})"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"claims {tensor.numel()} values and holds fewer"
    return ""


def _reason(error: BaseException) -> str:
    """The first line of what PyTorch says, without its advice to allow what it has refused."""
    text = str(error).split("WeightsUnpickler error:")[-1].strip() or type(error).__name__
    text = text.splitlines()[0].split("Please use")[0].split(". To ")[0].strip()
    return text[:200].rstrip(".") + "."


class _NumberType:
    """numpy's types of numbers, as a pickle names them, and no others: some are of any size."""

    def __init__(self, name: object, *_: object):
        if not isinstance(name, str) or not re.fullmatch(r"[<>=|]?(b1|[iu][1248]|f[248])", name):
            raise pickle.UnpicklingError("It holds a numpy value that is no number.")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        if state[1] in (">", "<"):
            self.dtype = self.dtype.newbyteorder(state[1])


def _number(kind: object, data: object = b"") -> Any:
    """A scalar of numpy's as a Python number."""
    if not isinstance(kind, _NumberType) or not isinstance(data, bytes) or len(data) != kind.dtype.itemsize:
        raise pickle.UnpicklingError("It holds a numpy value that is no number.")
    return np.frombuffer(data, kind.dtype)[0].item()


def _harmless() -> list:
    """What a checkpoint may name besides tensors: numpy's scalars, as numpy 1 and 2 call them."""
    return [(_number, "numpy.core.multiarray.scalar"), (_number, "numpy._core.multiarray.scalar"),
            (_NumberType, "numpy.dtype")]
