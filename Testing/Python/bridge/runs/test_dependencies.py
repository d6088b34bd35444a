"""Packages are asked for when a run is wanted, through Slicer's own ways, and a refusal says what to do."""

import importlib.metadata
import os
import subprocess
import sys

import pytest
import slicer
from places import LIBRARY, SUPPORT, TESTS

import host
from meddl.core.errors import DependencyError
from meddl_slicer.runs.packages import dependencies, torch_platforms


@pytest.fixture(autouse=True)
def fresh(clean):
    """No recorded dialogs or runs before or after."""


def runs(module="pip"):
    """The recorded runs of a Python module."""
    return [run for run in host.python_runs.runs if run.module == module]


def pinned(run):
    """The versions that a run leaves as they are, by name in small letters."""
    return {name.lower(): version for name, version in (line.split("==") for line in run.constraints)}


def test_where_all_is_installed_nothing_is_asked():
    dependencies.ensure()
    assert not host.dialogs
    assert not host.python_runs.runs
    assert dependencies.missing() == []


def test_packages_are_looked_at_again_only_after_one_has_come_or_gone(monkeypatch):
    asked = []
    check = slicer.packaging.pip_check
    monkeypatch.setattr(slicer.packaging, "pip_check", lambda *given: asked.append(given) or check(*given))
    dependencies.ensure()
    asked.clear()
    dependencies.ensure()
    assert not asked
    host.hide_package("safetensors")
    assert dependencies.missing() == dependencies.missing() != [] and asked


def test_slicers_packaging_is_imported_by_whoever_needs_it():
    code = ("import host; host.install(); import slicer; assert not hasattr(slicer, 'packaging');"
            "from meddl_slicer.runs.packages import dependencies; assert dependencies.missing() == []")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=host.repository,
                   env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (LIBRARY, TESTS, SUPPORT)))})


def test_torch_is_installed_by_the_pytorch_extension_with_our_floor():
    host.hide_package("torch")
    assert "torch>=2.5" in dependencies.missing()
    host.answer("Ok")
    host.python_runs.succeed()
    dependencies.ensure()
    (run,) = runs("light_the_torch")
    assert run.arguments == ("install", "torch>=2.5", "torchvision")
    assert len(host.dialogs) == 1


def test_torch_comes_without_another_version_of_slicers_packages():
    host.hide_package("torch")
    host.pretend_package("nvidia-cublas", "13.0.0.19")  # left over by a torch that was uninstalled
    host.answer("Ok")
    host.python_runs.succeed()
    dependencies.ensure()
    (run,) = runs("light_the_torch")
    for name in ("numpy", "simpleitk", "scipy", "vtk"):
        assert pinned(run)[name] == importlib.metadata.version(name)
    assert not {"torch", "sympy", "nvidia-cublas", "pip", "setuptools"} & set(pinned(run))


def test_a_refused_torch_stops_the_run_with_what_to_do():
    host.hide_package("torch")
    with pytest.raises(DependencyError, match="Start the run again"):
        dependencies.ensure()
    assert [dialog.kind for dialog in host.dialogs] == ["question"]
    assert not host.python_runs.runs


def test_a_failed_installation_of_torch_is_told_with_its_remedy():
    host.hide_package("torch")
    host.answer("Ok")
    with pytest.raises(DependencyError, match="PyTorch Utils"):
        dependencies.ensure()


def test_without_the_pytorch_extension_the_user_is_sent_to_the_extensions_manager():
    host.hide_package("torch")
    host.pytorch.remove_extension()
    with pytest.raises(DependencyError, match="Extensions Manager"):
        dependencies.ensure()


def test_an_old_torch_is_never_replaced_behind_the_users_back():
    host.pretend_package("torch", "2.1.0")
    with pytest.raises(DependencyError, match="older one is installed"):
        dependencies.ensure()
    assert not host.python_runs.runs


@pytest.mark.parametrize("version", ["2.5.0", "2.13.0+cpu", "3.0.0.dev20270101"])
def test_a_torch_that_is_new_enough_is_taken(version):
    host.pretend_package("torch", version)
    assert dependencies.torch_installed()


