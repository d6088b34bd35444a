"""The configuration of a MONAI bundle, read without running anything of it.

Entries refer to one another ("@network_def#in_channels") and hold expressions ("$@a + 1"). References are followed;
of expressions only a small grammar is understood, by this file alone: literals, lists, tuples, references, arithmetic,
comparisons, "a if b else c", len, list, tuple, int and float, and a few names of constants. Python never evaluates
them. What lies beyond becomes `Unexplained` and matters only where something needs it.
"""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from meddl.core.errors import ModelError

T = TypeVar("T")

_MAXIMUM_NODES = 100_000
_MAXIMUM_DEPTH = 60
_MAXIMUM_TEXT = 2000
_MAXIMUM_NUMBER = 1e15
_REFERENCE = re.compile(r"@(\w+(?:(?:#|::)\w+)*)")
_CONSTANTS = {
    "monai.utils.CommonKeys.IMAGE": "image", "monai.utils.CommonKeys.PRED": "pred",
    "monai.utils.CommonKeys.LABEL": "label", "Keys.IMAGE": "image", "Keys.PRED": "pred", "Keys.LABEL": "label"}
_TYPES = re.compile(r"(torch|np|numpy)\.(float(16|32|64)?|half|double|uint8|int(8|16|32|64)|long|bool)")
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"len": len, "list": list, "tuple": tuple, "int": int, "float": float}


@dataclass(frozen=True)
class Unexplained:
    """An expression that is not understood, and was not evaluated.

    Attributes:
        entry: where it stands, such as "network_def#in_channels".
        text: it, as it is written.
    """

    entry: str
    text: str


@dataclass(frozen=True)
class Component:
    """One thing that a configuration asks for: its name, without its module, its arguments, and where it stands."""

    name: str
    arguments: dict
    entry: str

    def take(self, key: str, default: object = None) -> Any:
        """An argument, or the default where it is not given.

        Raises:
            ModelError: it is or holds an expression that is not understood.
        """
        value = self.arguments.get(key, default)
        require_understood(value, self)
        return value


def require_understood(value: T, owner: "Component | None" = None) -> T:
    """`value`, where all of it is understood.

    Raises:
        ModelError: it is not; the message names the entry and shows the expression.
    """
    if isinstance(value, Unexplained):
        asked = f" ({owner.name} needs it)" if owner else ""
        raise ModelError(f"The bundle's entry '{value.entry}'{asked} is an expression that MedDL does not know and "
                         f"does not run: {value.text[:200]!r}. Write its value into the configuration.")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        require_understood(part, owner)
    return value


