"""The stand-in of PyTorchUtils and the PyTorch extension's own file, given the same, do the same.

Needs the extension's source: PYTORCH_SOURCE=FOLDER, a work tree of it.
"""

import importlib.util
import inspect
import itertools
import os
import sys
import types
from pathlib import Path

import pytest

import host

host.install()

import slicer  # noqa: E402

SOURCE = os.environ.get("PYTORCH_SOURCE")
pytestmark = [
    pytest.mark.skipif(not SOURCE, reason="set PYTORCH_SOURCE to a work tree of the extension PyTorch"),
    pytest.mark.filterwarnings("ignore:_executePythonModule is deprecated"),
]


@pytest.fixture(scope="module")
def both():
    """The stand-in's class and the real one."""
    spec = importlib.util.spec_from_file_location(
        "real_pytorch_utils", Path(SOURCE) / "PyTorchUtils" / "PyTorchUtils.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return host.pytorch.PyTorchUtilsLogic, module.PyTorchUtilsLogic


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """The installer that the extension uses counts as imported where a test says so."""
    yield monkeypatch
    host.clear_scene()


def outcome(function, *args, **options):
    try:
        result = function(*args, **options)
        result = getattr(result, "__name__", result)
    except Exception as error:  # noqa: BLE001  whatever it is, the other one has to raise it too
        result = type(error)
    return result, list(host.python_runs.runs), [(one.kind, one.answer) for one in host.dialogs]


def test_all_that_the_stand_in_has_the_real_one_has_too(both):
    ours, theirs = both
    for name, value in vars(ours).items():
        if not name.startswith("__"):
            real = inspect.getattr_static(theirs, name)
            assert type(value) is type(real), name
            if callable(getattr(ours, name)):
                assert inspect.signature(getattr(ours, name)) == inspect.signature(getattr(theirs, name)), name


@pytest.mark.parametrize("torch", ["installed", "hidden", "in metadata only"])
def test_whether_torch_counts_as_installed(both, monkeypatch, torch):
    found = []
    for logic in both:
        host.clear_scene()
        if torch == "hidden":
            host.hide_package("torch")
        if torch == "in metadata only":
            monkeypatch.setitem(sys.modules, "torch", None)
        found.append(logic.torchInstalled())
    assert found[0] == found[1] == (torch == "installed")


@pytest.mark.parametrize("testing, ask, answer, succeed, installer", list(itertools.product(
    [False, True], [False, True], ["Ok", "Cancel"], [False, True], [False, True])))
@pytest.mark.parametrize("options", [{}, {"torchVersionRequirement": ">=2.5", "forceComputationBackend": "cpu"}])
def test_installing_torch(both, fresh, testing, ask, answer, succeed, installer, options):
    if installer:
        fresh.setitem(sys.modules, "light_the_torch", types.ModuleType("light_the_torch"))
        fresh.setitem(sys.modules, "light_the_torch._patch", types.ModuleType("light_the_torch._patch"))
    elif succeed and (testing or not ask or answer == "Ok"):
        pytest.skip("nothing is installed here, so the installer cannot be imported after its own installation")
    found = []
    for logic in both:
        host.clear_scene()
        host.hide_package("torch")
        slicer.app.set_testing_enabled(testing)
        host.answer(answer)
        if succeed:
            host.python_runs.succeed()
        found.append(outcome(logic().installTorch, askConfirmation=ask, **options))
    assert found[0] == found[1]
