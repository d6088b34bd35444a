"""What a deformable registration of two 256 x 256 x 256 volumes holds in memory, and how soon it can be canceled.

    python Testing/Benchmarks/bench_register.py --cases memory [--threads 2]
    python Testing/Benchmarks/register_memory.py [FRACTION [THREADS]]

The head ecog_t1 is fixed, the brain fsaverage moves; a process of its own reads both, registers, warps, inverts and
measures the Jacobian. Peak memory is the whole process's, interpreter, libraries and volumes included. A gap is the
time between two calls of `on_progress`, at each of which a run can be canceled: as CPU time of all threads divided by
their number, which other programs on the machine do not lengthen. FRACTION (0.1) is the share of the default iterations
that is done: memory and gaps do not depend on their number.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

_MOST_GAPS = 5


def measure(threads: int, fraction: float = 0.1) -> dict:
    """Peak memory after each part and the longest gaps, measured in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, __file__, str(fraction), str(threads)], capture_output=True, text=True,
                          check=True, env=environment)
    return json.loads(done.stdout)


class Gaps:
    """An `on_progress` that keeps the CPU time between its calls, with what was going on before and after."""

    def __init__(self, threads: int):
        self.threads, self.found, self.last = threads, [], (time.process_time(), "reading")

    def __call__(self, fraction: float, message: str) -> None:
        now = time.process_time()
        self.found.append(((now - self.last[0]) / self.threads, self.last[1], message))
        self.last = now, message

    def longest(self) -> list[dict]:
        """The longest so far, which are then forgotten."""
        found, self.found = sorted(self.found, reverse=True)[:_MOST_GAPS], []
        return [{"seconds": round(seconds, 2), "after": before, "before": after} for seconds, before, after in found]


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 0)


def main() -> int:
    """Measure here, print JSON."""
    from dataclasses import replace

    from register_cases import data_folder

    from meddl import load, register
    from meddl.config import REGISTER_PRESETS

    fraction, threads = (float(sys.argv[1]) if len(sys.argv) > 1 else 0.1), int((*sys.argv, 1, 1)[2])
    brains = data_folder() / "brain"
    fixed, moving = load(brains / "ecog_t1.nii.gz"), load(brains / "fsaverage_t1_stripped.nii.gz")
    config = REGISTER_PRESETS["Deformable"]
    config = replace(config, capture="on", metric="lncc", deformable_iterations=tuple(
        max(1, round(fraction * count)) for count in config.deformable_iterations))
    gaps = Gaps(threads)
    parts = {"read": {"peak_mb": _peak_mb()}}

    def part(name: str, seconds: float) -> None:
        gaps(1.0, f"{name} is done")
        parts[name] = {"peak_mb": _peak_mb(), "cpu_seconds": round(seconds, 1), "longest_gaps": gaps.longest()}

    works = {"register": lambda _: register(fixed, moving, config, device="cpu", on_progress=gaps),
             "warp": lambda registration: registration.warp(moving, on_progress=gaps),
             "jacobian": lambda registration: registration.jacobian(on_progress=gaps),
             "invert": lambda registration: registration.invert(on_progress=gaps)}
    found = None
    for name, work in works.items():
        started = time.process_time()
        gaps.last = started, f"{name} begins"
        result = work(found)
        part(name, time.process_time() - started)
        found = found or result
    print(json.dumps({"shapes": [fixed.shape, moving.shape], "threads": threads, "iterations_share": fraction,
                      "levels_mm": found.report["deformable_levels_mm"], "steps": found.report["deformable_steps"],
                      "peak_mb": _peak_mb(), "parts": parts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
