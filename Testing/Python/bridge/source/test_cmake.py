"""The extension configured, built, installed, packaged and started with Slicer's own CMake macros.

Environment variables SLICER_SOURCE and CTK_SOURCE name work trees of the two.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from extension_build import (
    MODULES,
    SLICER_SOURCE,
    STAND_IN,
    ExtensionBuild,
    cmake_version,
    files_below,
    files_to_ship,
    run,
    tool,
)

LAUNCHER = Path(__file__).with_name("launcher.py")
RUN_TIMEOUT_S = 540
pytestmark = [pytest.mark.slicer, pytest.mark.timeout(RUN_TIMEOUT_S + 60)]


def source(name: str, part: str) -> Path:
    """The work tree that an environment variable names; the test is skipped where it names none."""
    given = os.environ.get(name)
    if not given:
        pytest.skip(f"needs {name}, a work tree")
    if not (Path(given) / part).is_file():
        raise FileNotFoundError(f"{name}={given} has no {part}")
    return Path(given).resolve()


def with_sources(folder: Path, prefix: Path) -> ExtensionBuild:
    """MedDL with the macros of SLICER_SOURCE and CTK_SOURCE."""
    slicer = source("SLICER_SOURCE", "CMake/SlicerMacroBuildScriptedModule.cmake")
    ctk = source("CTK_SOURCE", "CMake/ctkMacroCompilePythonScript.cmake")
    text = (slicer / "CMake" / "UseSlicerMacros.cmake").read_text(encoding="utf-8")
    needed = tuple(map(int, re.search(r"cmake_minimum_required\(VERSION (\d+)\.(\d+)", text).groups()))
    if cmake_version() < needed:
        pytest.skip(f"Slicer's macros need CMake {needed[0]}.{needed[1]} or newer")
    return ExtensionBuild.make(
        folder, prefix, SLICER_SOURCE, SLICER_SOURCE=str(slicer), CTK_SOURCE=str(ctk), PYTHON_EXECUTABLE=sys.executable,
        Slicer_LAUNCHER_EXECUTABLE=f"{sys.executable};{LAUNCHER}")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> ExtensionBuild:
    """The extension with Slicer's macros."""
    return with_sources(tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def imitated(built, tmp_path_factory) -> ExtensionBuild:
    """The extension with the stand-in for them."""
    return ExtensionBuild.make(tmp_path_factory.mktemp("imitated"), tmp_path_factory.mktemp("installed"), STAND_IN)


def started(*command: str, folder: Path) -> str:
    """Run a command without what would bring the checkout onto the path; it must succeed. Returns what it printed."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MEDDL_RESOURCES")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
                          timeout=RUN_TIMEOUT_S + 30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_code(built: ExtensionBuild, code: str) -> str:
    """Run code with the installed modules loaded; returns what it printed."""
    return started(sys.executable, str(LAUNCHER), "--no-splash", "--testing", "--additional-module-paths",
                   str(built.modules), "--python-code", code, folder=built.prefix)


def run_test(built: ExtensionBuild, name: str) -> int:
    """Run one of the extension's tests as ctest does; returns how many test cases ran."""
    printed = started(tool("ctest"), "--no-tests=error", "--verbose", "--timeout", str(RUN_TIMEOUT_S),
                      "-R", f"^{name}$", folder=built.folder)
    return int(re.search(r"Ran (\d+) tests? in", printed).group(1))


def test_what_git_tracks_is_installed_as_it_is_and_nothing_else(built):
    shipped = files_to_ship()
    assert files_below(built.modules) == set(shipped)
    changed = [place for place, file in shipped.items() if (built.modules / place).read_bytes() != file.read_bytes()]
    assert not changed


def test_every_script_was_compiled(built):
    scripts = set(built.modules.rglob("*.py"))
    assert {path.with_suffix(".py") for path in built.modules.rglob("*.pyc")} == scripts


def test_the_description_holds_the_metadata_of_the_extension(built):
    (description,) = built.prefix.rglob("MedDL.s4ext")
    lines = dict(re.findall(r"^(\w+) (.+)$", description.read_text(encoding="utf-8"), re.MULTILINE))
    assert lines["depends"] == "PyTorch"
    assert lines["category"] == "Segmentation"
    assert lines["enabled"] == "1"
    assert lines["homepage"].endswith("SlicerMedDL") and lines["iconurl"].endswith("MedDL.png")
    assert len(lines["screenshoturls"].split()) == len(MODULES)


def test_the_package_for_the_extensions_manager_holds_what_is_installed(built):
    run("cpack", "-B", str(built.folder / "packages"), cwd=built.folder)
    (package,) = (built.folder / "packages").glob("*-MedDL-*.tar.gz")
    with tarfile.open(package) as archive:
        names = {name.partition("/")[2] for name in (member.name for member in archive if member.isfile())}
    assert names == {path.relative_to(built.prefix).as_posix() for path in built.prefix.rglob("*") if path.is_file()}


def test_the_stand_in_installs_and_tests_the_same(built, imitated):
    assert files_below(imitated.modules) == files_below(built.modules)
    assert {test["name"] for test in imitated.tests()} == {test["name"] for test in built.tests()}


@pytest.mark.parametrize("module", MODULES)
def test_slicers_generic_test_of_a_module_passes_without_main_window(built, module):
    assert run_test(built, f"py_nomainwindow_qSlicer{module}ModuleGenericTest") > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for module in MODULES for name in (f"py_{module}", f"py_{module}Test")])
def test_a_modules_own_tests_are_found_and_pass(built, name):
    assert run_test(built, name) > 0


def test_a_test_that_fails_fails_slicers_command(built):
    with pytest.raises(AssertionError, match="KeyError"):
        run_code(built, "{}['absent']")


def test_the_installed_panels_open(built):
    code = """
import sys, slicer
for name in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
    slicer.util.selectModule(name)
    assert slicer.util.getModuleWidget(name).ui.applyButton.text
    print(slicer.util.modulePath(name))
for name, module in list(sys.modules.items()):
    if name.partition(".")[0] in ("meddl", "meddl_slicer"):
        print(module.__file__)
"""
    files = [Path(line) for line in run_code(built, code).split()]
    assert len(files) > len(MODULES)
    assert [file for file in files if not file.resolve().is_relative_to(built.modules.resolve())] == []


@pytest.mark.slow
def test_a_segmentation_runs_from_the_installed_tree(built):
    code = """
import pathlib, slicer
from meddl_slicer.runs import sample_data, tasks
head = sample_data.load("T1")
node = slicer.util.getModuleLogic("MedDLSeg").segment(head)
print(node.GetSegmentation().GetNumberOfSegments())
pid = tasks.worker().pid
command = pathlib.Path(f"/proc/{pid}/cmdline")
print(command.read_text().split("\\0")[1] if command.exists() else tasks.__file__)
"""
    segments, file = run_code(built, code).split()
    assert int(segments) > 20
    assert Path(file).resolve().is_relative_to(built.modules.resolve())
