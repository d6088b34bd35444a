"""How values of a parameter node wrapper are kept in a vtkMRMLScriptedModuleNode.

Scalars, enumerations and paths are parameters; nodes are references beside an empty parameter; parts of lists,
tuples, dictionaries, unions and packs are parameters named ``name.part``.
"""

import enum
import pathlib
import types
import typing

import slicer

from . import parameter_validators as validators
from .parameter_validators import Default, Validator

_PATHS = (pathlib.Path, pathlib.PurePath, type(pathlib.Path()))


def split_annotations(kind):
    """(plain type, annotations) of a type that may be Annotated."""
    if typing.get_origin(kind) is typing.Annotated:
        arguments = typing.get_args(kind)
        return arguments[0], list(arguments[1:])
    return kind, []


def plain(kind):
    """The type without annotations; ``A | B`` as typing.Union."""
    kind = split_annotations(kind)[0]
    if isinstance(kind, types.UnionType):
        kind = typing.Union[typing.get_args(kind)]  # noqa: UP007
    return kind


def is_node_type(kind):
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def node_classes(kind):
    """MRML class names for a node type or a union of node types; empty where it is neither."""
    kind = plain(kind)
    if is_node_type(kind):
        return [kind.__name__]
    if typing.get_origin(kind) is typing.Union:
        parts = [plain(part) for part in typing.get_args(kind)]
        if all(part is type(None) or is_node_type(part) for part in parts):
            return [part.__name__ for part in parts if part is not type(None)]
    return []


class Storage:
    """Reads and writes one parameter of a given type.

    Raises:
        TypeError: no storage is known for the type, or a value of another type is written.
        ValueError: a validator refuses the value.
    """

    def __init__(self, kind):
        base, annotations = split_annotations(kind)
        self.annotations = annotations
        self.kind = plain(base)
        given = [a() if isinstance(a, type) else a for a in annotations if _is_validator(a)]
        self.validators = given
        self.given_default = validators.first(annotations, Default)
        self._codec = _codec_for(self.kind)

    def default(self):
        return self.given_default.value if self.given_default is not None else self._codec.default()

    def validate(self, value):
        self._codec.check(value)
        for validator in self.validators:
            validator.validate(value)

    def is_in(self, node, name):
        return self._codec.is_in(node, name)

    def write(self, node, name, value):
        self.validate(value)
        with slicer.util.NodeModify(node):
            self._codec.write(node, name, value)

    def read(self, node, name):
        return self._codec.read(node, name)

    def remove(self, node, name):
        with slicer.util.NodeModify(node):
            self._codec.remove(node, name)

    def accepts(self, value):
        try:
            self.validate(value)
        except (TypeError, ValueError):
            return False
        return True


def _is_validator(annotation):
    return isinstance(annotation, Validator) or (isinstance(annotation, type) and issubclass(annotation, Validator))


class _Text:
    """A value kept as one text parameter."""

    def __init__(self, kinds, default, encode=str, decode=str):
        self._kinds, self._default, self._encode, self._decode = kinds, default, encode, decode

    def default(self):
        return self._default() if callable(self._default) else self._default

    def check(self, value):
        if value is None:
            raise ValueError("Value must not be None")
        if not isinstance(value, self._kinds):
            raise TypeError(f"Value must be of type {self._kinds}, is {type(value).__name__} {value!r}")

    def is_in(self, node, name):
        return bool(node.HasParameter(name))

    def write(self, node, name, value):
        node.SetParameter(name, self._encode(value))

    def read(self, node, name):
        return self._decode(node.GetParameter(name))

    def remove(self, node, name):
        node.UnsetParameter(name)


class _Node:
    """A node reference."""

    def __init__(self, kind):
        self._kind = kind

    def default(self):
        return None

    def check(self, value):
        if value is not None and not isinstance(value, self._kind):
            raise TypeError(f"Value must be a {self._kind.__name__}, is {type(value).__name__}")

    def is_in(self, node, name):
        return bool(node.HasParameter(name))

    def write(self, node, name, value):
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node, name):
        return node.GetNodeReference(name)

    def remove(self, node, name):
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class _Nothing(_Text):
    def __init__(self):
        super().__init__((type(None),), None, lambda value: "True", lambda text: None)

    def check(self, value):
        if value is not None:
            raise ValueError("Value must be None")


class _Union:
    def __init__(self, kinds):
        self._parts = [Storage(kind) for kind in kinds]
        self._optional = len(kinds) == 2 and kinds[1] is type(None)

    def default(self):
        return None if self._optional else self._parts[0].default()

    def _part(self, value):
        exact = [i for i, part in enumerate(self._parts) if isinstance(part.kind, type) and type(value) is part.kind]
        order = exact + [i for i in range(len(self._parts)) if i not in exact]
        if value is None:
            order = [i for i, part in enumerate(self._parts) if part.kind is type(None)] + order
        for index in order:
            if self._parts[index].accepts(value):
                return index
        raise TypeError(f"No part of the union takes {value!r} of type {type(value).__name__}")

    def check(self, value):
        self._part(value)

    def is_in(self, node, name):
        return any(part.is_in(node, f"{name}.{i}") for i, part in enumerate(self._parts))

    def write(self, node, name, value):
        index = self._part(value)
        self.remove(node, name)
        self._parts[index].write(node, f"{name}.{index}", value)

    def read(self, node, name):
        for index, part in enumerate(self._parts):
            if part.is_in(node, f"{name}.{index}"):
                return part.read(node, f"{name}.{index}")
        raise KeyError(f"Parameter {name} is not in the node")

    def remove(self, node, name):
        for index, part in enumerate(self._parts):
            part.remove(node, f"{name}.{index}")


