"""Seconds from the start of a worker process to the first result of each verb, and what of it is not the verb itself.

    python Testing/Benchmarks/bench_startup.py [--verbs segment register superres] [--repeats 2] [-o FILE]

Each verb runs twice on an embedded head in a fresh worker, as *Apply* runs it: right after an installation, where the
library's files have never been compiled, and once more in another worker, which finds them compiled. The figures go to
results/startup.json; a table is printed. Run it on an idle machine. Wall seconds, the least of the repeats:
    first       from the start of the worker to its first result
    second      the same call again in the warm worker
    startup     their difference: interpreter, torch, modules, weights, and what the first call prepares
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results" / "startup.json"
STATES = ("installed", "again")
_SCRIPT = Path(__file__).resolve()


def measure(verb: str) -> dict[str, float]:
    """Of the library that Python finds."""
    from meddl.worker import Worker  # isort: skip  (before the benchmark that looks for the library itself)
    from bench_busy import inputs

    target, arguments = inputs(verb)
    begun = time.perf_counter()
    with Worker(preload=("torch",)) as worker:
        seconds = []
        for _ in range(2):
            worker.call(target, *arguments, device="cpu")
            seconds.append(time.perf_counter() - begun)
    return {"first": seconds[0], "second": seconds[1] - seconds[0], "startup": 2 * seconds[0] - seconds[1]}


def run(verb: str) -> dict[str, dict[str, float]]:
    """In both states, of a copy of the library that has never been used."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in ("MedDLLib", "Resources/MedDL"):
            shutil.copytree(ROOT / part, Path(folder, part), ignore=shutil.ignore_patterns("__pycache__"))
        library = Path(folder, "MedDLLib")
        environment = {**os.environ, "PYTHONPATH": str(library), "MEDDL_CACHE": str(Path(folder, "cache"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for state in STATES:
            done = subprocess.run([sys.executable, str(_SCRIPT), "--one", verb], check=True, capture_output=True,
                                  text=True, env=environment)
            found[state] = json.loads(done.stdout.splitlines()[-1])
        assert list(library.rglob("__pycache__"))
    return found


def table(results: dict) -> str:
    """A row for each verb and state."""
    lines = ["| | first | second | startup |", "|---|---:|---:|---:|"]
    for verb, states in results["seconds"].items():
        for state, row in states.items():
            words = "never used" if state == "installed" else "used before"
            lines.append(f"| {verb}, {words} | " + " | ".join(f"{part:.1f}" for part in row.values()) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, keep the figures and print the table."""
    parser = argparse.ArgumentParser(description="The first run after an installation.")
    verbs = ("segment", "register", "superres")
    parser.add_argument("--verbs", nargs="+", default=verbs, choices=verbs)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    parser.add_argument("--one", choices=verbs, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    results = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "seconds": {}}
    for verb in arguments.verbs:
        runs = [run(verb) for _ in range(arguments.repeats)]
        results["seconds"][verb] = {
            state: {name: round(min(one[state][name] for one in runs), 2) for name in runs[0][state]}
            for state in STATES}
        arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
