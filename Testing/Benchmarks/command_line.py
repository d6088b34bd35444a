"""What the benchmarks' command lines share: the data that they need, progress, results merged into a file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from meddl.core.paths import data_folder
from meddl.core.thread_waiting import wait_briefly


def add_shared(parser: argparse.ArgumentParser, results: Path, threads: int = 1) -> None:
    """--threads and --output."""
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("-o", "--output", type=Path, default=results)


def start_run(arguments: argparse.Namespace) -> Path:
    """Let torch take as many threads as --threads says, and wait as a run of MedDL does; the data folder.

    Raises:
        SystemExit: there is none.
    """
    wait_briefly(os.environ)
    data = data_folder()
    if data is None:
        raise SystemExit("Without the data folder (MEDDL_DATA) nothing is measured.")
    import torch

    torch.set_num_threads(arguments.threads)
    return data


def show(fraction: float, message: str) -> None:
    """Progress on standard error."""
    print(f"\r\x1b[2K{fraction:4.0%} {message}", end="", file=sys.stderr, flush=True)


def merge(entry: dict, file: Path, keys: Sequence[str]) -> list[dict]:
    """Write the results with this entry in the place of an earlier one of the same `keys`, sorted by them."""
    def kind(one: dict) -> list[tuple]:
        return [(value if isinstance(value, (int, float)) else 0, json.dumps(value)) for value in map(one.get, keys)]

    earlier = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    results = sorted([*(one for one in earlier if kind(one) != kind(entry)), entry], key=kind)
    write(results, file)
    return results


def write(results: object, file: Path) -> None:
    """Write results as JSON."""
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
