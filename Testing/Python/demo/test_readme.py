"""The README: its commands are the program's, its code is the library's, its links and pictures are there."""

import ast
import re
import shlex

import pytest
from places import REPOSITORY as ROOT

import meddl
from meddl import cli
from meddl.core.paths import resources_folder

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def shell_lines(command: str) -> list[str]:
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    return [line for line in lines if line.split(maxsplit=1)[:1] == [command]]


def python_blocks() -> list[str]:
    return [block for kind, block in BLOCKS if kind == "python"]


@pytest.mark.parametrize("line", shell_lines("meddl"))
def test_the_command_line_takes_every_command(line):
    words = shlex.split(line, comments=True)[1:]
    assert callable(cli.make_parser(words).parse_args(words).function)


@pytest.mark.parametrize("line", shell_lines("make"))
def test_the_makefile_has_every_target(line):
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_python_examples_name_what_the_package_has():
    names = set()
    for block in python_blocks():
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "meddl":
                names.add(node.attr)
    assert {"load", "segment", "register", "super_resolve", "save"} <= names
    assert not names - set(meddl.__all__)


def test_console_examples_call_what_the_modules_have():
    calls = re.findall(r'getModuleLogic\("(\w+)"\)\.(\w+)\(', TEXT)
    assert {module for module, _ in calls} == {"MedDLSeg", "MedDLRegister", "MedDLSuperRes"}
    for module, verb in calls:
        assert f"    def {verb}(self" in (ROOT / module / f"{module}.py").read_text(encoding="utf-8")


def test_links_and_pictures_within_the_project_are_there():
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", TEXT) if "://" not in link]
    assert links
    missing = [link for link in links if not (ROOT / link.partition("#")[0]).exists()]
    assert not missing


def test_the_help_of_every_module_leads_to_its_section():
    anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
               for title in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)}
    for module in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
        source = (ROOT / module / f"{module}.py").read_text(encoding="utf-8")
        linked = re.findall(r'SlicerMedDL#([\w-]+)"', source)
        assert linked and set(linked) <= anchors


def test_no_figure_is_left_open():
    assert not re.findall(r"\{\{\w+\}\}", TEXT)


def test_all_packages_that_apply_installs_are_named():
    section = TEXT.partition("## Install in Slicer")[2].partition("\n## ")[0]
    lines = (resources_folder() / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for name in ["torch", *(re.match(r"[\w-]+", line)[0] for line in lines if line and not line.startswith("#"))]:
        assert re.search(rf"\b{name}\b", section), name
