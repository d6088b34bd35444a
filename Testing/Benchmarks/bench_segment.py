"""Seconds by stage and peak memory of `meddl.segment` over growing grids, called directly and in a warm worker.

    python Testing/Benchmarks/bench_segment.py [--sizes 128 192 256 320] [--device cpu] [--repeats 3] [-o FILE]

A real T1-weighted head (`brain/ecog_t1` of the data folder, MEDDL_DATA), or the embedded one where there is none, is
resampled to n x n x n voxels over its own field of view. Every grid runs in processes of its own, so that each peak of
memory is its own. Run it on an idle machine. The figures go to results/segment.json.

What is measured, for each grid:
    first       the first call of a process: loads the weights, measures the machine
    direct      the median of the calls after it
    worker      the median of calls in a warm worker process, arrays through shared memory both ways
    peak_mb     the most memory that the computing process has held: direct (the making of the volume included), and
                worker (its shared memory included)
Growth is checked on `direct`: from one grid to the next, the time per voxel must not rise (by more than a quarter). The
seconds that each further million voxels takes are told too; they stay about the same where cost is linear.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "MedDLLib"))

SIZES = (128, 192, 256, 320)
RESULTS = Path(__file__).resolve().parent / "results" / "segment.json"
LINEAR = 1.25  # a grid's time per voxel, as a multiple of the next smaller one's, that still counts as linear
_SCRIPT = Path(__file__).resolve()


def head_of(size: int):
    """`(volume, source)`: a head of size^3 voxels, int16."""
    import numpy as np

    from meddl.core.paths import data_folder
    from meddl.io import load
    from meddl.samples import head
    from meddl.spatial.grid import grid_around
    from meddl.spatial.resample import resample
    from meddl.spatial.volume import Volume

    folder = data_folder()
    path = folder / "brain" / "ecog_t1.nii.gz" if folder else None
    if path is not None and path.is_file():
        source, name = load(path), "ecog_t1"
    else:
        source, name = head("T1", 1.0)[0], "embedded head"
    grid = source.grid
    target = grid_around(grid.center_mm, (size,) * 3, grid.directions * (grid.extent_mm / size))
    data = np.rint(resample(source, target).scalar_data).astype(np.int16)
    return Volume.scalar(np.asfortranarray(data), target.affine), name


def measure(size: int, device: str, repeats: int, in_worker: bool) -> dict:
    """One grid, in this process or in a worker of it."""
    volume, source = head_of(size)
    run, close = (_worker_run if in_worker else _direct_run)(device)
    runs = []
    try:
        for _ in range(repeats + 1):
            started = time.perf_counter()
            found, peak_mb = run(volume)
            runs.append((time.perf_counter() - started, found.report))
    finally:
        close()
    later = runs[1:]
    stages = {stage: round(statistics.median(report["seconds"][stage] for _, report in later), 4)
              for stage in later[0][1]["seconds"] if stage != "total"}
    return {
        "source": source, "voxels": size**3, "spacing_mm": [round(float(x), 4) for x in volume.spacing_mm],
        "first_seconds": round(runs[0][0], 3), "seconds": round(statistics.median(s for s, _ in later), 3),
        "stages": stages, "peak_mb": round(peak_mb), "device": runs[-1][1]["device"],
        "structures": sum(volume > 0 for volume in runs[-1][1]["volumes_ml"].values()),
    }


def _direct_run(device: str):
    """A function from a volume to (segmentation, peak MB) that computes here, and one that tidies up."""
    from meddl.core.memory import peak_mb
    from meddl.segmentation import segment

    return (lambda volume: (segment(volume, device=device), peak_mb())), lambda: None


def _worker_run(device: str):
    """The same in a worker process."""
    from meddl.worker import Worker

    worker = Worker()
    worker.start()

    def run(volume):
        job = worker.submit("meddl.segmentation:segment", volume, device=device)
        return job.result(), job.spent.peak_memory_mb

    return run, worker.close


def measure_apart(size: int, device: str, repeats: int, in_worker: bool) -> dict:
    """`measure` in a process of its own."""
    command = [sys.executable, str(_SCRIPT), "--one", str(size), "--device", device, "--repeats", str(repeats)]
    done = subprocess.run([*command, *(["--worker"] if in_worker else [])], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The run with {size}^3 voxels failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def growth(rows: list[dict]) -> dict:
    """How the time grows: seconds per further million voxels between neighbors, and the check."""
    rows = sorted(rows, key=lambda row: row["voxels"])
    pairs = list(zip(rows, rows[1:], strict=False))
    slopes = [(b["direct"]["seconds"] - a["direct"]["seconds"]) / (b["voxels"] - a["voxels"]) * 1e6 for a, b in pairs]
    per_voxel = [row["direct"]["seconds"] / row["voxels"] for row in rows]
    steps = [after / before for before, after in zip(per_voxel, per_voxel[1:], strict=False)]
    return {
        "voxel_ratio": round(rows[-1]["voxels"] / rows[0]["voxels"], 3),
        "time_ratio": round(rows[-1]["direct"]["seconds"] / rows[0]["direct"]["seconds"], 3),
        "seconds_per_further_million_voxels": [round(slope, 4) for slope in slopes],
        "time_per_voxel_steps": [round(step, 3) for step in steps],
        "at_most_linear": max(steps) <= LINEAR,
    }


def table(rows: list[dict]) -> str:
    """The figures as a Markdown table."""
    stages = list(rows[0]["direct"]["stages"])
    head = ["grid", "direct s", *stages, "peak MB", "worker s", "worker peak MB", "first call s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        direct, worker = row["direct"], row["worker"]
        cells = [f"{row['size']}^3", f"{direct['seconds']:.2f}", *(f"{direct['stages'][s]:.2f}" for s in stages),
                 str(direct["peak_mb"]), f"{worker['seconds']:.2f}", str(worker["peak_mb"]),
                 f"{direct['first_seconds']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> dict:
    """What it ran on."""
    import torch

    from meddl import __version__
    from meddl.models.store.store import ModelStore

    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        cpu = next((line.split(":", 1)[1].strip() for line in info.read_text(encoding="utf-8").splitlines()
                    if line.startswith("model name")), cpu)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    card = ModelStore().card("brain")
    return {"cpu": cpu, "cores": cores, "system": platform.platform(), "python": platform.python_version(),
            "torch": torch.__version__, "meddl": __version__, "weights_sha256": card.weights.sha256,
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None}


def main() -> int:
    """Measure, print the table, write the JSON; returns the exit status (1: more than linear)."""
    parser = argparse.ArgumentParser(description="Measure meddl.segment over growing grids.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="voxels along each axis")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="warm calls of which the median counts (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="JSON file to write")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.device, arguments.repeats, arguments.worker)))
        return 0
    figures = {"machine": machine(), "rows": []}
    for size in sorted(arguments.sizes):
        print(f"{size}^3 ...", file=sys.stderr, flush=True)
        row = {"size": size, "voxels": size**3}
        row |= {name: measure_apart(size, arguments.device, arguments.repeats, name == "worker")
                for name in ("direct", "worker")}
        figures["rows"].append(row)
    print(table(figures["rows"]))
    if len(figures["rows"]) > 1:
        figures["growth"] = growth(figures["rows"])
        found = figures["growth"]
        print(f"\n{found['voxel_ratio']:g} times the voxels take {found['time_ratio']:g} times the time "
              f"({'at most linear' if found['at_most_linear'] else 'MORE than linear'}); seconds per further million "
              f"voxels: {', '.join(map(str, found['seconds_per_further_million_voxels']))}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"Written to {arguments.output}")
    return 0 if figures.get("growth", {}).get("at_most_linear", True) else 1


if __name__ == "__main__":
    sys.exit(main())
