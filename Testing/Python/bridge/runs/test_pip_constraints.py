"""What is installed keeps its version while pip adds packages."""

import importlib.metadata
import os
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from meddl_slicer.runs.packages.pip_constraints import INSTALLERS, TORCH_FAMILY, constrained_pip, constraints_file, pins

VERSIONS = st.sampled_from(["1.0", "2.5.1+cu121", "2.8.0+cpu", "3.0.0.dev20270101", "0.5.post1", "1!2.0"])
NAMES = st.sampled_from(["torch", "SimpleITK", "typing_extensions", "nvidia-cublas", "pip", "Numpy", "ruamel.yaml"])


def distribution(folder, name, version):
    place = folder / f"{len(list(folder.iterdir()))}.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return importlib.metadata.PathDistribution(place)


@given(installed=st.lists(st.tuples(NAMES, VERSIONS)), left_out=st.sets(NAMES))
def test_each_package_is_pinned_once_in_its_version(tmp_path_factory, installed, left_out):
    folder = tmp_path_factory.mktemp("packages")
    found = [Requirement(text) for text in pins([distribution(folder, *one) for one in installed], left_out)]
    first = {}
    for name, version in installed:
        first.setdefault(canonicalize_name(name), version)
    for name in (*left_out, *INSTALLERS):
        first.pop(canonicalize_name(name), None)
    assert {canonicalize_name(one.name): str(one.specifier) for one in found} == {
        name: f"=={version}" for name, version in first.items()}
    assert len(found) == len(first)


def test_remains_of_removed_packages_and_odd_versions_are_no_constraints(tmp_path):
    (tmp_path / "rest.dist-info").mkdir()
    rest = importlib.metadata.PathDistribution(tmp_path / "rest.dist-info")
    assert pins([rest, distribution(tmp_path, "vtk", "not a version"), distribution(tmp_path, "numpy", "2.4.6")]) == [
        "numpy==2.4.6"]


def test_what_torch_leaves_behind_may_change(tmp_path):
    names = ["nvidia-cublas-cu12", "nvidia-nccl", "cuda-bindings", "triton", "torch", "torchvision", "torchmetrics",
             "numpy", "tritonclient"]
    assert pins([distribution(tmp_path, name, "1.0") for name in names], TORCH_FAMILY) == [
        "numpy==1.0", "torchmetrics==1.0", "tritonclient==1.0"]


def test_the_file_is_there_as_long_as_it_is_needed():
    with constraints_file() as path:
        lines = path.read_text().splitlines()
        assert f"torch=={importlib.metadata.version('torch')}" in lines
    assert not path.parent.exists()


@pytest.mark.parametrize("before", [None, "/etc/pip/constraints.txt"])
def test_every_pip_obeys_meanwhile_and_not_after(monkeypatch, tmp_path, before):
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    if before:
        monkeypatch.setenv("PIP_CONSTRAINT", before)
    with pytest.raises(RuntimeError), constrained_pip():
        *others, ours = os.environ["PIP_CONSTRAINT"].split()
        assert others == ([before] if before else [])
        lines = Path(urllib.parse.unquote(ours.removeprefix("file://"))).read_text().splitlines()
        assert any(line.startswith("numpy==") for line in lines)
        raise RuntimeError
    assert os.environ.get("PIP_CONSTRAINT") == before
