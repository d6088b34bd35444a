"""What a deformable registration of two 256 x 256 x 256 volumes holds in memory, and how soon it can be canceled.

    python Testing/Benchmarks/bench_register.py --cases memory [--threads 2]
    python Testing/Benchmarks/register_memory.py [FRACTION [THREADS]] [--part cpu|gpu]

The head ecog_t1 is fixed, the brain fsaverage moves; a process of its own reads both, registers, warps, inverts and
measures the Jacobian. Peak memory is the whole process's, interpreter, libraries and volumes included. A gap is the
time between two calls of `on_progress`, at each of which a run can be canceled: as CPU time of all threads divided by
their number, which other programs on the machine do not lengthen. FRACTION (0.1) is the part of the default iterations
that is done: memory and gaps do not depend on their number.

A second process does the registration again on a GPU that is none (pretended_gpu.py): the peak of the tensors that are
alive on it, by stage, and the largest of them. A real one needs some hundred MB more, as told there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

_MOST_GAPS = 5
_MOST_TENSORS = 25


def measure(threads: int, fraction: float = 0.1) -> dict:
    """Peak memory after each part, the longest gaps, and what lies on a GPU, measured in fresh processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    found = {}
    for part in ("cpu", "gpu"):
        command = [sys.executable, __file__, str(fraction), str(threads), "--part", part]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found |= json.loads(done.stdout)
    return found


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


def _given(fraction: float) -> tuple:
    """Fixed, moving, config."""
    from dataclasses import replace

    from register_cases import data_folder

    from meddl import load
    from meddl.core.config import REGISTER_PRESETS

    brains = data_folder() / "brain"
    config = REGISTER_PRESETS["Deformable"]
    return load(brains / "ecog_t1.nii.gz"), load(brains / "fsaverage_t1_stripped.nii.gz"), replace(
        config, large_displacement_search="on", metric="lncc", deformable_iterations=tuple(
            max(1, round(fraction * count)) for count in config.deformable_iterations))


def on_cpu(threads: int, fraction: float) -> dict:
    """Peak memory and gaps of this process."""
    from meddl import register

    fixed, moving, config = _given(fraction)
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
    return {"shapes": [fixed.shape, moving.shape], "threads": threads, "iterations_share": fraction,
            "levels_mm": found.report["deformable_levels_mm"], "steps": found.report["deformable_steps"],
            "peak_mb": _peak_mb(), "parts": parts}


def on_gpu(fraction: float) -> dict:
    """What a GPU would hold, in MB: the peak of live tensors, by stage, and the largest of them."""
    from pretended_gpu import PretendedGpu

    from meddl import register

    fixed, moving, config = _given(fraction)
    with PretendedGpu() as gpu:
        def stage(_, message: str) -> None:
            gpu.memory.stage = message

        register(fixed, moving, config, device=gpu.name, on_progress=stage)
    return {"tensors_peak_mb": round(gpu.memory.peak / 1e6, 1),
            "tensors_peak_mb_by_stage": {name: round(size / 1e6, 1) for name, size in gpu.memory.peaks.items()},
            "tensors_at_peak": [f"{held.bytes / 1e6:.1f} MB {held.shape} {held.place}"
                                for held in gpu.memory.at_peak[:_MOST_TENSORS]]}


def main() -> int:
    """Measure here, print JSON."""
    parser = argparse.ArgumentParser(description="Memory and gaps of a deformable registration of 256^3 voxels.")
    parser.add_argument("fraction", nargs="?", type=float, default=0.1, help="of the iterations (%(default)s)")
    parser.add_argument("threads", nargs="?", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--part", choices=("cpu", "gpu"), help="this alone, in this process")
    arguments = parser.parse_args()
    fraction, threads, part = arguments.fraction, arguments.threads, arguments.part
    if part == "gpu":
        found = on_gpu(fraction)
    else:
        found = on_cpu(threads, fraction) if part == "cpu" else measure(threads, fraction)
    print(json.dumps(found, indent=None if part else 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
