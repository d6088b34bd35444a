"""Imports go down only, and loading the package or Slicer's side pulls in nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from import_graph import (
    LIBRARY,
    MODULES,
    backend_files,
    bridge_files,
    files_imported,
    foreign,
    imports_of,
    lazy_homes,
    loaded_with,
    module_name,
    own_modules,
    slicer_module_files,
)
from places import REPOSITORY as ROOT

# The rooms of meddl by floor: each may import those above it in this table.
FLOORS = (
    {"core"},
    {"spatial", "worker"},
    {"io", "measures", "networks"},
    {"models", "results", "synthesis"},
    {"registration", "recognition", "samples", "pictures"},
    {"segmentation", "painting", "superres", "classification"},
    {"detection", "inpainting", "contrast_synthesis"},
    {"training", "jobs", "demo", "comparison", "uncertainty", "explanation", "landmarks",
     "series"},
    {"active_learning", "compression", "deidentification", "evaluation", "longitudinal", "preparation", "reports"},
    {"cli"},
    {"__main__"},
)
# Folders with more than twelve entries, and why.
LARGE_FOLDERS = {
    "meddl": "one entry for each room, and those that a program imports: results and samples",
}
SLICER_SIDE = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "sitkUtils", "PythonQt", "meddl_slicer", *MODULES}
SHIPPED_WITH_SLICER = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "numpy", "SubjectHierarchyPlugins",
                       "SegmentEditorEffects"}
LIGHT = {"numpy"}
# Parts of the backend that Slicer's own process imports: standard library and numpy, all the way down.
LIGHT_FILES = (
    "meddl", "meddl.core.errors", "meddl.core.progress", "meddl.core.config", "meddl.core.paths", "meddl.spatial.grid",
    "meddl.spatial.volume", "meddl.results", "meddl.worker", "meddl.models.cards", "meddl.models.store.store",
    "meddl.models.catalog.catalog", "meddl.models.listing", "meddl.models.store.installation",
    "meddl.models.volume_metadata",
)


def floor_of(name: str) -> int | None:
    """The floor of a module of meddl, None for the package itself."""
    parts = name.split(".")
    if len(parts) == 1:
        return None
    for number, rooms in enumerate(FLOORS):
        if parts[1] in rooms:
            return number
    raise LookupError(f"meddl.{parts[1]} is on no floor: place it in FLOORS of {Path(__file__).name}.")


def in_new_interpreter(code: str) -> str:
    """What a fresh interpreter, which sees the sources, prints for `code`."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(LIBRARY)!r})\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


def test_the_backend_never_imports_the_slicer_side():
    wrong = [
        f"{path.relative_to(ROOT)}:{i.line} imports {i.name}"
        for path in backend_files() for i in imports_of(path) if i.name.split(".")[0] in SLICER_SIDE
    ]
    assert not wrong


def test_imports_in_the_backend_go_down_only():
    wrong = []
    for path in backend_files():
        here = floor_of(module_name(path))
        for found in imports_of(path):
            if found.name.split(".")[0] != "meddl" or here is None:
                continue
            there = floor_of(found.name)
            other_room = found.name.split(".")[1:2] != module_name(path).split(".")[1:2]
            if there is not None and other_room and there >= here:
                wrong.append(f"{path.relative_to(ROOT)}:{found.line} imports {found.name}, which is not below")
    assert not wrong


def test_no_files_import_each_other_in_a_circle():
    left = {name: files_imported(path) for name, path in own_modules().items()}
    while True:
        free = {name for name, needed in left.items() if not needed & set(left) - {name}}
        if not free:
            break
        left = {name: needed for name, needed in left.items() if name not in free}
    assert not left, f"among these is a circle: {sorted(left)}"


def test_a_stranger_finds_at_most_twelve_entries_in_a_folder():
    large = {}
    for package in ("meddl", "meddl_slicer"):
        for folder in [LIBRARY / package, *(LIBRARY / package).rglob("*")]:
            if folder.is_dir() and folder.name != "__pycache__":
                entries = [e for e in folder.iterdir() if e.name not in ("__pycache__", "__init__.py")]
                if len(entries) > 12:
                    large[folder.relative_to(LIBRARY).as_posix()] = len(entries)
    assert set(large) == set(LARGE_FOLDERS), large


def test_the_table_of_rooms_in_the_architecture_is_true():
    command = [sys.executable, str(ROOT / "Testing" / "update_architecture.py"), "--check"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def test_loading_the_package_itself_imports_only_the_standard_library():
    assert not foreign(loaded_with("meddl"), LIGHT)
    assert {name for name in loaded_with("meddl") if name.startswith("meddl")} == {
        "meddl", "meddl.core", "meddl.core.old_names", "meddl.core.thread_waiting"}


@pytest.mark.parametrize("name", LIGHT_FILES)
def test_what_slicer_imports_of_the_backend_is_light_all_the_way_down(name):
    assert name in own_modules()
    assert not foreign(loaded_with(name), LIGHT)


@pytest.mark.parametrize("path", bridge_files(), ids=lambda path: path.stem)
def test_loading_the_bridge_loads_only_what_slicer_ships(path):
    assert not foreign(loaded_with(module_name(path)), SHIPPED_WITH_SLICER)


@pytest.mark.parametrize("path", slicer_module_files(), ids=lambda path: path.stem)
def test_loading_a_module_loads_only_what_slicer_ships(path):
    reached: dict[str, str] = {}
    for found in imports_of(path):
        if found.at_load:
            for name, asker in loaded_with(found.name).items():
                reached[name] = asker or f"{path.name}:{found.line}"
    assert not foreign(reached, SHIPPED_WITH_SLICER)


def test_modules_never_import_each_other_and_nothing_imports_them():
    wrong = [
        f"{path.relative_to(ROOT)}:{i.line} imports {i.name}"
        for path in slicer_module_files() + bridge_files() for i in imports_of(path) if i.name in MODULES
    ]
    assert not wrong


def test_importing_the_package_leaves_heavy_packages_out():
    loaded = in_new_interpreter("import meddl; print(*sys.modules)").split()
    assert not {"torch", "monai", "SimpleITK", "scipy", "safetensors"} & set(loaded)


def test_importing_what_slicer_uses_leaves_heavy_packages_out():
    loaded = in_new_interpreter(f"import {', '.join(LIGHT_FILES)}; print(*sys.modules)").split()
    assert not {"torch", "monai", "SimpleITK", "scipy", "safetensors"} & set(loaded)


def test_segmenting_by_other_models_loads_no_registration_and_nothing_heavy_but_torch():
    loaded = in_new_interpreter("import meddl; meddl.segment; print(*sys.modules)").split()
    unwanted = {"meddl.registration", "meddl.segmentation.brain.segment_head", "monai", "SimpleITK", "scipy"}
    assert not unwanted & set(loaded)


def test_importing_the_package_takes_under_50_ms_beyond_numpy():
    code = "import time, numpy; start = time.process_time(); import meddl; print(time.process_time() - start)"
    seconds = min(float(in_new_interpreter(code)) for _ in range(5))
    assert seconds < 0.050


def test_every_name_that_the_package_exports_has_a_home():
    for name, home in lazy_homes().items():
        assert home in own_modules(), f"meddl.{name} is to come from {home}, which does not exist"
