"""The parser of commands, and the fields of a configuration as options of a command, and back."""

import argparse
import difflib
import json
import re
import sys
import types
import typing
from dataclasses import fields, replace
from pathlib import Path

from meddl.core.config import FIELD_TOLERANCE_MM
from meddl.core.errors import FileFormatError, InputError, printable
from meddl.uncertainty.config import UncertaintyConfig

_KINDS = {"int": "a whole number", "float": "a number", "numbers": "a list of numbers with commas between them"}
_REPORT_OPTIONS = ("threads", "precision")  # of a report, beside its configuration, model, device and options


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line that names the nearest option or choice.

    Where a command has `--config`, the values of that report stand for the options that are not given.
    """

    def parse_args(self, args=None, namespace=None):
        """As of `argparse`; what a command does not know is an error of that command."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.prog += f" {found.command}"
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found

    def parse_known_args(self, args=None, namespace=None):
        """As of `argparse`, after a look at the options of the command itself."""
        words = sys.argv[1:] if args is None else list(args)
        if self._subparsers is None:
            self._check_options(words)
            self._take_report(words)
        return super().parse_known_args(words, namespace)

    def error(self, message: str):
        """One line, and status 2."""
        text = re.sub(r"^argument (\S+): ", r"\1: ", message)
        wrong = re.fullmatch(r"(\S+): invalid (\w+) value: (.*)", text)
        if wrong and wrong[2] in _KINDS:
            text = f"{wrong[1]} is {_KINDS[wrong[2]]}; got {wrong[3]}"
        text += "" if text.endswith((".", "?")) else "."
        text += f" `{self.prog} --help` lists all options."
        self.exit(2, f"meddl: {printable(' '.join(text.split()))}\n")

    def _check_options(self, words: list[str]) -> None:
        known = self._option_string_actions
        for word in words[:words.index("--")] if "--" in words else words:
            name = word.partition("=")[0]
            if name.startswith("--") and " " not in name and not any(one.startswith(name) for one in known):
                shown = [one for one, action in known.items() if action.help != argparse.SUPPRESS]
                self.error(f"there is no option {name}.{_similar(name, shown, 'Did you mean')}")

    def _get_value(self, action, arg_string):
        """As of `argparse`; a path without a letter, as of a variable that is not set, is no place."""
        if action.type is Path and not arg_string.strip():
            raise argparse.ArgumentError(action, "the name of a file or folder is expected; it is empty")
        return super()._get_value(action, arg_string)

    def _check_value(self, action, value) -> None:
        """Refuse a value that is none of the choices; what is near is named."""
        if action.choices is not None and value not in action.choices:
            name = "/".join(action.option_strings) or action.metavar or action.dest
            choices = list(map(str, action.choices))
            raise argparse.ArgumentError(None, f"{name} is one of {', '.join(choices)}; got '{value}'."
                                         f"{_similar(str(value), choices, 'Similar:')}")

    def _take_report(self, words: list[str]) -> None:
        if "--config" not in self._option_string_actions:
            return
        finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        finder.add_argument("--config", type=Path)
        try:
            path = finder.parse_known_args(words)[0].config
        except argparse.ArgumentError:  # no file behind it, which the parser itself says
            return
        if path is not None:
            known = {action.dest for action in self._actions}
            given = options_of_report(path, self.get_default("command"))
            self.set_defaults(**{name: value for name, value in given.items() if name in known})


def options_of_report(path: Path, command: str) -> dict:
    """The values of a report by option: configuration, options, model, device, threads, precision.

    Raises:
        InputError: nothing is there, or it is the report of another command.
        FileFormatError: not a report.
    """
    try:
        content = json.loads(path.expanduser().read_text(encoding="utf-8"))
        configuration, found = content["configuration"] or {}, content["command"]
        values = {**configuration, **content["options"], **{name: content[name] for name in _REPORT_OPTIONS}}
        values["device"] = str(content["device"]).partition(" ")[0]
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"'{path}' is no report of this version of MedDL, as `--report FILE.json` writes "
                              "it.") from error
    if found != command:
        raise InputError(f"'{path}' is the report of `meddl {found}`; this is `meddl {command}`.")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def add_training_options(parser: argparse.ArgumentParser, name: str) -> None:
    """What the trainings of models of one's own share: where to, under which name, installed, device."""
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for checkpoints, logs, figures and the model; an unfinished run there is resumed")
    parser.add_argument("--name", default=name, help="what the model is called")
    parser.add_argument("--no-install", dest="install", action="store_false",
                        help="leave the trained model in --out, not among the installed ones")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def add_config_options(parser: argparse.ArgumentParser, config_class: type, skip: tuple[str, ...] = (),
                       title: str = "options of the method") -> None:
    """One option for each field of a configuration: its type, choices, help and default are the field's own.

    Options of version 0.1.0 that had other names are still taken; help does not list them.
    """
    group = parser.add_argument_group(title)
    hints = typing.get_type_hints(config_class)
    for field in fields(config_class):
        if field.name in skip:
            continue
        text = field.metadata.get("help", "").replace("%", "%%")
        if field.default not in (None, ()):
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
            options.update(type=hint, metavar="MM" if field.name.endswith("_mm") else "TEXT" if hint is str else "N")
        group.add_argument(_flag(field.name), **options)
        old = field.metadata.get("old_flags", [_flag(name) for name in field.metadata.get("old_names", ())])
        if old:
            group.add_argument(*old, **{**options, "help": argparse.SUPPRESS})


def add_uncertainty_options(parser: argparse.ArgumentParser, text: str, skip: tuple[str, ...] = ()) -> None:
    """The option that asks for the map of uncertainty, and those of the runs that it comes from."""
    parser.add_argument("--uncertainty", metavar="FILE", type=Path,
                        help=f"also write {text} (.nii.gz, .nii, .nrrd, .mha); see the options of uncertainty")
    add_config_options(parser, UncertaintyConfig, skip, "options of uncertainty")


def add_field_tolerance(parser) -> None:
    """How far a displacement field that is written may be from the map."""
    parser.add_argument("--field-tolerance", metavar="MM", type=float, default=FIELD_TOLERANCE_MM,
                        help="largest error of a displacement field that is written, on the coarsest grid that keeps "
                        f"it; 0: the full grid (default: {FIELD_TOLERANCE_MM:g})")


def config_from(arguments: argparse.Namespace, config_class: type, preset=None, **more):
    """The configuration: values given on the command line, else the preset's, else the defaults."""
    given = {}
    for field in fields(config_class):
        if hasattr(arguments, field.name):
            given[field.name] = getattr(arguments, field.name)
    return replace(preset or config_class(), **{**given, **more})


def _similar(word: str, names: list[str], title: str) -> str:
    """A sentence with the names that are near a word; "" where none is."""
    found = difflib.get_close_matches(word.lower(), names, n=2, cutoff=0.6)
    return f" {title} {' or '.join(found)}{'?' if title.startswith('Did') else '.'}" if found else ""


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
