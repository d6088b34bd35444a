"""MONAI's own networks as imported models name them: which there are, and which arguments they take.

A card names them with their origin, such as "monai.UNet". Arguments are numbers, texts and lists of them alone.
"""

import importlib
import inspect
from collections.abc import Callable
from functools import partial

from torch import nn

from meddl.core.errors import DependencyError, ModelError

PREFIX = "monai."
_MODULE = "monai.networks.nets"
_NAMES = ("UNet", "BasicUNet", "AttentionUnet", "DynUNet", "SegResNet", "SegResNetDS", "SwinUNETR",
          "UNETR", "VNet", "HighResNet", "MedNeXt")
_CLASSIFIERS = ("ResNet", "DenseNet")  # give no label map: not for imported models
_SYNONYMS = {"Unet": "UNet", "unet": "UNet", "BasicUnet": "BasicUNet", "Basicunet": "BasicUNet", "DynUnet": "DynUNet",
             "Dynunet": "DynUNet", "AttentionUNet": "AttentionUnet"}
_REMOVED = {"SwinUNETR": ("img_size",), "UNETR": ("pos_embed",)}  # of earlier versions, without effect on the result
_NEEDED = {"SwinUNETR": "einops", "UNETR": "einops"}
_LARGEST = 65536  # numbers of channels, blocks and voxels lie far below
_REFUSED = {"preprocess", "norm_layer", "downsample", "pretrained"}  # would take a module or a file


def known_networks() -> tuple[str, ...]:
    """The names of all networks of imported models, without the prefix."""
    return _NAMES


def checked_arguments(name: str, arguments: dict, known: tuple[str, ...] = _NAMES) -> tuple[str, dict, tuple[str, ...]]:
    """The network's own name, the arguments that it takes, and those that were left out as they have no effect.

    Args:
        known: the names that are allowed.

    Raises:
        ModelError: a network or an argument that is not known, or a value other than plain data.
    """
    name = _SYNONYMS.get(name, name)
    if name not in known:
        raise ModelError(f"The network '{name}' is not known; MedDL knows {', '.join(known)}.")
    network = getattr(importlib.import_module(_MODULE), name, None)
    if network is None:
        raise ModelError(f"The network '{name}' is not in the installed version of MONAI. Update MONAI.")
    parameters = inspect.signature(network.__init__).parameters
    left_out = tuple(key for key in _REMOVED.get(name, ()) if key in arguments and key not in parameters)
    kept = {key: value for key, value in arguments.items() if key not in left_out}
    unknown = [key for key in kept if key not in parameters or key == "self"
               or (key in _REFUSED and kept[key] not in (None, False, "merging", "mergingv2"))]
    if unknown:
        raise ModelError(f"The network '{name}' is given arguments that MedDL does not know: {', '.join(unknown)}.")
    for key, value in kept.items():
        if not _is_plain(value):
            raise ModelError(f"The argument '{key}' of the network '{name}' is no plain data: {str(value)[:100]!r}.")
        if not _is_moderate(value):
            raise ModelError(f"The argument '{key}' of the network '{name}' is {str(value)[:100]}; no network is so "
                             "large.")
    missing = [key for key, parameter in parameters.items() if key not in kept and key != "self"
               and parameter.default is inspect.Parameter.empty
               and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)]
    if missing:
        raise ModelError(f"The network '{name}' lacks the arguments {', '.join(missing)}.")
    return name, kept, left_out


def monai_network(name: str) -> Callable[..., nn.Module]:
    """What builds the network of this name, without the prefix, from its arguments; raises as `checked_arguments`.

    Raises:
        DependencyError: a package that the network needs is not installed.
    """
    return partial(_build, name)


def _build(name: str, **arguments) -> nn.Module:
    name, arguments, _ = checked_arguments(name, arguments, _NAMES + _CLASSIFIERS)
    if needed := _NEEDED.get(name):
        try:
            importlib.import_module(needed)
        except ImportError as error:
            raise DependencyError(f"The network {name} needs the Python package {needed}: pip install {needed}."
                                  ) from error
    try:
        return getattr(importlib.import_module(_MODULE), name)(**{k: _freeze(v) for k, v in arguments.items()})
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, NotImplementedError, AssertionError,
            RuntimeError, ArithmeticError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"The arguments of the network {name} do not fit it: {error}") from error


def _freeze(value):
    """Lists as tuples, which MONAI's networks distinguish from numbers."""
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(part) for part in value)
    return {key: _freeze(part) for key, part in value.items()} if isinstance(value, dict) else value


def _is_moderate(value) -> bool:
    if isinstance(value, (list, tuple, dict)):
        return all(map(_is_moderate, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int) or abs(value) <= _LARGEST


def _is_plain(value) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(part) for key, part in value.items())
    return value is None or isinstance(value, (bool, int, float, str))
