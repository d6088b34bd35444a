"""The field's words: what may be no name of a module, class, function, argument or field, in no first paragraph of a
docstring, and in no text of panels and shell.

The words are in field_words.py. Names and docstrings are read from the sources, texts from
the .ui files, from `_()` in modules and bridge, from the configurations' help and from the parsers of all commands.
"""

import argparse
import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from field_words import NOT_IN_DOCSTRINGS, NOT_IN_NAMES, offending, words_of
from places import REPOSITORY

from meddl.cli import make_parser
from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig, field_help
from meddl.training.config import ClassifierTrainConfig, LandmarkTrainConfig, TrainConfig

MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
TEXT_PROPERTIES = ("text", "toolTip", "title", "placeholderText", "noneDisplay", "specialValueText")
# A function's name says what it does: "resample", "resampled_grid", not "resampled" or "resampled_to".
PARTICIPLES = {"begun", "built", "chosen", "drawn", "found", "given", "gone", "grown", "held", "hidden", "kept", "laid",
               "left", "lost", "made", "met", "seen", "sent", "shown", "stood", "taken", "told", "torn", "worn",
               "written"}
NO_PARTICIPLES = {"need", "embed", "seed", "speed", "feed", "exceed", "proceed"}
PARTICLES = {"up", "in", "to", "for", "along", "beyond", "alike", "apart", "by", "with", "as", "on", "off", "from",
             "again"}
NAMES_ALLOWED = {"test_apply_carries_one_head_onto_another"}


def sources() -> list[Path]:
    found = [REPOSITORY / name / f"{name}.py" for name in MODULES]
    for package in ("meddl", "meddl_slicer"):
        found += sorted((REPOSITORY / "MedDLLib" / package).rglob("*.py"))
    return found


def names_in(path: Path) -> Iterator[str]:
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def functions_in(path: Path) -> Iterator[str]:
    """The names of its functions and methods; properties, which are nouns, are left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not any(
                re.search(r"property|setter", ast.unparse(decorator)) for decorator in node.decorator_list):
            yield node.name


def is_participle(name: str) -> bool:
    """Whether a function's name is a participle, alone or with a particle: "tuned", "padded_to", not "padded_grid"."""
    first, *more = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)] or [""]
    said = first in PARTICIPLES or first.endswith("ed") and first not in NO_PARTICIPLES and len(first) > 3
    return said and (not more or more[0] in PARTICLES)


def summaries_in(path: Path) -> Iterator[tuple[str, str]]:
    """(name, first paragraph of its docstring) of the module, its classes and functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node) or ""
            yield getattr(node, "name", path.stem), " ".join(text.partition("\n\n")[0].split())


def options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """(option, help) of a parser and those below it; hidden options, which are old names, are left out."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield choice.dest, choice.help or ""
            for below in action.choices.values():
                yield from options_of(below)
        elif action.help != argparse.SUPPRESS:
            yield " ".join(action.option_strings) or action.dest, (action.help or "").replace("%%", "%")


def shell_options() -> list[tuple[str, str]]:
    commands = [("segment",), ("register",), ("register-series",), ("template",), ("warp",), ("superres",), ("models",),
                ("train",), ("explain",), ("classify",), ("evaluate", "segmentation"), ("evaluate", "superres"),
                ("evaluate", "classification"), ("landmarks",), ("evaluate", "landmarks"), ("demo",)]
    parsers = [make_parser(list(command)) for command in commands]
    for task in ("cli.commands.train", "cli.classification", "cli.train_landmarks", "training.segmentation.atlas",
                 "training.superres.command"):
        parsers.append(argparse.ArgumentParser())
        importlib.import_module(f"meddl.{task}").add_arguments(parsers[-1])
    return [option for parser in parsers for option in options_of(parser)]


def panel_texts() -> list[str]:
    """Texts of the .ui files, and the strings that modules and bridge translate."""
    texts = []
    for name in MODULES:
        for element in ElementTree.parse(REPOSITORY / name / "Resources" / "UI" / f"{name}.ui").iter("property"):
            if element.get("name") in TEXT_PROPERTIES:
                texts += [string.text or "" for string in element.iter("string")]
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                texts += [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)
                          and isinstance(part.value, str)]
    return texts


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_names_are_in_the_fields_words(path):
    found = {name: words_of(name) & NOT_IN_NAMES for name in names_in(path)
             if name not in NAMES_ALLOWED and words_of(name) & NOT_IN_NAMES}
    assert not found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_names_of_functions_are_no_participles(path):
    assert not [name for name in functions_in(path) if is_participle(name)]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_first_paragraphs_of_docstrings_are_in_the_fields_words(path):
    found = {name: offending(text, NOT_IN_DOCSTRINGS) for name, text in summaries_in(path)}
    assert not {name: words for name, words in found.items() if words}


def test_shell_options_and_their_help_are_in_the_fields_words():
    options = shell_options()
    assert len(options) > 150
    assert not {name: offending(f"{name} {text}") for name, text in options if offending(f"{name} {text}")}


@pytest.mark.parametrize("config_class", [SegmentConfig, RegisterConfig, SuperResolveConfig, TrainConfig,
                                          ClassifierTrainConfig, LandmarkTrainConfig])
def test_tooltips_of_options_are_in_the_fields_words(config_class):
    assert not {name: offending(f"{name} {text}") for name, text in field_help(config_class).items()
                if offending(f"{name} {text}")}


def test_panel_texts_are_in_the_fields_words():
    texts = panel_texts()
    assert len(texts) > 200
    assert not {text: offending(text) for text in texts if offending(text)}


def test_a_word_that_is_not_the_fields_is_found():
    assert words_of("laidOnHead") & NOT_IN_NAMES == {"laid"} and words_of("capture_field") & NOT_IN_NAMES == {"capture"}
    assert offending("Heads of the atlas that vote:") == {"vote"}
    assert not offending("Sigma (fluid-like regularization), in voxels")
    assert offending("The share of the voxels that told nothing", NOT_IN_DOCSTRINGS) == {"share of", "told"}
    assert all(map(is_participle, ("tuned", "_watched", "padded_to", "named_apart", "told", "kept")))
    assert not any(map(is_participle, ("tune", "padded_grid", "need_packages", "read", "feed", "held_out_patches")))
