"""Threads wait briefly and then sleep, in the worker and in the shell, unless the person chose otherwise."""

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
def test_torch_in_a_process_of_the_shell_takes_it():
    code = "from meddl.cli import main; main(['models', 'list']); import torch; torch.ones(9).sum()"
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env=environment | {"OMP_DISPLAY_ENV": "VERBOSE"})
    assert "GOMP_SPINCOUNT = '5000'" in done.stderr
