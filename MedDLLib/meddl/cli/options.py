"""The fields of a configuration as command line options, and back."""

import argparse
import types
import typing
from dataclasses import fields, replace


def add_config_options(parser: argparse.ArgumentParser, config_class: type, skip: tuple[str, ...] = ()) -> None:
    """One option for each field of a configuration: its type, choices, help and default are the field's own.

    Options of version 0.1.0 that had other names are still taken; help does not list them.
    """
    group = parser.add_argument_group("options of the method")
    hints = typing.get_type_hints(config_class)
    for field in fields(config_class):
        if field.name in skip:
            continue
        text = field.metadata.get("help", "").replace("%", "%%")
        if field.default is not None:
            text += f" (default: {_format_default(field.default)})"
        hint = _without_none(hints[field.name])
        options = {"dest": field.name, "default": argparse.SUPPRESS, "help": text}
        if hint is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(hint) is tuple:
            options.update(type=_list_of(typing.get_args(hint)[0]), metavar="X,X")
        elif "choices" in field.metadata:
            options["choices"] = field.metadata["choices"]
        else:
            options.update(type=hint, metavar="MM" if field.name.endswith("_mm") else "N")
        group.add_argument(_flag(field.name), **options)
        old = field.metadata.get("old_flags", [_flag(name) for name in field.metadata.get("old_names", ())])
        if old:
            group.add_argument(*old, **{**options, "help": argparse.SUPPRESS})


def config_from(arguments: argparse.Namespace, config_class: type, preset=None, **more):
    """The configuration: values given on the command line, else the preset's, else the defaults."""
    given = {}
    for field in fields(config_class):
        if hasattr(arguments, field.name):
            given[field.name] = getattr(arguments, field.name)
    return replace(preset or config_class(), **{**given, **more})


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _without_none(hint):
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(one for one in typing.get_args(hint) if one is not type(None))
    return hint


def _list_of(kind: type):
    def numbers(text: str) -> tuple:
        return tuple(kind(part) for part in text.split(","))
    return numbers


def _format_default(default) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ",".join(f"{one:g}" for one in default)
    return str(default)
