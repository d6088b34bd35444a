"""Programs and their workers, killed at random moments: nothing may be left, and the next run has to work.

    python Testing/Python/support/worker_kills.py 200

Prints a line of counts and ends with 1 where something was left. Linux: processes are found through /proc.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

SUPPORT = Path(__file__).resolve().parent
LIBRARY = SUPPORT.parents[2] / "MedDLLib"
# Arrays go forth and back all the time, so that most moments fall into packing; after an error the next run is counted.
_PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.path[:0] = [{library!r}]
import numpy as np
from meddl.core.errors import WorkerError
from meddl.worker import Worker
worker = Worker(allowed=("worker_targets.",), paths=[{support!r}])
array = np.ones(4 << 20, np.float32)
while True:
    try:
        worker.call("worker_targets:echo", array)
        print("worked", worker.pid, flush=True)
    except WorkerError:
        print("failed", 0, flush=True)
"""
WAYS = ("caller killed", "worker killed", "both killed", "group TERM", "group HUP", "group QUIT")
_GONE_S = 10.0


def kill_once(way: str, delay_s: float) -> list[str]:
    """Start a program, kill in one of WAYS after the delay; what is wrong then, in words."""
    token = uuid4().hex
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(library=str(LIBRARY), support=str(SUPPORT))], stdout=subprocess.PIPE,
        text=True, env=os.environ | {"MEDDL_KILLS": token}, start_new_session=True)
    try:
        worker = int(program.stdout.readline().split()[1])
        time.sleep(delay_s)
        if way in ("worker killed", "both killed"):
            os.kill(worker, signal.SIGKILL)
        if way in ("caller killed", "both killed"):
            program.kill()
        if way.startswith("group"):
            os.killpg(program.pid, getattr(signal, f"SIG{way.split()[1]}"))
        problems = [] if way != "worker killed" or _works_again(program, worker) else ["the next run did not work"]
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
    deadline = time.monotonic() + _GONE_S
    while (left := _processes(token)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return problems + [f"process {pid} is left" for pid in left] + [f"{path} is left" for path in _blocks(program.pid)]


def _works_again(program: subprocess.Popen, worker: int) -> bool:
    for line in program.stdout:
        word, pid = line.split()
        if word == "worked" and int(pid) != worker:
            return True
    return False


def _processes(token: str) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if token.encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found


def _blocks(caller: int) -> list[Path]:
    """Named memory that this program left, in either form of a name."""
    shared, temporary = Path("/dev/shm"), Path(tempfile.gettempdir())
    return [*shared.glob(f"meddl{caller:x}*"), *temporary.glob(f"meddl{caller:x}*"), *temporary.glob("meddl-*.block")]


def main() -> int:
    """Kill as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    chance, problems, done = random.Random(arguments.seed), [], Counter()
    for number in range(arguments.count):
        way = WAYS[number % len(WAYS)]
        problems += [f"{way}: {problem}" for problem in kill_once(way, chance.uniform(0, 0.3))]
        done[way] += 1
    print(f"seed {arguments.seed}: {sum(done.values())} kills ({', '.join(f'{n} {way}' for way, n in done.items())}), "
          f"{len(problems)} problems")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
