"""Configurations of others as plain data: JSON and YAML, bounded in size, in depth, and in what sharing unfolds."""

import json
from pathlib import Path
from typing import Any

from meddl.core.errors import DependencyError, ModelError

_MAXIMUM_BYTES = 16 << 20
_MAXIMUM_YAML_BYTES = 1 << 20
_MAXIMUM_PARTS = 300_000
_MAXIMUM_DEPTH = 60
_MAXIMUM_TEXT = 64 << 20
_MAXIMUM_BITS = 64


def read_object(place: Path) -> dict:
    """The object in a JSON or YAML file.

    Raises:
        ModelError: too large, damaged, or something else than an object.
        DependencyError: YAML, and the package PyYAML is not installed.
    """
    most = _MAXIMUM_BYTES if place.suffix == ".json" else _MAXIMUM_YAML_BYTES
    try:
        if place.stat().st_size > most:
            raise ModelError(f"'{place.name}' is larger than {most >> 20} MB; that is no configuration.")
        text = place.read_text(encoding="utf-8-sig")
        content = json.loads(text) if place.suffix == ".json" else _yaml(text, place)
    except OSError as error:
        raise ModelError(f"'{place}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"'{place.name}' cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise ModelError(f"'{place.name}' holds no object.")
    check_plain(content, f"'{place.name}'")
    return content


def check_plain(content: object, what: str, most: int = _MAXIMUM_PARTS) -> None:
    """See that nested data have a size that whoever walks through them can bear.

    Lists that share parts may be small in memory and endless to walk through, or hold themselves.

    Args:
        what: they are, in errors.
        most: parts, each counted as often as a walk meets it.

    Raises:
        ModelError: they are too large or too deep, or hold a number of more than 64 bits.
    """
    parts, text = _count_elements(content, what, {}, 0)
    if parts > most or text > _MAXIMUM_TEXT:
        raise ModelError(f"{what} holds little that unfolds to far more: its parts are shared again and again.")


def _count_elements(value: Any, what: str, known: dict[int, tuple[int, int] | None], depth: int) -> tuple[int, int]:
    """Parts and characters that a walk through `value` meets; `known`: by containers' ids, None for those around it."""
    if isinstance(value, (str, bytes)):
        return 1, len(value)
    if isinstance(value, int) and value.bit_length() > _MAXIMUM_BITS:
        raise ModelError(f"{what} holds a number of {value.bit_length()} bits; that is no number of a model.")
    if not isinstance(value, (dict, list, tuple, set, frozenset)) or not value:
        return 1, 0
    if id(value) in known:
        if (found := known[id(value)]) is None:
            raise ModelError(f"{what} holds a part that holds itself.")
        return found
    if depth >= _MAXIMUM_DEPTH:
        raise ModelError(f"{what} is nested too deeply to be read.")
    known[id(value)] = None
    parts, text = 1, 0
    for part in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
        if isinstance(part, float):
            parts += 1
            continue
        inner = _count_elements(part, what, known, depth + 1)
        parts, text = parts + inner[0], text + inner[1]
    known[id(value)] = parts, text
    return parts, text


def _yaml(text: str, place: Path) -> object:
    try:
        import yaml
    except ImportError as error:
        raise DependencyError(f"'{place.name}' is YAML, which needs the Python package PyYAML: pip install PyYAML."
                              ) from error

    class Loader(yaml.SafeLoader):
        """Safe YAML, in which what keys "<<" merge is counted: merges of merges would grow without bound."""

        merged = 0

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            self.merged += len(node.value)
            if self.merged > _MAXIMUM_PARTS:
                raise ModelError(f"The merge keys in '{place.name}' unfold to far more than it holds.")

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ModelError(f"'{place.name}' is not YAML: {error}.") from error
    except (TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:  # PyYAML's own ways to say so
        raise ModelError(f"'{place.name}' is not YAML: {type(error).__name__}.") from error
