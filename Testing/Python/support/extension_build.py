"""MedDL configured, built and installed by CMake, against the stand-in for Slicer or against Slicer's own macros."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import LIBRARY, REPOSITORY

STAND_IN = REPOSITORY / "Testing" / "CMake"
SLICER_SOURCE = STAND_IN / "SlicerSource"
MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
PACKAGES = ("meddl", "meddl_slicer")
_TIMEOUT_S = 200


def tool(name: str) -> str:
    """The path of cmake, ctest or cpack, beside the interpreter or on the PATH; the test is skipped without it."""
    beside = Path(sys.executable).parent / name
    path = str(beside) if beside.is_file() else shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return path


def run(name: str, *arguments: str, cwd: Path | None = None, timeout: float = _TIMEOUT_S) -> str:
    """Run cmake, ctest or cpack, which must succeed; returns its standard output."""
    done = subprocess.run([tool(name), *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cmake_version() -> tuple[int, int]:
    """Major and minor version of cmake."""
    major, minor = re.search(r"version (\d+)\.(\d+)", run("cmake", "--version")).groups()
    return int(major), int(minor)


@dataclass(frozen=True)
class ExtensionBuild:
    """A build folder, and the folder that it was installed into."""

    folder: Path
    prefix: Path

    @classmethod
    def make(cls, folder: Path, prefix: Path, slicer: Path, **definitions: str) -> ExtensionBuild:
        """Configure, build and install; `slicer` is the folder of SlicerConfig.cmake."""
        for compiler in ("cc", "c++"):
            if shutil.which(compiler) is None:
                pytest.skip("needs a C and a C++ compiler: CMake looks for them in every project")
        given = {"Slicer_DIR": slicer, "CMAKE_INSTALL_PREFIX": prefix, "CMAKE_BUILD_TYPE": "Release", **definitions}
        run("cmake", "-S", str(REPOSITORY), "-B", str(folder), *(f"-D{name}={value}" for name, value in given.items()))
        run("cmake", "--build", str(folder))
        run("cmake", "--install", str(folder))
        return cls(folder, prefix)

    @property
    def modules(self) -> Path:
        """The installed folder of scripted modules, the only one."""
        (found,) = self.prefix.rglob("qt-scripted-modules")
        return found

    def tests(self) -> list[dict]:
        """The tests as ctest lists them: `name`, `command`."""
        return json.loads(run("ctest", "--show-only=json-v1", cwd=self.folder))["tests"]


def files_below(folder: Path) -> set[str]:
    """The files below a folder but for compiled scripts, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")
            if path.is_file() and path.suffix != ".pyc"}


def files_to_ship() -> dict[str, Path]:
    """What an installation holds: places in the folder of scripted modules, with the files of the checkout.

    They are the files that git tracks; the test is skipped where this is not a checkout.
    """
    shipped = {}
    for path in _tracked():
        parts = path.relative_to(REPOSITORY).parts
        if parts[0] == "MedDLLib" and parts[1] in PACKAGES:
            shipped[path.relative_to(LIBRARY).as_posix()] = path
        elif parts[:2] == ("Resources", "MedDL"):
            shipped["/".join(parts)] = path
        elif parts[0] in MODULES and (parts[1] == "Resources" or parts[1:] == (f"{parts[0]}.py",)):
            shipped["/".join(parts[1:])] = path
    return shipped


def _tracked() -> list[Path]:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    done = subprocess.run(["git", "-C", str(REPOSITORY), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]
