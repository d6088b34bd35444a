"""Estimated and true seconds of runs of the three verbs and of a series, by method and size, as panels estimate them.

    python Testing/Benchmarks/bench_estimates.py [--runs TEXT ...] [-o FILE]

Each run is estimated from its counted operations, once this machine's speed was measured, and then done in a warm
worker with one thread, on an embedded head, or frames of it under noise; its CPU time is what it would take by the
clock on an idle machine. Nothing is learned from one run for another. The figures go to results/estimates.json, beside
those of other runs that it holds; a table is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # the worker inherits it
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Python")]

RESULTS = Path(__file__).resolve().parent / "results" / "estimates.json"
REMOTE = "meddl_slicer.runs.remote:"
TARGETS = {"segment": f"{REMOTE}segment", "register": f"{REMOTE}register", "superResolve": f"{REMOTE}super_resolve",
           "denoiseSequence": "meddl_slicer.sections.preparation.series_remote:denoise_series"}
THICK, FRAMES = (1.0, 1.0, 5.0), 16
# Verb, what is chosen in words, voxel size in mm, and how the configuration is made.
RUNS = [
    ("segment", "brain", 2.0, {}),
    ("segment", "brain", 1.0, {}),
    ("segment", "brain, mirrored volume too", 1.0, {"flip_averaging": True}),
    ("segment", "brain, no atlas label maps", 1.0, {"atlas_label_maps": 0}),
    ("register", "Rigid", 1.0, {}),
    ("register", "Affine", 2.0, {}),
    ("register", "Large motion", 2.0, {}),
    ("register", "Deformable", 2.0, {}),
    ("register", "Deformable multi-modal", 2.0, {}),
    ("register", "Same subject, two dates", 3.0, {}),
    ("superResolve", "back-projection", THICK, {}),
    ("superResolve", "network", THICK, {}),
    ("superResolve", "edsr3d", 2.5, {}),
    ("superResolve", "denoise", 1.0, {}),
    ("denoiseSequence", "recurrent", 3.0, {}),
    ("denoiseSequence", "recurrent, forward, no spatial step", 3.0, {"passes": "forward", "spatial": False}),
    ("denoiseSequence", "recurrent, no spatial step", 2.5, {"spatial": False}),
    ("denoiseSequence", "local-pca", 3.0, {"method": "local-pca"}),
]


def prepare(verb: str, choice: str, spacing_mm, options: dict) -> tuple[list, object, str | None]:
    """The volumes of a run, its configuration and its model."""
    from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig
    from meddl.samples import head_image
    from meddl.series.config import DenoiseSeriesConfig

    if verb == "denoiseSequence":
        return noisy_frames(head_image("T1", spacing_mm)), DenoiseSeriesConfig(**options), None
    if verb == "segment":
        return [head_image("T1", spacing_mm)], SegmentConfig(**options), choice.partition(",")[0]
    if verb == "register":
        other = "T2" if "modal" in choice else "T1"
        return [head_image("T1", spacing_mm), head_image(other, spacing_mm, seed=3)], RegisterConfig.from_preset(
            choice), None
    return [head_image("T1", spacing_mm)], SuperResolveConfig(method=choice, **options), None


def noisy_frames(head) -> list:
    """A series of a head under noise of 5 % of its largest value."""
    import numpy as np

    from meddl.spatial.volume import Volume

    rng = np.random.default_rng(0)
    noise = (0.05 * head.data.max() * rng.standard_normal(head.data.shape, np.float32) for _ in range(FRAMES))
    return [Volume(head.data + one, head.affine) for one in noise]


def measure(worker, verb: str, choice: str, spacing_mm, options: dict) -> dict:
    """Estimated and true seconds and MB of a run."""
    volumes, config, model = prepare(verb, choice, spacing_mm, options)
    grids = [(volume.shape, volume.affine) for volume in volumes]
    expected = worker.call(f"{REMOTE}expect_run", verb, grids, config, model=model)
    series = verb == "denoiseSequence"
    arguments = [volumes, config] if series else [*volumes, model, config] if model else [*volumes, config]
    job = worker.submit(TARGETS[verb], *arguments)
    job.result()
    return {"verb": verb, "choice": choice, "voxels": [*volumes[0].shape, *([len(volumes)] if series else [])],
            "estimated_s": round(expected[0], 2), "true_s": round(job.spent.cpu_seconds, 2),
            "estimated_mb": round(expected[1]), "true_mb": round(job.spent.peak_memory_mb)}


def _key(row: dict) -> tuple:
    return row["verb"], row["choice"], row["voxels"]


def _place(row: dict) -> int:
    """The place of a row's run in RUNS."""
    return [run[:2] for run in RUNS].index((row["verb"], row["choice"]))


def table(rows: list[dict]) -> str:
    """A row a run: what was chosen, voxels, estimated and true seconds and memory, and how many times too many."""
    lines = ["| | | voxels | estimated, s | true, s | estimated / true | estimated, GB | true, GB |",
             "|---|---|---|---:|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join([
        row["verb"], row["choice"], " × ".join(map(str, row["voxels"])), f"{row['estimated_s']:.1f}",
        f"{row['true_s']:.1f}", f"{row['estimated_s'] / row['true_s']:.2f}", f"{row['estimated_mb'] / 1e3:.1f}",
        f"{row['true_mb'] / 1e3:.1f}"]) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """Measure, keep the figures and print the table."""
    from meddl.worker import Worker

    parser = argparse.ArgumentParser(description="Estimated and true seconds of runs.")
    parser.add_argument("--runs", nargs="+", default=[""], help="only those whose verb or choice holds a text")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    chosen = [run for run in RUNS if any(text in f"{run[0]} {run[1]}" for text in arguments.runs)]
    kept = json.loads(arguments.output.read_text(encoding="utf-8"))["runs"] if arguments.output.exists() else []
    results = {"machine": platform.processor() or platform.machine(), "runs": kept}
    with Worker(allowed=("meddl.", "meddl_slicer."), paths=sys.path[:2], preload=("torch",)) as worker:
        for run in chosen:
            row = measure(worker, *run)
            kept[:] = sorted((one for one in (*kept, row) if one is row or _key(one) != _key(row)), key=_place)
            print(table([row]).splitlines()[-1], flush=True)
            arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results["runs"]))


if __name__ == "__main__":
    main()
