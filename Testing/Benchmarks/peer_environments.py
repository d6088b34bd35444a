"""Environments for the programs of others that benchmarks run: one each, outside the repository.

They lie in MEDDL_PEERS, or in ~/.cache/meddl-peers. None of them is needed by MedDL, and none of their code is used.
Which programs there are, register_peers.py, models_peers.py and superres_peers.py say.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Engine:
    """A program of others: its environment's name, what pip installs there, one call after the other, and the module
    that must be there."""

    name: str
    installs: tuple[tuple[str, ...], ...]
    module: str


def peers_folder() -> Path:
    """Where the environments are."""
    return Path(os.environ.get("MEDDL_PEERS") or Path.home() / ".cache" / "meddl-peers")


def installed(engine: Engine) -> Path | None:
    """The Python of an engine's environment; None where the engine is not there."""
    folder = peers_folder() / engine.name
    found = any(folder.glob(f"lib/python*/site-packages/{engine.module}"))
    return folder / "bin" / "python" if found else None


def make(engine: Engine, python: str) -> None:
    """Make the engine's environment with this interpreter.

    Raises:
        subprocess.CalledProcessError: the interpreter or pip failed.
    """
    folder = peers_folder() / engine.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    for packages in engine.installs:
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages], check=True)


def call(command: Sequence[str], threads: int, timeout_s: float = 3600,
         more: Mapping[str, str] | None = None) -> str:
    """Run a program on the CPU with a number of threads, and `more` in its environment: what it printed.

    Raises:
        RuntimeError: it failed, with the end of what it said, or took longer than `timeout_s`.
    """
    count = str(threads)
    environment = {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count,
                   "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": count, "CUDA_VISIBLE_DEVICES": "", **(more or {})}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"took longer than {timeout_s:g} s") from error
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip()[-600:] or f"exit status {done.returncode}")
    return done.stdout


def main(engines: Mapping[str, Engine], description: str) -> int:
    """The command line of a file that lists engines: make environments, or say which are there."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("engines", nargs="*", metavar="ENGINE",
                        help=f"of {', '.join(engines)}; all, if none is named")
    parser.add_argument("--make", action="store_true", help="make those that are not there")
    parser.add_argument("--python", default="python3.11", help="the interpreter (%(default)s)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.engines if name not in engines]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not of {', '.join(engines)}")
    for name in arguments.engines or engines:
        if arguments.make and installed(engines[name]) is None:
            make(engines[name], arguments.python)
        print(f"{name:12s} {installed(engines[name]) or 'not installed'}")
    return 0
