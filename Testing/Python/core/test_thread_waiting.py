"""Threads wait briefly and then sleep, in the worker, the shell and Python, unless the user chose otherwise."""

import os
import subprocess
import sys

import pytest

from meddl.core.thread_waiting import wait_briefly
from meddl.worker.process import _environment

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def test_what_the_environment_says_already_stays():
    for chosen in ({"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "7", "KMP_BLOCKTIME": "9"}):
        environment = dict(chosen)
        wait_briefly(environment)
        assert environment == chosen


def test_a_worker_is_started_so(monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    assert 0 < int(_environment()["GOMP_SPINCOUNT"]) < 100_000
    assert "GOMP_SPINCOUNT" not in os.environ  # Slicer's own process is left as it is


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GCC's OpenMP tells its settings on Linux")
@pytest.mark.parametrize("code", ["from meddl.cli import main; main(['models', 'list'])",
                                  "import meddl; meddl.segment"])
def test_torch_takes_it_in_the_shell_and_in_a_program_that_uses_meddl(code):
    assert "GOMP_SPINCOUNT = '2000'" in run(code + "; import torch; torch.ones(9).sum()", OMP_DISPLAY_ENV="VERBOSE")


@pytest.mark.parametrize("code, chosen", [
    ("import torch, meddl; meddl.segment", {}),  # too late: nothing is changed that would not count
    ("import meddl, meddl.worker, meddl.spatial", {}),  # as Slicer's own process does
    ("import meddl; meddl.segment", {"OMP_WAIT_POLICY": "ACTIVE"})])
def test_a_program_is_left_as_it_is(code, chosen):
    assert "SPINS: None" in run(code + "; import os, sys; print('SPINS:', os.environ.get('GOMP_SPINCOUNT'), "
                                "file=sys.stderr)", **chosen)


def run(code, **environment):
    """What a Python program says, in an environment without settings of threads but these."""
    plain = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env=plain | environment).stderr
