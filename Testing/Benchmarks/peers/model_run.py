"""What every script that runs a model shares: the clock, and the files that it leaves. Standard library and numpy."""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

from measure import peak_mb


class Run:
    """Seconds by stage over all subjects of a case, labels and run.json.

    run = Run(output)
    with run.stage("segment"): ...
    run.write(n, labels)
    run.end(packages)
    """

    def __init__(self, output):
        self.output = Path(output)
        self.seconds, self.cpu_seconds = {}, {}

    def stage(self, name):
        """A context within which the clock runs; imports stay outside."""
        return _Stage(self, name)

    def add(self, name, seconds):
        """Seconds that were measured elsewhere, within a stage named "-": told apart, not counted twice."""
        self.seconds[name] = self.seconds.get(name, 0) + seconds

    def write(self, number, labels):
        """Labels (I, J, K) in the file's axes."""
        import numpy as np

        with self.stage("write"):
            np.save(self.output / f"{number}.npy", labels)

    def end(self, packages, **figures):
        """Leave run.json."""
        total = sum(seconds for name, seconds in self.seconds.items() if not name.startswith("- "))
        figures |= {"stages": self.seconds, "seconds": total, "cpu_seconds": sum(self.cpu_seconds.values()),
                  "peak_mb": peak_mb(), "versions": {name: metadata.version(name) for name in packages}}
        (self.output / "run.json").write_text(json.dumps(figures), encoding="utf-8")


class _Stage:
    def __init__(self, run, name):
        self.run, self.name = run, name

    def __enter__(self):
        self.start, self.cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_):
        for held, value in ((self.run.seconds, time.perf_counter() - self.start),
                            (self.run.cpu_seconds, time.process_time() - self.cpu)):
            held[self.name] = held.get(self.name, 0) + value


def subjects(case):
    """The lists of files of a case's JSON."""
    return json.loads(Path(case).read_text(encoding="utf-8"))


def threads():
    """How many threads a tool may use."""
    import os

    return int(os.environ.get("OMP_NUM_THREADS", "1"))


def arguments():
    """(command, three paths)."""
    return sys.argv[1], sys.argv[2:]
