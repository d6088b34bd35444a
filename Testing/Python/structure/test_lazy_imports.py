"""Imports that run later than their file: each is of a kind with a reason; all others stand at the top."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from import_graph import (
    LIBRARY,
    Import,
    backend_files,
    bridge_files,
    foreign,
    imports_of,
    loaded_with,
    own_modules,
    slicer_module_files,
)

LIGHT = {"numpy"}
OF_ONE_SYSTEM = {"resource", "ctypes", "_winapi", "multiprocessing", "multiprocessing.connection",
                 "multiprocessing.reduction"}
OF_THE_APPLICATION = {"SampleData", "PyTorchUtils", "vtkmodules", "slicer", "packaging"}


def room(path: Path) -> str:
    """The folder or file of a package that `path` belongs to, such as meddl/cli."""
    parts = path.relative_to(LIBRARY).parts if LIBRARY in path.parents else path.parts[-1:]
    return "/".join(parts[:2])


def is_own(name: str) -> bool:
    """Whether a module is the project's."""
    return name.split(".")[0] in ("meddl", "meddl_slicer")


def loads_packages(name: str) -> bool:
    """Whether loading this module loads a package beyond numpy."""
    if is_own(name):
        return bool(foreign(loaded_with(name), LIGHT | OF_THE_APPLICATION)) if name in own_modules() else True
    return name.split(".")[0] not in sys.stdlib_module_names | LIGHT


# The kinds, with the reason of each: the first that an import is of counts.
KINDS: dict[str, Callable[[Path, Import], bool]] = {
    "names for annotations alone, which are not looked up as a program runs":
        lambda path, found: found.for_types,
    "part of the standard library or of Slicer that is not there on every system, or only once the application runs":
        lambda path, found: found.name in OF_ONE_SYSTEM or found.name.split(".")[0] in OF_THE_APPLICATION,
    "torch, MONAI, SimpleITK, SciPy or another package, or a file that loads one: not at the start of a program, and "
    "not where the package is missing":
        lambda path, found: loads_packages(found.name),
    "of a shell command: `meddl --help` and completion load no more than the parser":
        lambda path, found: room(path) in ("meddl/cli", "meddl/demo", "meddl/evaluation", "meddl/training"),
    "of a function that runs in another process, a worker or a node of a cluster, and brings what it needs":
        lambda path, found: path.name in ("remote.py", "ray_cluster.py", "entry.py", "one_case.py", "import_process.py")
        or found.name == "meddl.models.store.import_process",
}


def lazy_imports() -> list[tuple[Path, Import]]:
    """Every import of the product that does not happen as its file is loaded; not the package of a module with it."""
    return [(path, found) for path in [*backend_files(), *bridge_files(), *slicer_module_files()]
            for found in imports_of(path) if not found.at_load and not any(
                other.line == found.line and other.name.startswith(f"{found.name}.") for other in imports_of(path))]


def kind_of(path: Path, found: Import) -> str | None:
    """The first kind that an import is of."""
    return next((kind for kind, holds in KINDS.items() if holds(path, found)), None)


def test_every_lazy_import_is_of_a_kind_with_a_reason():
    assert not [f"{path.name}:{found.line} imports {found.name} late, for none of the reasons in KINDS"
                for path, found in lazy_imports() if kind_of(path, found) is None]


def test_every_kind_is_needed():
    assert {kind_of(path, found) for path, found in lazy_imports()} == set(KINDS)


@pytest.mark.parametrize("name", ["os", "meddl.core.errors", "numpy"])
def test_a_light_module_is_imported_at_the_top(name):
    anywhere = LIBRARY / "meddl" / "spatial" / "grid.py"
    assert kind_of(anywhere, Import(name, 1, at_load=False)) is None
    assert kind_of(anywhere, Import("torch", 1, at_load=False)) is not None
