"""What imports what, read from the sources of the product."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from places import REPOSITORY as ROOT

LIBRARY = ROOT / "MedDLLib"
MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")


@dataclass(frozen=True)
class Import:
    """One imported module: its dotted name, the line, whether it happens as the file is loaded, or for types alone."""

    name: str
    line: int
    at_load: bool
    for_types: bool = False


def module_name(path: Path) -> str:
    """The dotted name under which `path` is imported."""
    base = LIBRARY if LIBRARY in path.parents else path.parent
    parts = list(path.relative_to(base).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _visit(node: ast.AST, at_load: bool = True,
           for_types: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_load and not for_types, for_types
        else:
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _visit(child, at_load and not later, for_types or types)


@functools.cache
def own_modules() -> dict[str, Path]:
    """Every module of the backend and the bridge by its dotted name."""
    return {module_name(path): path for path in [*backend_files(), *bridge_files()]}


@functools.cache
def lazy_homes() -> dict[str, str]:
    """The names that `meddl` loads on demand, with the modules that they come from."""
    tree = ast.parse((LIBRARY / "meddl" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOMES":
            return ast.literal_eval(node.value)
    raise LookupError("meddl/__init__.py no longer names its lazy exports in _HOMES.")


@functools.cache
def imports_of(path: Path) -> tuple[Import, ...]:
    """All imports of a file; `from meddl import x` counts as an import of the module that x comes from."""
    found = []
    for node, at_load, for_types in _visit(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, at_load, for_types) for alias in node.names]
            continue
        if node.level:
            raise ValueError(f"{path.relative_to(ROOT)}:{node.lineno} imports relatively; write it absolute.")
        module = node.module or ""
        found.append(Import(module, node.lineno, at_load, for_types))
        for alias in node.names:
            inner = f"{module}.{alias.name}"
            if inner in own_modules():
                found.append(Import(inner, node.lineno, at_load, for_types))
            elif module == "meddl" and alias.name in lazy_homes():
                found.append(Import(lazy_homes()[alias.name], node.lineno, at_load, for_types))
    return tuple(found)


def backend_files() -> list[Path]:
    """The files of meddl."""
    return sorted((LIBRARY / "meddl").rglob("*.py"))


def bridge_files() -> list[Path]:
    """The files of meddl_slicer."""
    return sorted((LIBRARY / "meddl_slicer").rglob("*.py"))


def slicer_module_files() -> list[Path]:
    """The files that Slicer loads as modules."""
    return [ROOT / module / f"{module}.py" for module in MODULES]


def files_imported(path: Path) -> set[str]:
    """The modules of ours that a file imports, at load or later; a package whose file is imported does not count."""
    names = {found.name for found in imports_of(path)} & set(own_modules())
    return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}


def loaded_with(name: str) -> dict[str, str]:
    """All modules that loading the module `name` loads, own ones followed, with the line that asks for each."""
    reached: dict[str, str] = {}
    waiting = [(name, "")]
    while waiting:
        current, asker = waiting.pop()
        parts = current.split(".")
        for depth in range(1, len(parts) + 1):
            prefix = ".".join(parts[:depth])
            if prefix in reached:
                continue
            reached[prefix] = asker
            path = own_modules().get(prefix)
            if path is not None:
                asked = path.relative_to(ROOT).as_posix()
                waiting += [(i.name, f"{asked}:{i.line}") for i in imports_of(path) if i.at_load]
    return reached


def foreign(reached: dict[str, str], allowed: set[str]) -> list[str]:
    """The packages reached that are neither ours, nor the standard library's, nor allowed; with who asks."""
    own = {"meddl", "meddl_slicer"}
    return sorted({
        f"{name.split('.')[0]} ({asker})"
        for name, asker in reached.items()
        if (root := name.split(".")[0]) not in own | allowed and root not in sys.stdlib_module_names
    })
