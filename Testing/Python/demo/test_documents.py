"""The documents: links lead somewhere, commands are the program's, the reference has every public name."""

import ast
import json
import re
import shlex
import sys

import pytest
from documents import PAGES, README, anchors, blocks, links, prose, shell_lines, text_of
from field_words import NOT_ON_PAGES, offending
from places import REPOSITORY

import meddl
from meddl import cli

NAMES = [page.relative_to(REPOSITORY).as_posix() for page in PAGES]
COMMANDS = [(page, line) for page in PAGES for line in shell_lines(page, "meddl")]
SCRIPTS = sorted({name for page in PAGES for name in re.findall(r"python (Testing/[\w/]+\.py)", text_of(page))})


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{path}, which {page.name} links to, is not there"
        assert not anchor or anchor in anchors(target), f"{target.name} has no heading #{anchor}"


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page.stem}: {line[:50]}" for page, line in COMMANDS])
def test_the_command_line_takes_every_command(page, line):
    words = shlex.split(line, comments=True)[1:]
    if "--config" in words:  # it is read with the options; test_cli_reports.py gives one
        del words[words.index("--config"):words.index("--config") + 2]
    assert callable(cli.make_parser(words).parse_args(words).function)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_blocks_name_what_the_package_has(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "meddl":
                assert node.attr in meddl.__all__
            if isinstance(node, ast.ImportFrom) and node.module.startswith("meddl."):
                module = pytest.importorskip(node.module) if not node.module.startswith("meddl_slicer") else None
                assert module is None or all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_that_figures_name_are_there(script):
    assert (REPOSITORY / script).is_file()


def test_every_target_of_make_that_a_page_names_exists():
    makefile = text_of(REPOSITORY / "Makefile")
    for page in PAGES:
        for target in re.findall(r"`make ([a-z-]+)", text_of(page)) + [
                shlex.split(line, comments=True)[1] for line in shell_lines(page, "make")]:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


def named_in(page: str, section: str = "") -> set[str]:
    """What a page, or a section of it, names in code style."""
    text = prose(REPOSITORY / page)
    if section:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"`([^`\n]+)`", text))


def sources() -> dict[str, str]:
    """The text of every file of the product and its tests, by its path below the repository."""
    roots = [REPOSITORY / name for name in ("MedDLLib", "MedDLSeg", "MedDLRegister", "MedDLSuperRes", "Testing/Python")]
    return {path.relative_to(REPOSITORY).as_posix(): text_of(path) for root in roots for path in root.rglob("*.py")}


def is_in_the_house(name: str, files: dict[str, str]) -> bool:
    """Whether a dotted name, whose beginning may be left out, is a file, a folder or a name defined in a file."""
    path = name.replace(".", "/")
    above, _, last = path.rpartition("/")
    defines = re.compile(rf"^(?:class |def |){last}\b", re.MULTILINE)
    if any(f"/{file}".endswith((f"/{path}.py", f"/{path}/__init__.py")) for file in files):
        return True
    return any(f"/{file}".endswith((f"/{above}.py", f"/{above}/__init__.py")) and defines.search(text)
               for file, text in files.items())


def test_the_walks_of_the_architecture_go_through_files_and_functions_that_are_there():
    files, names = sources(), named_in("ARCHITECTURE.md", "One walk a verb")
    dotted = {name for name in names if "." in name and not name.endswith(".py")}
    assert len(dotted) > 15
    assert not {name for name in dotted if not is_in_the_house(name, files)}
    assert not is_in_the_house("verbs.no_such_function", files) and not is_in_the_house("meddl.no_such_room", files)


