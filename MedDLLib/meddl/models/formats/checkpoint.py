"""PyTorch checkpoints, opened without running code: only tensors, plain containers and numpy's numbers come out."""

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from meddl.core.errors import ModelError


def load_checkpoint(path: str | Path) -> dict:
    """The dictionary that a checkpoint (.pth, .pt) holds, its tensors on the CPU.

    Raises:
        ModelError: missing, damaged, no dictionary, or it names something beyond tensors and numbers, which could run
            code and was not opened.
    """
    place = Path(path)
    try:
        with torch.serialization.safe_globals(_harmless()):
            content = torch.load(place, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"The checkpoint '{place}' does not exist.") from error
    except pickle.UnpicklingError as error:
        reason = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()[0]
        raise ModelError(f"The checkpoint '{place.name}' holds more than tensors and numbers and was not opened: "
                         f"{reason[:200]} Ask its maker for the weights alone.") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, TypeError, IndexError) as error:
        raise ModelError(f"The checkpoint '{place.name}' is damaged or no PyTorch file: {error}.") from error
    if not isinstance(content, dict):
        raise ModelError(f"The checkpoint '{place.name}' holds a {type(content).__name__}; a dictionary was expected.")
    return content


def tensors_of(content: object, what: str) -> dict[str, torch.Tensor]:
    """`content` as weights by name.

    Raises:
        ModelError: it is something else.
    """
    if not isinstance(content, dict) or not content or not all(
            isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()):
        raise ModelError(f"{what} is no table of weights by name.")
    return content


def _harmless() -> list:
    """What a checkpoint may name besides tensors: numpy's scalars, as numpy 1 and 2 call them."""
    multiarray: Any = importlib.import_module("numpy._core.multiarray")
    kinds = [type(np.dtype(name)) for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
                                               "uint64", "float16", "float32", "float64")]
    return [(multiarray.scalar, "numpy.core.multiarray.scalar"), (multiarray.scalar, "numpy._core.multiarray.scalar"),
            np.dtype, *kinds]
