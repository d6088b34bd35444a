"""Seconds of the three verbs while other programs keep all cores busy, called directly and in a warm worker.

    python Testing/Benchmarks/bench_busy.py [--verbs segment register superres] [--states idle busy shared]
                                            [--spinning 2] [--repeats 2] [-o FILE]

Each verb runs on an embedded head, in a process of its own, in up to three states. The figures go to
results/busy.json, which keeps those that are not measured; a table is printed. Run it on a machine that is idle but
for that.
    idle        nothing runs beside it
    busy        as many processes as `--spinning` says compute without end, in a session (terminal) of their own
    shared      they do so in the program's own session

Linux shares out its processors by session first (autogroup, see sched(7)). A worker process is a session of its own:
in the state *shared* it is given more of them than a direct call, which shares one part with the spinning processes.

What is measured, in wall seconds, the median of the calls after the first one, which loads and prepares:
    direct      the verb called in a plain Python program
    worker      the same in a warm worker process
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
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
STATES = ("idle", "busy", "shared")
_SPIN = """
import os
parent = os.getppid()
for _ in range({}):
    program = os.getpid()
    if not os.fork():
        parent = program
        break
while os.getppid() == parent:  # end with the benchmark, however that ends
    sum(range(10**6))
"""
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
def spinning(count: int, shared: bool = False) -> Iterator[list[int]]:
    """Within, so many processes compute without end, in one session of theirs or in the program's own (`shared`)."""
    if not count:
        yield []
        return
    # A group of their own in either case, by which they are ended.
    group = {"process_group": 0} if shared else {"start_new_session": True}
    first = subprocess.Popen([sys.executable, "-c", _SPIN.format(count - 1)], **group)
    try:
        yield [first.pid]
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def run(verb: str, way: str, repeats: int, state: str, count: int) -> float:
    """As `measure`, in a process of its own in one of the states; `count`: of what spins."""
    shared = state == "shared"
    with spinning(0 if state == "idle" else count, shared):
        done = subprocess.run([sys.executable, str(_SCRIPT), "--one", verb, way, "--repeats", str(repeats)], check=True,
                              capture_output=True, text=True, start_new_session=not shared)
    return float(done.stdout.split()[-1])


def table(results: dict) -> str:
    """A row a verb: direct and worker in each state, and how many times the worker's seconds a direct call takes."""
    heads = [f"{state}, {what}" for state in STATES for what in (*WAYS, "direct / worker")]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for verb, row in results["seconds"].items():
        cells = []
        for state in STATES:
            seconds = [row[state][way] for way in WAYS] if state in row else None
            cells += [*(f"{part:.1f}" for part in seconds), f"{seconds[0] / seconds[1]:.2f}"] if seconds else [""] * 3
        lines.append(f"| {verb} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, keep the figures and print the table."""
    parser = argparse.ArgumentParser(description="The three verbs on a busy machine.")
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--states", nargs="+", default=list(STATES), choices=STATES)
    parser.add_argument("--spinning", type=int, default=2, help="processes that compute beside it (%(default)s)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=2, metavar=("VERB", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(measure(*arguments.one, arguments.repeats))
        return
    earlier = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else {}
    results = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
               "spinning": arguments.spinning, "seconds": earlier.get("seconds", {})}
    for verb in arguments.verbs:
        for state in arguments.states:
            results["seconds"].setdefault(verb, {})[state] = {
                way: round(run(verb, way, arguments.repeats, state, arguments.spinning), 2) for way in WAYS}
            arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
