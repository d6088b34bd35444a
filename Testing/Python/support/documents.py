"""The project's pages in Markdown: their links, headings and blocks of code."""

import re
import unicodedata
from pathlib import Path

from places import REPOSITORY

README = REPOSITORY / "README.md"
PAGES = (*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md")),
         REPOSITORY / "Testing" / "Benchmarks" / "gpu" / "README.md")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    """The page."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code in a language: sh or python."""
    return [code for kind, code in _BLOCK.findall(text_of(page)) if kind == language]


def shell_lines(page: Path, command: str) -> list[str]:
    """The lines of its shell blocks that begin with a command."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line.split(maxsplit=1)[:1] == [command]]


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _BLOCK.sub("", text_of(page))


def links(page: Path) -> list[tuple[str, str]]:
    """(path, anchor) of each link within the project; either may be empty."""
    found = [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]
    return [tuple(target.partition("#")[::2]) for target in found]


def anchors(page: Path) -> set[str]:
    """The anchors of its headings that GitHub and the site both know."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {_on_github(title) for title in titles} & {_on_the_site(title) for title in titles}


def _on_github(title: str) -> str:
    return re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")


def _on_the_site(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
