"""Packages are asked for at Apply, through Slicer's own ways, and a refusal says what to do."""

import importlib.metadata

import pytest
import slicer  # noqa: F401
from bridge_scene import bridge_worker, clean  # noqa: F401

import host
from meddl.errors import DependencyError
from meddl_slicer import dependencies


@pytest.fixture(autouse=True)
def fresh(clean):  # noqa: F811
    """No recorded requests before or after."""


@pytest.fixture
def torch_version(monkeypatch):
    """Let torch be installed in another version, or not at all (None)."""
    real = importlib.metadata.version

    def pretend(version):
        def lookup(name):
            if name != "torch":
                return real(name)
            if version is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return version

        monkeypatch.setattr(importlib.metadata, "version", lookup)
        host.pytorch.torch_hidden = version is None

    return pretend


def test_where_all_is_installed_nothing_is_asked():
    dependencies.ensure("MedDL")
    assert not host.dialogs
    assert not host.pytorch.calls
    assert dependencies.missing() == []


def test_torch_is_installed_by_the_pytorch_extension_with_our_floor(torch_version):
    torch_version(None)
    assert "torch>=2.5" in dependencies.missing()
    dependencies.ensure("MedDL")
    assert ("installTorch", {"askConfirmation": True, "forceComputationBackend": None,
                             "torchVersionRequirement": ">=2.5"}) in host.pytorch.calls


def test_a_refused_torch_stops_the_run_with_what_to_do(torch_version):
    torch_version(None)
    host.pytorch.install_refused = True
    with pytest.raises(DependencyError, match="Press Apply again"):
        dependencies.ensure("MedDL")


def test_without_the_pytorch_extension_the_person_is_sent_to_the_extensions_manager(torch_version):
    torch_version(None)
    host.pytorch.remove_extension()
    with pytest.raises(DependencyError, match="Extensions Manager"):
        dependencies.ensure("MedDL")


def test_an_old_torch_is_never_replaced_behind_the_persons_back(torch_version):
    torch_version("2.1.0")
    with pytest.raises(DependencyError, match="older one is installed"):
        dependencies.ensure("MedDL")
    assert not [call for call in host.pytorch.calls if call[0] == "installTorch"]


@pytest.mark.parametrize("version", ["2.5.0", "2.13.0+cpu", "3.0.0.dev20270101"])
def test_a_torch_that_is_new_enough_is_taken(torch_version, version):
    torch_version(version)
    assert dependencies.torch_installed()


def test_other_packages_go_through_slicers_own_question():
    host.hide_package("safetensors")
    with pytest.raises(DependencyError, match="safetensors"):
        dependencies.ensure("MedDL")
    assert host.dialogs[0].kind == "question" or "install" in host.dialogs[0].text.lower()


def test_a_failed_installation_is_told_with_its_remedy():
    host.hide_package("safetensors")
    host.answer("Ok")
    with pytest.raises(DependencyError, match="network or proxy"):
        dependencies.ensure("MedDL")


def test_slicers_own_packages_and_torch_are_not_in_the_list():
    names = {requirement.name.lower() for requirement in dependencies._requirements()}
    assert not names & {"torch", "numpy", "simpleitk", "scipy", "vtk"}
    assert all(">=" in str(r.specifier) and "==" not in str(r.specifier) for r in dependencies._requirements())