class _Sequence:
    """list[T]; a change of the list that was read is written back."""

    def __init__(self, kind):
        self._part = Storage(kind)

    def default(self):
        return []

    def check(self, values):
        if values is None or isinstance(values, str):
            raise TypeError(f"Value must be a list, is {values!r}")
        for value in values:
            self._part.validate(value)

    def is_in(self, node, name):
        return bool(node.HasParameter(f"{name}.len"))

    def write(self, node, name, values):
        values = list(values)
        self.remove(node, name)
        node.SetParameter(f"{name}.len", str(len(values)))
        for index, value in enumerate(values):
            self._part.write(node, f"{name}.{index}", value)

    def read(self, node, name):
        count = int(node.GetParameter(f"{name}.len") or 0)
        values = [self._part.read(node, f"{name}.{index}") for index in range(count)]
        return ObservedList(values, lambda changed: self.write(node, name, changed))

    def remove(self, node, name):
        for index in range(int(node.GetParameter(f"{name}.len") or 0)):
            self._part.remove(node, f"{name}.{index}")
        node.UnsetParameter(f"{name}.len")


class ObservedList(list):
    """A list that writes itself back after each change."""

    def __init__(self, values, save):
        super().__init__(values)
        self._save = save


def _saving(name):
    original = getattr(list, name)

    def method(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        self._save(self)
        return result

    return method


for _name in (
    "append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "__setitem__", "__delitem__"
):  # fmt: skip
    setattr(ObservedList, _name, _saving(_name))


class _Tuple:
    def __init__(self, kinds):
        self._parts = [Storage(kind) for kind in kinds]

    def default(self):
        return tuple(part.default() for part in self._parts)

    def check(self, values):
        if not isinstance(values, tuple) or len(values) != len(self._parts):
            raise TypeError(f"Value must be a tuple of {len(self._parts)}, is {values!r}")
        for part, value in zip(self._parts, values):
            part.validate(value)

    def is_in(self, node, name):
        return self._parts[0].is_in(node, f"{name}.0")

    def write(self, node, name, values):
        for index, (part, value) in enumerate(zip(self._parts, values)):
            part.write(node, f"{name}.{index}", value)

    def read(self, node, name):
        return tuple(part.read(node, f"{name}.{i}") for i, part in enumerate(self._parts))

    def remove(self, node, name):
        for index, part in enumerate(self._parts):
            part.remove(node, f"{name}.{index}")


class _Mapping:
    def __init__(self, key, value):
        self._pairs = _Sequence(tuple[key, value])

    def default(self):
        return {}

    def check(self, value):
        if not isinstance(value, dict):
            raise TypeError(f"Value must be a dictionary, is {value!r}")
        self._pairs.check(list(value.items()))

    def is_in(self, node, name):
        return self._pairs.is_in(node, name)

    def write(self, node, name, value):
        self._pairs.write(node, name, list(value.items()))

    def read(self, node, name):
        return dict(self._pairs.read(node, name))

    def remove(self, node, name):
        self._pairs.remove(node, name)


class _Pack:
    """A parameterPack; setting a member of what was read writes it back."""

    def __init__(self, kind):
        self._kind = kind

    def default(self):
        return self._kind()

    def check(self, value):
        if not isinstance(value, self._kind):
            raise TypeError(f"Value must be a {self._kind.__name__}, is {type(value).__name__}")

    def is_in(self, node, name):
        first_name, storage = next(iter(self._kind.allParameters.items()))
        return storage.is_in(node, f"{name}.{first_name}")

    def write(self, node, name, value):
        for member, storage in self._kind.allParameters.items():
            storage.write(node, f"{name}.{member}", getattr(value, member))

    def read(self, node, name):
        members = {m: s.read(node, f"{name}.{m}") for m, s in self._kind.allParameters.items()}
        value = self._kind.__new__(self._kind)
        value._values = members
        value._save = lambda changed: self.write(node, name, changed)
        return value

    def remove(self, node, name):
        for member, storage in self._kind.allParameters.items():
            storage.remove(node, f"{name}.{member}")


def _enum_codec(kind):
    if len(kind) == 0:
        raise ValueError("An empty enumeration cannot be kept")

    def decode(text):
        if text not in kind.__members__:
            raise ValueError(f"{text!r} is in the parameter node but is no name in {kind.__name__}")
        return kind[text]

    return _Text((kind,), next(iter(kind)), lambda value: value.name, decode)


def _codec_for(kind):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is bool:
        return _Text((bool,), False, lambda value: "True" if value else "False", lambda text: text == "True")
    if kind is int:
        return _Text((int,), 0, str, int)
    if kind is float:
        return _Text((int, float), 0, str, float)
    if kind is str:
        return _Text((str,), "")
    if kind in _PATHS:
        return _Text((pathlib.PurePath,), kind, str, kind)
    if kind is type(None):
        return _Nothing()
    if is_node_type(kind):
        return _Node(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum_codec(kind)
    if getattr(kind, "_is_parameterPack", False):
        return _Pack(kind)
    if origin is typing.Union:
        return _Union(arguments)
    if origin is list and len(arguments) == 1:
        return _Sequence(arguments[0])
    if origin is tuple and arguments:
        return _Tuple(arguments)
    if origin is dict and len(arguments) == 2:
        return _Mapping(*arguments)
    raise TypeError(f"Unable to create serializer for type: {kind}")
