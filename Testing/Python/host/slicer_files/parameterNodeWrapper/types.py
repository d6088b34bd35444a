"""Types with annotations."""

import types
import typing

import slicer


def split_annotations(kind):
    """(type without annotations, its annotations); ``A | B`` comes as typing.Union."""
    annotations = []
    if typing.get_origin(kind) is typing.Annotated:
        kind, *annotations = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        kind = typing.Union[typing.get_args(kind)]  # noqa: UP007
    return kind, annotations


def first(annotations, kind):
    """The first annotation of a class, or None."""
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)


def is_node(kind):
    """Whether a type is a class of MRML nodes."""
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def node_class_names(kind):
    """Names of the MRML classes of a node type or a union of node types and None; empty for all other types."""
    kind = split_annotations(kind)[0]
    if is_node(kind):
        return (kind().GetClassName(),)
    if typing.get_origin(kind) is not typing.Union:
        return ()
    parts = [split_annotations(part)[0] for part in typing.get_args(kind)]
    if not all(part is type(None) or is_node(part) for part in parts):
        return ()
    return tuple(part().GetClassName() for part in parts if part is not type(None))
