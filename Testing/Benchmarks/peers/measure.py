"""What every engine's script shares: its arguments, its clock and the files that it leaves.

    python ENGINE.py FIXED.nii.gz MOVING.nii.gz OUTPUT_FOLDER METHOD

A script leaves a displacement field `map.nii.gz` on the fixed grid (ITK's: fixed point + vector = moving point, LPS
mm), or a 4x4 `matrix` (fixed to moving points, LPS mm), or both (the displacement first, then the matrix), and
`run.json`. Standard library only: each engine has an environment of its own.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

FIELD = "map.nii.gz"


def run(register, packages):
    """Call `register(fixed_path, moving_path, folder, method, stage)` and write down what it took.

    `stage(name)` is a context within which the clock runs: reading, writing and imports stay outside. What `register`
    returns, a 4x4 nested list or None, is the matrix.
    """
    fixed, moving, folder, method = sys.argv[1:]
    seconds = {}

    class stage:  # noqa: N801
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            self.start = time.perf_counter()

        def __exit__(self, *_):
            seconds[self.name] = seconds.get(self.name, 0) + time.perf_counter() - self.start

    matrix = register(fixed, moving, Path(folder), method, stage)
    figures = {"stages": seconds, "seconds": sum(seconds.values()), "peak_mb": peak_mb(), "matrix": matrix,
             "versions": {name: metadata.version(name) for name in packages}}
    (Path(folder) / "run.json").write_text(json.dumps(figures), encoding="utf-8")


def peak_mb():
    """The most memory that this process or one of its children has held.

    What the system counts for a process (ru_maxrss) begins with its parent's memory before the new program was loaded;
    on Linux the process's own is told apart.
    """
    import resource

    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    largest = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def threads():
    """How many threads an engine may use."""
    import os

    return int(os.environ.get("OMP_NUM_THREADS", "1"))
