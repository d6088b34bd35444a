"""The field's words: what may be no name of a module, class, function or argument, and in no text of panels and shell.

What the field says instead is in the comment of each line. Names are read from the sources, texts from the .ui files,
from `_()` in modules and bridge, from the configurations' help and from the parsers of all commands.
"""

import argparse
import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from places import REPOSITORY

from meddl.cli import make_parser
from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig, field_help

MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
TEXT_PROPERTIES = ("text", "toolTip", "title", "placeholderText", "noneDisplay", "specialValueText")
NOT_IN_NAMES = {
    "laid", "lay", "lays",           # registered
    "vote", "voted", "voting",       # label fusion; "votes" are counted in it
    "fluid", "fluids",               # CSF
    "evidence",                      # likelihood
    "capture", "captured",           # large-displacement search
    "pull",                          # landmark term
    "sight",                         # validity mask
    "sides",                         # fixed and moving image
    "comparisons",                   # similarity
    "bends", "bent",                 # deforms
    "judge", "likeness",             # score, overlap
    "makers",                        # reference implementation
    "wishes",                        # requested outputs
    "products",                      # results
    "carried", "carries",            # transformed, resampled, warped
    "narrowed", "tuned", "watched", "limited",  # functions are verbs
    "person",                        # the user
}
NOT_IN_TEXTS = NOT_IN_NAMES | {"told", "tells", "answer", "answers", "carry", "wish", "wished", "invented",
                               "persons"}
# Where a word is the field's own, or an object of the words' other meaning.
FIELD_OWN = ("fluid-like regularization", "fine-tuned")
NAMES_ALLOWED = {"test_apply_carries_one_head_onto_another"}


def sources() -> list[Path]:
    found = [REPOSITORY / name / f"{name}.py" for name in MODULES]
    for package in ("meddl", "meddl_slicer"):
        found += sorted((REPOSITORY / "MedDLLib" / package).rglob("*.py"))
    return found


def words_of(name: str) -> set[str]:
    """The words that a name in snake case or camel case is made of, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def names_in(path: Path) -> Iterator[str]:
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg


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
                ("train",), ("evaluate", "segmentation"), ("evaluate", "superres"), ("demo",)]
    parsers = [make_parser(list(command)) for command in commands]
    for task in ("segmentation.train", "segmentation.atlas", "superres.train"):
        parsers.append(argparse.ArgumentParser())
        importlib.import_module(f"meddl.training.{task}").add_arguments(parsers[-1])
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


def offending(text: str) -> set[str]:
    for allowed in FIELD_OWN:
        text = text.replace(allowed, "")
    return set(re.findall(r"[a-z]+", text.lower())) & NOT_IN_TEXTS


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_names_are_in_the_fields_words(path):
    found = {name: words_of(name) & NOT_IN_NAMES for name in names_in(path)
             if name not in NAMES_ALLOWED and words_of(name) & NOT_IN_NAMES}
    assert not found


def test_shell_options_and_their_help_are_in_the_fields_words():
    options = shell_options()
    assert len(options) > 150
    assert not {name: offending(f"{name} {text}") for name, text in options if offending(f"{name} {text}")}


@pytest.mark.parametrize("config_class", [SegmentConfig, RegisterConfig, SuperResolveConfig])
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
