"""How a parameter of each type is kept in a vtkMRMLScriptedModuleNode.

A value is one parameter, as text. A node is a node reference beside an empty parameter. The value of a union is the
parameter ``name.index``, where `index` is that of the part of the union that took it.
"""

import logging
import typing

import slicer

from .types import is_node, split_annotations
from .validators import IsInstance, IsNone, NotNone, take_validators


class Text:
    """A value as one text parameter."""

    def __init__(self, kind, default, encode=str, decode=None):
        self._kind, self._default, self._encode, self._decode = kind, default, encode, decode or kind

    def takes(self, kind):
        """Whether a union gives values of a type to this part."""
        return kind is self._kind

    def default(self):
        return self._default

    def isIn(self, node, name):
        return node.HasParameter(name)

    def write(self, node, name, value):
        node.SetParameter(name, self._encode(value))

    def read(self, node, name):
        return self._decode(node.GetParameter(name))

    def remove(self, node, name):
        node.UnsetParameter(name)


class Number(Text):
    """An int or a float; a union lets the first of either try both."""

    def __init__(self, kind):
        super().__init__(kind, 0)

    def takes(self, kind):
        return kind in (int, float)


class Nothing(Text):
    """None, as part of a union."""

    def __init__(self):
        super().__init__(type(None), {}, lambda value: "True", lambda text: None)


class Node(Text):
    """A node reference."""

    def __init__(self):
        super().__init__(slicer.vtkMRMLNode, None)

    def takes(self, kind):
        return is_node(kind)

    def write(self, node, name, value):
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, None if value is None else value.GetID())

    def read(self, node, name):
        return node.GetNodeReference(name)

    def remove(self, node, name):
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class Validated:
    """A serializer that writes a value only after its validators have passed it.

    Raises:
        TypeError, ValueError: a value is refused.
    """

    def __init__(self, serializer, validators):
        inner = serializer.validators if isinstance(serializer, Validated) else []
        self.serializer = serializer.serializer if isinstance(serializer, Validated) else serializer
        self.validators = [*inner, *validators]
        self.default, self.isIn = self.serializer.default, self.serializer.isIn
        self.read, self.remove = self.serializer.read, self.serializer.remove

    def takes(self, kind):
        return self.serializer.takes(kind)

    def validate(self, value):
        for validator in self.validators:
            validator.validate(value)

    def write(self, node, name, value):
        self.validate(value)
        self.serializer.write(node, name, value)


class Union:
    """A value of one of several types. Without None among them, the union of node types has no valid default."""

    def __init__(self, parts):
        self._parts = [Validated(part, []) for part in parts]

    def takes(self, kind):
        return False

    def default(self):
        optional = len(self._parts) == 2 and isinstance(self._parts[1].serializer, Nothing)
        return None if optional else self._parts[0].default()

    def _part_for(self, value):
        refusal = TypeError(f"Unable to write value {value!r} of type {type(value).__name__}: no part of the union "
                            "takes it")
        for index, part in enumerate(self._parts):
            if part.takes(type(value)):
                try:
                    part.validate(value)
                except Exception as error:  # noqa: BLE001  as Slicer's: the last refusal is raised
                    refusal = error
                else:
                    return index, part
        raise refusal

    def isIn(self, node, name):
        return any(part.isIn(node, f"{name}.{index}") for index, part in enumerate(self._parts))

    def write(self, node, name, value):
        with slicer.util.NodeModify(node):
            index, part = self._part_for(value)
            self.remove(node, name)
            part.write(node, f"{name}.{index}", value)

    def read(self, node, name):
        for index, part in enumerate(self._parts):
            if part.isIn(node, f"{name}.{index}"):
                return part.read(node, f"{name}.{index}")
        raise KeyError(f"Parameter {name} is not in the node")

    def remove(self, node, name):
        with slicer.util.NodeModify(node):
            for index, part in enumerate(self._parts):
                part.remove(node, f"{name}.{index}")


def _plain_serializer(kind):
    if kind is bool:
        return Validated(Text(bool, False, lambda value: "True" if value else "False", lambda text: text == "True"),
                         [NotNone(), IsInstance(bool)])
    if kind in (int, float):
        return Validated(Number(kind), [NotNone(), IsInstance((int, float) if kind is float else int)])
    if kind is str:
        return Validated(Text(str, ""), [NotNone(), IsInstance(str)])
    if is_node(kind):
        return Validated(Node(), [IsInstance(kind)])
    if kind is type(None):
        return Validated(Nothing(), [IsNone()])
    if typing.get_origin(kind) is typing.Union:
        return Union([_part_serializer(part) for part in typing.get_args(kind)])
    raise Exception(f"The stand-in keeps no parameter of type {kind}")


def _part_serializer(kind):
    serializer, unused = create_serializer(*split_annotations(kind))
    if unused:
        logging.warning("Unused annotations: %s", unused)
    return serializer


def create_serializer(kind, annotations):
    """(what keeps values of a type with these annotations, the annotations that it does not use)."""
    validators, others = take_validators(annotations)
    return Validated(_plain_serializer(kind), validators), others
