"""The functions that a worker runs: named "package.module:function", from allowed packages only."""

import importlib
import re
from collections.abc import Callable

from meddl.core.errors import InputError

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def check(target: str, allowed: tuple[str, ...]) -> None:
    """See that a target has the right form and lies in an allowed package.

    Args:
        target: "package.module:function".
        allowed: beginnings of module names, each with its dot, such as "meddl.".

    Raises:
        InputError: it does not.
    """
    if not isinstance(target, str) or not _FORM.fullmatch(target):
        raise InputError(f"A target is named 'package.module:function'; this is {target!r}.")
    if not _is_allowed(target.partition(":")[0], allowed):
        raise InputError(f"The worker runs functions of {', '.join(allowed)} only; not '{target}'.")


def load(target: str, allowed: tuple[str, ...]) -> Callable:
    """The function itself.

    Raises:
        InputError: not allowed, not there, not a function, or one that was imported from elsewhere.
    """
    check(target, allowed)
    module_name, _, name = target.partition(":")
    function = getattr(importlib.import_module(module_name), name, None)
    if not callable(function):
        raise InputError(f"There is no function '{name}' in {module_name}.")
    if not _is_allowed(getattr(function, "__module__", None) or "", allowed):
        raise InputError(f"'{target}' comes from {function.__module__}, which the worker does not run.")
    return function


def _is_allowed(module_name: str, allowed: tuple[str, ...]) -> bool:
    return any((module_name + ".").startswith(prefix) for prefix in allowed)
