"""Rewrites the table of rooms in ARCHITECTURE.md, between the lines `<!-- begin rooms -->` and `<!-- end rooms -->`.

    python Testing/update_architecture.py           writes the table
    python Testing/update_architecture.py --check   writes nothing, exits with 1 where it is out of date
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "MedDLLib"
PACKAGES = ("meddl", "meddl_slicer")


def own_files(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the backend and the bridge by its dotted name."""
    library = root / "MedDLLib"
    found = {}
    for package in PACKAGES:
        for path in sorted((library / package).rglob("*.py")):
            parts = path.relative_to(library).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room_of(name: str) -> str:
    """The room of a module: the first name below its package."""
    return ".".join(name.split(".")[:2])


def arrows(root: Path = ROOT) -> dict[str, set[str]]:
    """For each room the other rooms that its files import, at load or later."""
    files = own_files(root)
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        room = room_of(name)
        if room in PACKAGES:
            continue
        reached = found.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    reached.add(room_of(inner if inner in files else node.module))
            elif isinstance(node, ast.Import):
                reached.update(room_of(alias.name) for alias in node.names if alias.name.split(".")[0] in PACKAGES)
        reached -= {room, *PACKAGES}
    return found


def purpose_of(room: str, root: Path = ROOT) -> str:
    """The first line of a room's docstring."""
    path = root / "MedDLLib" / Path(*room.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]


def floors(found: dict[str, set[str]]) -> list[list[str]]:
    """The rooms by floor: each imports rooms of lower floors only.

    Raises:
        ValueError: rooms import each other in a circle.
    """
    levels: list[list[str]] = []
    placed: set[str] = set()
    while len(placed) < len(found):
        level = sorted(room for room in found if room not in placed and found[room] <= placed)
        if not level:
            raise ValueError(f"These rooms import each other in a circle: {', '.join(sorted(set(found) - placed))}")
        levels.append(level)
        placed.update(level)
    return levels


def sketch(root: Path = ROOT) -> str:
    """The table of rooms, lowest floor first."""
    found = arrows(root)
    lines = ["| Floor | Room | What is in it | Imports |", "|---:|---|---|---|"]
    for number, level in enumerate(floors(found)):
        for room in level:
            below = ", ".join(f"`{name.removeprefix('meddl.')}`" for name in sorted(found[room])) or "nothing"
            lines.append(f"| {number} | `{room}` | {purpose_of(room, root)} | {below} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where it is out of date")
    check = parser.parse_args(arguments).check
    path = ROOT / "ARCHITECTURE.md"
    text = path.read_text(encoding="utf-8")
    begin, end = "<!-- begin rooms -->\n", "\n<!-- end rooms -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    renewed = head + begin + sketch() + end + tail
    if renewed == text:
        return 0
    if check:
        print("ARCHITECTURE.md is out of date: run `make architecture`.")
        return 1
    path.write_text(renewed, encoding="utf-8")
    print("rewritten: ARCHITECTURE.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
