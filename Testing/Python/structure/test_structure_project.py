"""The project's own files: dependencies, versions, license, citation, and what must not be in them."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import REPOSITORY as ROOT
from places import TESTS

_BINARY = {".png", ".jpg", ".safetensors", ".npz", ".gz", ".nrrd", ".mha", ".h5"}
_APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


@functools.cache
def project() -> dict:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """Requirements by canonical name; comments and empty lines are left out."""
    parsed = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def tracked_files() -> list[Path]:
    """The files under version control that are there, or a skip where this is not a checkout."""
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def text_files() -> list[tuple[Path, str]]:
    """The tracked text files with their content."""
    return [(p, p.read_text(encoding="utf-8")) for p in tracked_files() if p.suffix not in _BINARY]


def test_the_package_asks_for_minimum_versions_only():
    wanted = requirements(project()["project"]["dependencies"])
    assert set(wanted) == {"torch", "monai", "numpy", "simpleitk", "pydicom", "safetensors", "jsonschema", "scipy",
                           "einops", "pyyaml"}
    for requirement in wanted.values():
        assert [specifier.operator for specifier in requirement.specifier] == [">="], str(requirement)


def test_constraints_pin_everything_that_the_project_asks_for():
    pinned = requirements((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    for requirement in pinned.values():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], str(requirement)
    wanted = project()["project"]
    for name, requirement in requirements(wanted["dependencies"] + wanted["optional-dependencies"]["test"]).items():
        version = next(iter(pinned[name].specifier)).version
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"
    assert str(pinned["torch"]) == "torch==2.13.0"


def test_slicer_installs_the_same_minimum_versions():
    ours = requirements(project()["project"]["dependencies"])
    slicers = requirements((ROOT / "Resources" / "MedDL" / "requirements.txt").read_text(encoding="utf-8").splitlines())
    assert slicers and not {"torch", "numpy", "simpleitk", "scipy"} & slicers.keys()
    for name, requirement in slicers.items():
        assert str(requirement.specifier) == str(ours[name].specifier)


def test_the_command_exists():
    module, function = project()["project"]["scripts"]["meddl"].split(":")
    base = ROOT / "MedDLLib" / Path(*module.split("."))
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    names = {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if hasattr(node, "name")}
    assert function in names
    assert (ROOT / "MedDLLib" / "meddl" / "__main__.py").is_file(), "python -m meddl"


def test_the_version_is_the_same_everywhere():
    version = project()["project"]["version"]
    package = (ROOT / "MedDLLib" / "meddl" / "__init__.py").read_text(encoding="utf-8")
    assert re.search(rf'^__version__ = "{re.escape(version)}"$', package, re.MULTILINE)
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(version)}$", citation, re.MULTILINE)


def test_the_license_is_apache_2_to_the_letter():
    assert hashlib.sha256((ROOT / "LICENSE.txt").read_bytes()).hexdigest() == _APACHE_2_SHA256
    assert project()["project"]["license"] == "Apache-2.0"
    assert "\nlicense: Apache-2.0\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_citation_has_what_the_format_requires():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    keys = re.findall(r"^([a-z-]+):", text, re.MULTILINE)
    assert {"cff-version", "message", "title", "authors"} <= set(keys)
    assert len(keys) == len(set(keys))
    assert "\t" not in text
    assert all(re.fullmatch(r"10\.\d{4,}/\S+", doi) for doi in re.findall(r'doi: "(.+)"', text))


def test_the_changelog_has_a_place_for_what_comes_next():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading) for heading in headings[1:])


def test_no_tracked_file_names_a_folder_of_one_machine():
    folders = "|".join(("/wo" "rk/", "/ho" "me/[a-z]", "/ro" "ot/", "/Us" "ers/[A-Za-z]", r"C:\\Us" "ers"))
    wrong = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in text_files() for match in re.finditer(rf"(?<![\w./~-])(?:{folders})", text)
    ]
    assert not wrong


def test_every_json_file_parses():
    files = [(path, text) for path, text in text_files() if path.suffix == ".json"]
    assert files
    for path, text in files:
        assert json.loads(text) is not None, path


def test_text_files_end_in_a_line_feed_and_have_no_carriage_returns():
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in tracked_files() if path.suffix not in _BINARY
        if (content := path.read_bytes()) and (b"\r" in content or not content.endswith(b"\n"))
    ]
    assert not wrong


def test_no_cache_or_output_is_tracked():
    names = [path.relative_to(ROOT).parts for path in tracked_files()]
    assert not [n for n in names if {"__pycache__", ".venv", "demo-output"} & set(n) or n[0] in ("runs", "build")
                or n[-1].endswith(".pyc")]


def test_the_checkout_stays_small_enough_for_the_extensions_index():
    assert sum(path.stat().st_size for path in tracked_files()) < 60e6


def test_every_weight_file_that_ships_is_named_by_its_hash_in_the_card_beside_it():
    weights = sorted((ROOT / "Resources" / "MedDL" / "Models").rglob("*.safetensors"))
    assert weights
    for path in weights:
        assert path.stat().st_size <= 16e6, path.name
        card = (path.parent / "card.json").read_text(encoding="utf-8")
        assert hashlib.sha256(path.read_bytes()).hexdigest() in card.lower(), path.relative_to(ROOT)


def test_continuous_integration_can_be_started_as_it_is():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text and text.rstrip().endswith("make test")


def test_hooks_and_workflow_run_what_the_makefile_and_ci_run():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^ +entry: (.+)$", hooks, re.MULTILINE) == ["make lint"]
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    first, others = workflow.split("  systems:\n")
    assert re.findall(r"^ +- run: (.+)$", first, re.MULTILINE) == [".ci/run"]
    # Elsewhere the tests that need no display, of folders that are there.
    folders = re.findall(r"Testing/Python/\w+", others)
    assert len(folders) > 3 and all((ROOT / folder).is_dir() for folder in folders)


def test_pytest_looks_into_every_folder_that_holds_tests():
    passed_by = project()["tool"]["pytest"]["ini_options"]["norecursedirs"]
    folders = {folder for file in TESTS.rglob("test_*.py") for folder in file.parents if TESTS in folder.parents}
    assert not {folder for folder in folders for pattern in passed_by if folder.match(pattern)}


def test_the_site_needs_no_package_of_the_tests():
    extras = project()["project"]["optional-dependencies"]
    assert {canonicalize_name(Requirement(line).name) for line in extras["docs"]} == {"mkdocs", "mkdocs-material"}
    assert not requirements(extras["docs"]).keys() & requirements(extras["test"]).keys()