def test_where_there_is_no_torch_for_this_computer_that_is_said_before_any_download(monkeypatch):
    host.hide_package("torch", "safetensors")
    monkeypatch.setattr(dependencies, "why_no_torch", lambda: "No torch here. Take another computer.")
    with pytest.raises(DependencyError, match="Take another computer"):
        dependencies.ensure()
    assert not host.dialogs
    assert not host.python_runs.runs


def test_other_packages_go_through_slicers_own_question():
    host.hide_package("safetensors")
    with pytest.raises(DependencyError, match="safetensors"):
        dependencies.ensure("MedDL")
    assert [dialog.kind for dialog in host.dialogs] == ["question"]
    assert host.dialogs[0].title == "MedDL - Install Python Packages"
    assert not host.python_runs.runs


@pytest.mark.parametrize("torch", ["2.5.1+cu121", "2.8.0+cpu", "2.13.0"])
def test_other_packages_come_without_another_version_of_what_is_installed(torch):
    host.pretend_package("torch", torch)
    host.hide_package("monai", "safetensors")
    host.python_runs.succeed()
    host.answer("Ok")
    dependencies.ensure()
    (run,) = runs()
    assert run.arguments[0] == "install"
    assert {text.partition(">")[0] for text in run.arguments[1:-2]} == {"monai", "safetensors"}
    assert pinned(run)["torch"] == torch
    for name in ("numpy", "simpleitk", "scipy", "vtk", "jsonschema"):
        assert pinned(run)[name] == importlib.metadata.version(name)
    assert not {"monai", "safetensors"} & set(pinned(run))


def test_a_failed_installation_is_told_with_its_remedy():
    host.hide_package("safetensors")
    host.answer("Ok")
    with pytest.raises(DependencyError, match="network or proxy"):
        dependencies.ensure()


def test_packages_that_are_not_found_after_their_installation_need_a_restart(monkeypatch):
    host.hide_package("safetensors")
    monkeypatch.setattr(slicer.packaging, "pip_ensure", lambda *args, **options: None)
    with pytest.raises(DependencyError, match="Restart Slicer"):
        dependencies.ensure()


@pytest.mark.parametrize("lacking", ["torch", "monai"])
def test_in_testing_mode_nothing_is_installed_and_the_reason_is_told(lacking):
    host.hide_package(lacking)
    slicer.app.set_testing_enabled(True)
    host.python_runs.succeed()
    with pytest.raises(DependencyError, match=rf"{lacking}.*--testing"):
        dependencies.ensure()
    assert not host.python_runs.runs


@pytest.mark.parametrize("lacking", ["torch", "monai"])
def test_without_a_main_window_the_packages_are_installed_where_no_question_is_wanted(lacking, monkeypatch):
    host.hide_package(lacking)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    host.python_runs.succeed()
    with pytest.raises(DependencyError, match=r"ensure\(ask=False\)"):
        dependencies.ensure()
    assert not host.python_runs.runs
    dependencies.ensure(ask=False)
    assert dependencies.missing() == []
    assert not [dialog for dialog in host.dialogs if "nstall" in dialog.title]


def test_slicers_own_packages_and_torch_are_not_in_the_list():
    names = {requirement.name.lower() for requirement in dependencies._requirements()}
    assert not names & {"torch", "numpy", "simpleitk", "scipy", "vtk"}
    assert all(">=" in str(r.specifier) and "==" not in str(r.specifier) for r in dependencies._requirements())


@pytest.mark.parametrize("system, machine, translated, words", [
    ("darwin", "x86_64", "1\n", "arm64"),
    ("darwin", "x86_64", "0\n", "Intel"),
    ("darwin", "x86_64", None, "Intel"),
    ("darwin", "x86_64", "", "Intel"),
    ("darwin", "arm64", "0\n", None),
    ("linux", "x86_64", None, None),
    ("win32", "AMD64", None, None),
])
def test_macs_without_a_new_enough_torch(monkeypatch, tmp_path, system, machine, translated, words):
    sysctl = tmp_path / "sysctl"
    if translated is not None:
        sysctl.write_text(f"#!/bin/sh\n[ \"$2\" = sysctl.proc_translated ] && printf '{translated}'\n")
        sysctl.chmod(0o755)
    monkeypatch.setattr(torch_platforms, "_SYSCTL", str(sysctl))
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    reason = torch_platforms.why_no_torch()
    assert reason is None if words is None else words in reason
