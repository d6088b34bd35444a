"""How cost grows: with voxels, classes, windows of a network and cases of a cohort.

    python Testing/Benchmarks/bench_scale.py [voxels] [classes] [windows] [cohort] [ray] [--out FILE] [--most N]

Small networks with random weights, CPU seconds: other programs do not count. `exponent` is the slope of cost over size,
both as logarithms, between the two largest: 1 is linear. The cohort is segmented by a stub that writes a file and
answers at once: what is left is finding cases, scheduler, journal and table, and the start of the same job anew.
`ray` needs the package ray and an idle machine: seconds by the clock for a cohort that a network segments.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Python" / "support"))

from nnunet_folder import write_nnunet
from scipy.ndimage import gaussian_filter

import meddl
from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.core.memory import used_bytes
from meddl.jobs.schedule import Outcome
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

STRUCTURES = {f"structure {n}": 12.345 for n in range(32)}
STUBS = 8
EXACT = SegmentConfig(float32=True)


class StubSlot:
    """A worker that writes an empty file and is done."""

    def __init__(self, arguments: Callable):
        self._arguments = arguments

    def ready(self) -> bool:
        return True

    def start(self, case) -> None:
        (_, output, *_), _ = self._arguments(case, "cpu", None)
        Path(output).write_bytes(b"labels")

    def poll(self) -> Outcome:
        return Outcome({"device": "cpu", "component": None, "sha256": ["0" * 64], "frames": [
            {"volumes_ml": STRUCTURES, "confidence": {}, "low": [], "quality": None, "warnings": []}]})

    def progress(self) -> tuple[float, str]:
        return 0.0, ""

    def cancel(self) -> None: ...

    def close(self) -> None: ...


def volume(size: int, spacing: float = 2.0) -> Volume:
    """A smooth random object, size^3."""
    noise = np.random.default_rng(0).normal(size=(size,) * 3)
    return Volume.scalar((100 * gaussian_filter(noise, 3) + 50).astype(np.float32), np.diag([spacing] * 3 + [1.0]))


def network(classes: int = 4) -> str:
    """An installed nnU-Net of random weights with patches of 32^3."""
    identifier, store = f"scale-{classes}", ModelStore()
    if all(card.id != identifier for card in store.list()):
        labels = {"background": 0, **{f"structure {n}": n for n in range(1, classes)}}
        with tempfile.TemporaryDirectory() as folder:
            store.import_model(write_nnunet(Path(folder), labels=labels, patch=(32, 32, 32), mirror=(),
                                            features=(8, 16, 32)), identifier=identifier)
    return identifier


def cpu_seconds(run: Callable[..., object], *arguments, **named) -> float:
    """Of the faster of two runs; the first one also prepares."""
    found = []
    for _ in range(2):
        begun = time.process_time()
        run(*arguments, **named)
        found.append(time.process_time() - begun)
    return min(found)


def voxels() -> list[dict]:
    """The verbs on larger volumes."""
    rows = []
    for size in (32, 48, 64):
        image = volume(size)
        moved = Volume(image.data, image.affine + np.eye(4, k=3) * 3)
        thick = Volume(image.data[..., ::4], image.affine @ np.diag([1.0, 1.0, 4.0, 1.0]))
        rows.append({"size": size**3, "segment": cpu_seconds(meddl.segment, image, network(), EXACT),
                     "register": cpu_seconds(meddl.register, image, moved, RegisterConfig("rigid")),
                     "super_resolve": cpu_seconds(meddl.super_resolve, thick, SuperResolveConfig(factor=4.0))})
    return rows


def classes() -> list[dict]:
    """One volume, more classes."""
    image = volume(64)
    return [{"size": count, "segment": cpu_seconds(meddl.segment, image, network(count), EXACT)}
            for count in (8, 32, 128)]


def windows() -> list[dict]:
    """One volume, windows that overlap more."""
    image, rows = volume(64), []
    for overlap in (0.0, 0.5, 0.75):
        count = (math.ceil((64 - 32) / (32 * (1 - overlap))) + 1) ** 3
        rows.append({"size": count, "segment": cpu_seconds(
            meddl.segment, image, network(), replace(EXACT, overlap=overlap))})
    return rows


def cohort(most: int = 10_000) -> list[dict]:
    """More and more cases, by a stub, and the start of the finished job anew."""
    job = importlib.import_module("meddl.jobs.job")
    job._slots = lambda *arguments: [StubSlot(arguments[-1].arguments) for _ in range(STUBS)]
    rows, model = [], network()
    for count in [n for n in (100, 1000, 10_000, 100_000) if n <= most]:
        with tempfile.TemporaryDirectory() as folder:
            inputs, output = Path(folder, "in"), Path(folder, "out")
            inputs.mkdir()
            for n in range(count):
                (inputs / f"case_{n:06d}.nii.gz").write_bytes(b"x")
            held = used_bytes()
            seconds = {}
            for name in ("first", "again"):
                begun, clock = time.process_time(), time.monotonic()
                summary = meddl.segment_many(inputs, output, model)
                seconds[name] = time.process_time() - begun
                seconds[f"{name}, clock"] = time.monotonic() - clock
                assert summary.counts["done" if name == "first" else "kept"] == count
            rows.append({"size": count, **seconds, "memory_mb": (used_bytes() - held) / 1e6,
                         "journal_mb": (output / ".meddl-job.jsonl").stat().st_size / 1e6,
                         "table_mb": (output / "summary.json").stat().st_size / 1e6})
            del summary
    return rows


def ray_workers(cases: int = 200) -> list[dict]:
    """A cohort of small volumes on a Ray cluster of this machine: one worker on one processor, two on two.

    `job` is all that the user waits for; `cases` the time between the first case's end and the last one's.
    """
    import ray

    rows, model = [], network()
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "in")
        inputs.mkdir()
        image = volume(64)
        for n in range(cases):
            meddl.save(Volume(np.roll(image.data, n, axis=1), image.affine), inputs / f"case_{n:03d}.nii")
        for count in (1, 2):
            ends: list[float] = []

            def note_end(_, ends=ends) -> None:
                ends.append(time.monotonic())

            ray.init(num_cpus=count, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            begun = time.monotonic()
            summary = meddl.segment_many(inputs, Path(folder, f"out-{count}"), model, EXACT, engine="ray",
                                         workers=count, device="cpu", on_case=note_end)
            job = time.monotonic() - begun
            ray.shutdown()
            assert summary.counts["done"] == cases
            rows.append({"size": count, "job": job, "cases": ends[-1] - ends[0]})
    return rows


CURVES = {"voxels": voxels, "classes": classes, "windows": windows, "cohort": cohort}
ON_REQUEST = {"ray": ray_workers}


def exponents(rows: list[dict]) -> dict[str, float]:
    """The slope of each cost over size between the two largest sizes, both as logarithms."""
    one, other = rows[-2:]
    return {name: round(math.log(max(other[name], 1e-9) / max(one[name], 1e-9)) / math.log(other["size"] / one["size"]),
                        2) for name in one if name != "size"}


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table for each curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curves", nargs="*", help=f"default: all but {', '.join(ON_REQUEST)}")
    parser.add_argument("--out", type=Path, help="a JSON file, which keeps the curves that are not measured")
    parser.add_argument("--most", type=int, default=10_000, help="cases of the cohort")
    options = parser.parse_args(arguments)
    kept = os.environ.get("MEDDL_CACHE")
    found = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MEDDL_CACHE"] = cache
        for name in options.curves or CURVES:
            curve = {**CURVES, **ON_REQUEST}[name]
            rows = curve(options.most) if name == "cohort" else curve()
            found[name] = {"rows": rows, "exponents": exponents(rows) if len(rows) > 1 else {}}
            print(table(name, found[name]), flush=True)
            if options.out:
                options.out.write_text(json.dumps(found, indent=1) + "\n")
    if kept is None:
        del os.environ["MEDDL_CACHE"]
    else:
        os.environ["MEDDL_CACHE"] = kept
    return 0


def table(name: str, curve: dict) -> str:
    """A curve as Markdown."""
    columns = list(curve["rows"][0])
    lines = [[name, *columns[1:]], ["---:"] * len(columns)]
    lines += [[f"{row['size']:,}", *(f"{row[column]:.3g}" for column in columns[1:])] for row in curve["rows"]]
    lines.append(["exponent", *(f"{curve['exponents'].get(column, float('nan')):.2f}" for column in columns[1:])])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