def test_what_contributors_are_led_to_is_there():
    files, names = sources(), named_in("CONTRIBUTING.md")
    paths = {name for name in names if re.fullmatch(r"[\w./-]+/[\w./-]*|[\w.-]+\.(py|md|txt|toml|yml|cff)", name)}
    assert len(paths) > 25
    for path in paths:
        assert (REPOSITORY / path).exists() or (REPOSITORY / "Testing" / "Python" / path).exists() or any(
            file.endswith(f"/{path}") for file in files), path
    words = {name.partition("(")[0] for name in names
             if re.fullmatch(r"[A-Za-z]\w*_\w+(\(.*\))?|[A-Z][a-z]\w+[A-Z]\w+", name)}
    text = "\n".join(files.values())
    assert len(words) > 10
    assert not {word for word in words if not word.endswith("_X") and not re.search(rf"\b{word}\b", text)}


def test_every_section_of_the_benchmarks_names_its_command():
    sections = re.split(r"^### ", text_of(REPOSITORY / "docs" / "benchmarks.md"), flags=re.MULTILINE)[1:]
    assert sections
    for section in sections:
        assert re.search(r"python Testing/|meddl evaluate", section), section.splitlines()[0]


def test_every_figure_in_the_readme_is_in_the_benchmarks_or_the_page_of_installation():
    kept = text_of(REPOSITORY / "docs" / "benchmarks.md") + text_of(REPOSITORY / "docs" / "how-to" / "install.md")
    tables = [line for line in text_of(README).splitlines() if line.startswith("| ")]
    figures = set(re.findall(r"[+−]?\d+\.\d+", "\n".join(tables)))
    assert len(figures) > 20
    assert not {figure for figure in figures if figure not in kept}


def test_the_site_lists_every_page_and_loads_nothing_from_elsewhere():
    site = text_of(REPOSITORY / "mkdocs.yml")
    listed = set(re.findall(r"([\w/-]+\.md)$", site, re.MULTILINE))
    assert listed == {page.relative_to(REPOSITORY / "docs").as_posix() for page in (REPOSITORY / "docs").rglob("*.md")}
    assert re.search(r"^  font: false$", site, re.MULTILINE)
    assert not re.search(r"^(repo_url|extra_javascript|extra_css):", site, re.MULTILINE)


@pytest.fixture
def reference(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "docs"))
    import reference
    yield reference
    sys.modules.pop("reference")


def test_the_reference_has_every_public_name_with_its_docstring(reference):
    page = text_of(REPOSITORY / "docs" / "reference.md")
    listed = re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)
    errors = {name for name in meddl.__all__ if name.endswith("Error") or name == "Cancelled"}
    assert {name.removeprefix("meddl.") for name in listed} >= set(meddl.__all__) - errors
    written = reference.page(page)
    assert ":::" not in written
    for name in ("register", "segment", "RegisterConfig", "Volume"):
        assert f"### meddl.{name} {{#meddl.{name}}}" in written
    for field in meddl.RegisterConfig.__dataclass_fields__.values():
        assert field.metadata["help"] in written
    assert "- `fixed_mask, moving_mask`: (1, I, J, K)" in written and "fixed_mask: VolumeLike | None = None" in written
    with pytest.raises(LookupError):
        reference.page("::: meddl.nothing")


PRIVATE = ("heads vote", "single heads", "coarse look", "Times faster by", "carried along")
CARDS = sorted((REPOSITORY / "Resources" / "MedDL" / "Models").glob("*/card.json"))
PARTS = ("name", "description", "intended_use", "limits")


# The changelog says what was, the table of old places how it was called.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in ("CHANGELOG.md", "ARCHITECTURE.md")],
                         ids=lambda page: page.stem)
def test_pages_use_the_terms_of_the_field(page):
    text = re.sub(r"\s+", " ", re.sub(r"`[^`]*`", "", prose(page)))
    assert not offending(text, NOT_ON_PAGES)
    assert not [words for words in PRIVATE if words in text]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.parent.name)
def test_cards_use_the_terms_of_the_field(card):
    content = json.loads(card.read_text(encoding="utf-8"))
    assert not offending(" ".join(content[part] or "" for part in PARTS), NOT_ON_PAGES)
