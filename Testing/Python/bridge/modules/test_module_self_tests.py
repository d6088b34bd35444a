"""The modules' own test cases, as Slicer and ctest run them with --testing: they pass, or skip with the reason."""

import importlib.util
import sys
import unittest

import pytest
import slicer
from bridge_scene import opened

import host

MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
PACKAGES = ("torch", "monai", "safetensors", "jsonschema")


@pytest.fixture(params=MODULES)
def module(request, clean):
    """A module's name; Slicer is in testing mode."""
    opened(request.param)
    slicer.app.set_testing_enabled(True)
    return request.param


def inside(name):
    """The test case in the module's own file."""
    return getattr(sys.modules[name], f"{name}Test")


def of_ctest(name):
    """The test case that ctest runs, in a file of the same name as its class."""
    path = host.repository / name / "Testing" / "Python" / f"{name}Test.py"
    spec = importlib.util.spec_from_file_location(f"{name}Test", path)
    source = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(source)
    return source


def result_of(suite):
    """What unittest says of these tests."""
    result = unittest.TestResult()
    suite.run(result)
    return result


@pytest.mark.parametrize("lacking", PACKAGES)
def test_where_a_package_is_missing_unittest_is_told_to_skip(module, lacking):
    host.hide_package(lacking)
    loader = unittest.defaultTestLoader
    for suite in (loader.loadTestsFromTestCase(inside(module)), loader.loadTestsFromModule(of_ctest(module))):
        result = result_of(suite)
        assert result.testsRun == len(result.skipped) > 0
        assert all(lacking in reason for _, reason in result.skipped)
        assert result.wasSuccessful()


def test_where_a_package_is_missing_slicers_own_runner_shows_why_and_goes_on(module, monkeypatch):
    host.hide_package("torch")
    shown = []
    monkeypatch.setattr(slicer.util, "delayDisplay", lambda message, *args: shown.append(message))
    slicer.selfTests[module](msec=0)
    assert shown == ["Skipped: Python packages are not installed: torch>=2.5."]
    assert not host.python_runs.runs


def test_where_all_is_there_nothing_is_skipped(module, monkeypatch):
    begun = []
    case = inside(module)
    for name in vars(case).copy():
        if name.startswith("test"):
            monkeypatch.setattr(case, name, lambda self, name=name: begun.append(name))
    slicer.selfTests[module](msec=0)
    assert begun == sorted(name for name in vars(case) if name.startswith("test"))


@pytest.mark.slow
def test_what_ctest_runs_passes(module):
    result = result_of(unittest.defaultTestLoader.loadTestsFromModule(of_ctest(module)))
    assert result.testsRun > 0
    assert not result.skipped
    assert result.wasSuccessful(), result.errors + result.failures
