"""Rewrites the file lists in the CMake files, between the lines `# begin NAME` and `# end NAME`.

    python Testing/update_cmake_lists.py           writes the lists
    python Testing/update_cmake_lists.py --check   writes nothing, exits with 1 where a list is out of date
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
PACKAGES = ("meddl", "meddl_slicer")
SHARED = "Resources/MedDL"
_SKIPPED_SUFFIXES = {".pyc", ".pyo", ".tmp", ".partial"}


def shipped_files(folder: Path) -> list[Path]:
    """All files under `folder`, sorted, without caches, hidden and unfinished files.

    Empty where `folder` is absent.
    """
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.is_file() and not hidden and path.suffix not in _SKIPPED_SUFFIXES:
            found.append(path)
    return sorted(found, key=lambda path: path.as_posix())


def _relative(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def library_lists(root: Path = ROOT) -> dict[str, list[str]]:
    """The lists of MedDLLib/CMakeLists.txt: relative to MedDLLib, the shared resources to the root."""
    library = root / "MedDLLib"
    files = [path for package in PACKAGES for path in shipped_files(library / package)]
    return {
        "scripts": _relative([path for path in files if path.suffix == ".py"], library),
        "resources": _relative([path for path in files if path.suffix != ".py"], library),
        "shared resources": _relative(shipped_files(root / SHARED), root),
    }


def module_lists(module: str, root: Path = ROOT) -> dict[str, list[str]]:
    """The lists of a module's CMakeLists.txt: its Python files and everything under its Resources."""
    folder = root / module
    return {
        "scripts": _relative(sorted(folder.glob("*.py")), folder),
        "resources": _relative(shipped_files(folder / "Resources"), folder),
    }


def test_lists(module: str, root: Path = ROOT) -> dict[str, list[str]]:
    """The list of a module's Testing/Python/CMakeLists.txt: the tests that run inside Slicer."""
    folder = root / module / "Testing" / "Python"
    return {"tests": _relative(sorted(folder.glob("*.py")), folder)}


def all_lists(root: Path = ROOT) -> dict[Path, dict[str, list[str]]]:
    """Every CMake file that holds lists, with the lists as they must be."""
    lists = {root / "MedDLLib" / "CMakeLists.txt": library_lists(root)}
    for module in MODULES:
        lists[root / module / "CMakeLists.txt"] = module_lists(module, root)
        lists[root / module / "Testing" / "Python" / "CMakeLists.txt"] = test_lists(module, root)
    return lists


def with_list(text: str, name: str, files: list[str]) -> str:
    """`text` with the lines between the markers of `name` replaced by `files`, one a line.

    Raises ValueError where the markers are missing or a name needs quoting.
    """
    for file in files:
        if re.search(r"[\s;()#\"\\$]", file):
            raise ValueError(f"The name {file!r} needs quoting in CMake: rename the file.")
    pattern = re.compile(rf"(?ms)^( *)# begin {re.escape(name)}\n.*?^ *# end {re.escape(name)}\n")
    match = pattern.search(text)
    if not match:
        raise ValueError(f"The markers `# begin {name}` and `# end {name}` are missing.")
    indent = match.group(1)
    lines = [f"# begin {name}", *files, f"# end {name}"]
    return text[: match.start()] + "".join(f"{indent}{line}\n" for line in lines) + text[match.end() :]


def updated_text(path: Path, lists: dict[str, list[str]]) -> str:
    """The CMake file at `path` with its lists brought up to date."""
    text = path.read_text(encoding="utf-8")
    for name, files in lists.items():
        text = with_list(text, name, files)
    return text


def main(arguments: list[str] | None = None) -> int:
    """Writes or checks the lists; returns the exit status."""
    parser = argparse.ArgumentParser(description="Bring the file lists of the CMake files up to date.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail where one is out of date")
    check = parser.parse_args(arguments).check
    stale = False
    for path, lists in all_lists().items():
        text = updated_text(path, lists)
        if text == path.read_text(encoding="utf-8"):
            continue
        stale = True
        if not check:
            path.write_text(text, encoding="utf-8")
        print(("out of date: " if check else "rewritten: ") + path.relative_to(ROOT).as_posix())
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
