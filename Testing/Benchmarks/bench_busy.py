"""Seconds of the three verbs while other programs keep all cores busy, called directly and in a warm worker.

    python Testing/Benchmarks/bench_busy.py [--verbs segment register superres] [--spinning 2] [--repeats 2] [-o FILE]

Each verb runs on an embedded head, in a process of its own, at first with nothing beside it, then beside as many
processes as `--spinning` says, which compute without end. The figures go to results/busy.json; a table is printed. Run
it on a machine that is idle but for that.

What is measured, in wall seconds, the median of the calls after the first one:
    direct      the verb called in a plain Python program
    worker      the same in a warm worker process
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "MedDLLib"))

RESULTS = Path(__file__).resolve().parent / "results" / "busy.json"
VERBS = {"segment": "segment", "register": "register", "superres": "super_resolve"}
WAYS = ("direct", "worker")
_SCRIPT = Path(__file__).resolve()


def inputs(verb: str) -> tuple[str, tuple]:
    """The target of a worker's task, and its arguments."""
    from meddl.core.config import RegisterConfig
    from meddl.samples import head_image

    if verb == "segment":
        return "meddl.segmentation:segment", (head_image("T1", 1.5),)
    if verb == "register":
        fixed, moving = head_image("T1", 2.0), head_image("T1", 2.0, seed=3)
        return "meddl.registration:register", (fixed, moving, RegisterConfig(transform_type="deformable"))
    return "meddl.superres:super_resolve", (head_image("T1", (1.5, 1.5, 6.0)),)


def measure(verb: str, way: str, repeats: int) -> float:
    """Median seconds of a verb's calls after the first one, in this process or in a worker of it."""
    import meddl

    direct = getattr(meddl, VERBS[verb])  # before torch is loaded, as a program does
    target, arguments = inputs(verb)
    if way == "worker":
        from meddl.worker import Worker

        with Worker() as worker:
            return _time(lambda: worker.call(target, *arguments, device="cpu"), repeats)
    return _time(lambda: direct(*arguments, device="cpu"), repeats)


def _time(call, repeats: int) -> float:
    seconds = []
    for _ in range(1 + repeats):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


@contextlib.contextmanager
def spinning(count: int) -> Iterator[None]:
    """Within, so many processes compute without end."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def run(verb: str, way: str, repeats: int, beside: int) -> float:
    """As `measure`, in a process of its own with others beside it."""
    with spinning(beside):
        done = subprocess.run([sys.executable, str(_SCRIPT), "--one", verb, way, "--repeats", str(repeats)], check=True,
                              capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def table(results: dict) -> str:
    """A row a verb: direct and worker, idle and busy, and how many times the worker's seconds a direct call takes."""
    lines = ["| | idle, direct | idle, worker | busy, direct | busy, worker | busy, direct / worker |",
             "|---|---:|---:|---:|---:|---:|"]
    for verb, row in results["seconds"].items():
        idle, busy = row["idle"], row["busy"]
        cells = [*(idle[way] for way in WAYS), *(busy[way] for way in WAYS), busy["direct"] / busy["worker"]]
        lines.append(f"| {verb} | " + " | ".join(f"{cell:.1f}" for cell in cells[:-1]) + f" | {cells[-1]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, keep the figures and print the table."""
    parser = argparse.ArgumentParser(description="The three verbs on a busy machine.")
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--spinning", type=int, default=2, help="processes that compute beside it (%(default)s)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=2, metavar=("VERB", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(measure(*arguments.one, arguments.repeats))
        return
    results = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
               "spinning": arguments.spinning, "seconds": {}}
    for verb in arguments.verbs:
        results["seconds"][verb] = {
            state: {way: round(run(verb, way, arguments.repeats, beside), 2) for way in WAYS}
            for state, beside in (("idle", 0), ("busy", arguments.spinning))}
        arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
