"""Threads sleep where they wait, in the worker and in the shell, unless the person chose otherwise."""

import os
import subprocess
import sys

import pytest

from meddl.openmp import wait_asleep
from meddl.worker.process import _environment


def test_what_the_environment_says_already_stays():
    environment = {"OMP_WAIT_POLICY": "ACTIVE"}
    wait_asleep(environment)
    assert environment == {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "0"}


def test_a_worker_is_started_so(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert _environment()["OMP_WAIT_POLICY"] == "PASSIVE"
    assert "OMP_WAIT_POLICY" not in os.environ  # Slicer's own process is left as it is


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GCC's OpenMP tells its settings on Linux")
def test_torch_in_a_process_of_the_shell_takes_it():
    code = "from meddl.cli import main; main(['models', 'list']); import torch; torch.ones(9).sum()"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env=environment | {"OMP_DISPLAY_ENV": "TRUE"})
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