class BundleConfig:
    """A bundle's configuration; entries are read when they are asked for.

    Args:
        content: the decoded JSON or YAML.
    """

    def __init__(self, content: dict):
        self._content = content
        self._nodes = 0

    def __contains__(self, path: str) -> bool:
        try:
            self._at(path)
        except KeyError:
            return False
        return True

    def read(self, path: str) -> Any:
        """An entry with all that it refers to, as plain values; expressions that are not understood as `Unexplained`.

        Args:
            path: names and numbers, with "#" between.

        Raises:
            ModelError: it is not there, refers to itself, or is too large.
        """
        try:
            return self._value(self._at(path), path, (path,))
        except KeyError as error:
            raise ModelError(f"The bundle's configuration has no entry '{path}'.") from error

    def component(self, path: str) -> Component:
        """The component at an entry; raises as `read` and `component_of`."""
        return component_of(self.read(path), path)

    def _at(self, path: str) -> Any:
        node: Any = self._content
        for part in path.replace("::", "#").split("#"):
            if isinstance(node, str) and node.startswith("@"):
                node = self._at(node[1:])
            if isinstance(node, dict):
                node = node[part]
            elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            else:
                raise KeyError(path)
        return node

    def _value(self, node: Any, entry: str, path: tuple[str, ...]) -> Any:
        self._nodes += 1
        if self._nodes > _MAXIMUM_NODES or len(path) > _MAXIMUM_DEPTH:
            raise ModelError(f"The bundle's configuration is too large or too deep to be read, at '{entry}'.")
        if isinstance(node, dict):
            return {str(key): self._value(part, f"{entry}#{key}", (*path, "")) for key, part in node.items()}
        if isinstance(node, list):
            return [self._value(part, f"{entry}#{n}", (*path, "")) for n, part in enumerate(node)]
        if isinstance(node, str) and node.startswith("$"):
            return self._expression(node[1:], entry, path)
        if isinstance(node, str) and _REFERENCE.fullmatch(node):
            return self._resolve(node[1:], entry, path)
        if isinstance(node, str) and node.startswith("%"):
            return Unexplained(entry, node)
        return node

    def _resolve(self, name: str, entry: str, path: tuple[str, ...]) -> Any:
        name = name.replace("::", "#")
        if name in path:
            raise ModelError(f"The bundle's entry '{name}' refers to itself.")
        try:
            return self._value(self._at(name), name, (*path, name))
        except KeyError:
            return Unexplained(entry, f"@{name}")
        except RecursionError as error:
            raise ModelError(f"The bundle's entry '{entry}' is too deep to be read.") from error

    def _expression(self, text: str, entry: str, path: tuple[str, ...]) -> Any:
        """The value of an expression in the small grammar, else `Unexplained`."""
        unexplained = Unexplained(entry, f"${text}")
        names: dict[str, str] = {}

        def placeholder(match: re.Match) -> str:
            return names.setdefault(match[1], f"reference_{len(names)}_")

        if len(text) > _MAXIMUM_TEXT:
            return unexplained
        try:
            tree = ast.parse(_REFERENCE.sub(placeholder, text).strip(), mode="eval").body
            references = {mark: name for name, mark in names.items()}
            return self._evaluate(tree, lambda mark: self._resolve(references[mark], entry, path))
        except ModelError:
            raise
        except (_NotUnderstood, SyntaxError, TypeError, ValueError, KeyError, IndexError, ArithmeticError,
                RecursionError, MemoryError):
            return unexplained

    def _evaluate(self, node: ast.expr, resolve: Callable[[str], Any]) -> Any:
        """The value of a syntax tree; only the kinds of nodes below exist."""
        again = lambda part: self._evaluate(part, resolve)  # noqa: E731
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (bool, int, float, str))):
            return _check_bounds(node.value)
        if isinstance(node, ast.Name):
            value = resolve(node.id)
            if isinstance(value, Unexplained):
                raise _NotUnderstood
            return value
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            if _TYPES.fullmatch(name):
                return name
            raise _NotUnderstood
        if isinstance(node, (ast.List, ast.Tuple)):
            return [again(part) for part in node.elts]
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            return _UNARY[type(node.op)](again(node.operand))
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return _arithmetic(type(node.op), again(node.left), again(node.right))
        if isinstance(node, ast.IfExp):
            return again(node.body) if again(node.test) else again(node.orelse)
        if isinstance(node, ast.BoolOp):
            values = [again(part) for part in node.values]
            return all(values) if isinstance(node.op, ast.And) else any(values)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
            return _COMPARE[type(node.ops[0])](again(node.left), again(node.comparators[0]))
        if isinstance(node, ast.Subscript):
            return again(node.value)[again(node.slice)]
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
                and len(node.args) == 1 and not node.keywords):
            return _check_bounds(_FUNCTIONS[node.func.id](again(node.args[0])))
        raise _NotUnderstood


class _NotUnderstood(Exception):
    """Something beyond the small grammar."""


def _arithmetic(kind: type[ast.operator], left: Any, right: Any) -> Any:
    numbers = all(isinstance(value, (int, float)) for value in (left, right))
    joined = kind is ast.Add and type(left) is type(right) and isinstance(left, (list, str))
    if not numbers and not joined:
        raise _NotUnderstood
    if joined and len(left) + len(right) > _MAXIMUM_NODES:
        raise _NotUnderstood
    return _check_bounds(_BINARY[kind](left, right))


def _check_bounds(value: T) -> T:
    if isinstance(value, (int, float)) and abs(value) > _MAXIMUM_NUMBER:
        raise _NotUnderstood
    return value


def component_of(value: object, entry: str) -> Component:
    """A component from its resolved entry.

    Raises:
        ModelError: it names no component, or one that is not MONAI's own.
    """
    require_understood(value if isinstance(value, Unexplained) else None)
    if not isinstance(value, dict) or not isinstance(value.get("_target_"), str):
        raise ModelError(f"The bundle's entry '{entry}' names no component (_target_); it is {str(value)[:100]!r}.")
    dotted = value["_target_"]
    if "." in dotted and not dotted.startswith("monai."):
        raise ModelError(f"The bundle's entry '{entry}' needs '{dotted}', code of its own. MedDL runs MONAI's "
                         "components alone, no scripts of a bundle.")
    if value.get("_mode_", "default") != "default":
        raise ModelError(f"The bundle's entry '{entry}' uses _mode_ {value['_mode_']!r}, which MedDL does not know.")
    arguments = {key: part for key, part in value.items()
                 if key not in ("_target_", "_mode_", "_requires_", "_desc_", "_disabled_")}
    return Component(dotted.rsplit(".", 1)[-1], arguments, entry)


def is_disabled(value: object) -> bool:
    """Whether a resolved entry is switched off. An expression that is not understood leaves it on."""
    flag = value.get("_disabled_", False) if isinstance(value, dict) else False
    return flag is True or (isinstance(flag, str) and flag.lower() == "true")
