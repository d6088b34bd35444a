"""PyTorchUtils: the stand-in does what the file of the extension PyTorch does.

Needs that extension's source: PYTORCH_SOURCE=FOLDER, a work tree of it.
"""

import inspect
import itertools
import os
import sys
import types
from pathlib import Path

import pytest
import slicer
from side_by_side import load, outcome

import host

SOURCE = os.environ.get("PYTORCH_SOURCE")
pytestmark = [
    pytest.mark.skipif(not SOURCE, reason="set PYTORCH_SOURCE to a work tree of the extension PyTorch"),
    pytest.mark.filterwarnings("ignore:_executePythonModule is deprecated"),
]


@pytest.fixture(scope="module")
def both():
    """The stand-in's class and the real one."""
    own = load("own_pytorch_utils", Path(SOURCE) / "PyTorchUtils" / "PyTorchUtils.py")
    return host.pytorch.PyTorchUtilsLogic, own.PyTorchUtilsLogic


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


# Whether Slicer is in testing mode, what is asked and answered, whether installations succeed, and whether the
# extension's installer is there: after its own installation it cannot be imported, since nothing is installed here.
CASES = [(testing, ask, answer, succeed, installer) for testing, ask, answer, succeed, installer
         in itertools.product([False, True], [False, True], ["Ok", "Cancel"], [False, True], [False, True])
         if installer or not succeed or (ask and not testing and answer == "Cancel")]


@pytest.mark.parametrize("testing, ask, answer, succeed, installer", CASES)
@pytest.mark.parametrize("options", [{}, {"torchVersionRequirement": ">=2.5", "forceComputationBackend": "cpu"}])
def test_installing_torch(both, monkeypatch, testing, ask, answer, succeed, installer, options):
    if installer:
        monkeypatch.setitem(sys.modules, "light_the_torch", types.ModuleType("light_the_torch"))
        monkeypatch.setitem(sys.modules, "light_the_torch._patch", types.ModuleType("light_the_torch._patch"))
    found = []
    for logic in both:
        host.clear_scene()
        host.hide_package("torch")
        slicer.app.set_testing_enabled(testing)
        host.answer(answer)
        if succeed:
            host.python_runs.succeed()
        kind, value = outcome(logic().installTorch, askConfirmation=ask, **options)
        dialogs = [(one.kind, one.answer) for one in host.dialogs]
        found.append((kind, getattr(value, "__name__", value), list(host.python_runs.runs), dialogs))
    assert found[0] == found[1]
