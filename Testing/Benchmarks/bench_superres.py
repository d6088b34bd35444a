"""`meddl.super_resolve` by every method, beside interpolation and ECLARE: the same cases in one run.

    python Testing/Benchmarks/bench_superres.py [--parts quality isotropic mismatch lesions geometry denoise speed
        large eclare] [--voxels 144] [--threads 2] [--eclare-patches 20000] [-o FILE]

Cases and their simulator are in superres_cases.py; a matched profile is Gaussian, full width at half maximum one slice
distance. PSNR and SSIM in 3D, range from percentile 0.1 to 99.9 of the truth, inside the object without two slices at
each end, and over the whole volume. Results go to results/superres.json, part by part, so that a run can be split.
ECLARE runs where superres_peers.py has made its environment, with far fewer training patches than its default (the
number is in the results).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import superres_cases as cases
from peer_environments import call, installed
from scipy import ndimage
from superres_peers import ENGINES

import meddl
from meddl.core.config import SuperResolveConfig
from meddl.core.paths import data_folder
from meddl.io import load, save
from meddl.measures.image_quality import image_quality
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

RESULTS = Path(__file__).resolve().parent / "results" / "superres.json"
THROUGH_PLANE = ("linear", "lanczos", "cubic", "back-projection", "network")
SELF_TRAINED_FACTOR = 4.0  # self-training takes its time: on one factor by default
SELF_TRAINING_SECONDS = 45.0
SELF_SUPERVISED_SECONDS = 20.0  # of denoising
ISOTROPIC = ("linear", "lanczos", "cubic", "back-projection", "network", "edsr3d", "srcnn", "srresnet", "srgan 0.3",
             "srgan 1")
DENOISERS = ("denoise", "denoise-autoencoder", "denoise-self-supervised")
PARTS = ("quality", "isotropic", "mismatch", "lesions", "geometry", "denoise", "speed", "large", "eclare")
DENOISE_FRACTION = 0.05  # of the truth's range


def sharpen(case: cases.Case, method: str, seconds: float = SELF_TRAINING_SECONDS) -> tuple[Volume, float]:
    """A method's answer on the truth's grid, and the seconds that it took."""
    started = time.perf_counter()
    if method in ("linear", "lanczos"):
        return resample(case.given, case.truth.grid, method), time.perf_counter() - started
    name, _, strength = method.partition(" ")
    config = SuperResolveConfig(method=name, target_spacing_mm=float(case.truth.spacing_mm[case.axes[0]]),
                                axis=case.axes[0] if len(case.axes) == 1 else None, profile=case.profile,
                                keep_range=False, zero_filling=1.0, seconds=seconds,
                                adversarial_strength=float(strength or 0.3))
    made = meddl.super_resolve(case.given, config, device="cpu").volume
    took = time.perf_counter() - started
    return on_truth(made, case), took


def on_truth(made: Volume, case: cases.Case) -> Volume:
    """The volume at the truth's voxels: its own where the grids are one, else interpolated."""
    return made if made.grid.same_as(case.truth.grid, 0.02) else resample(made, case.truth.grid, "cubic")


def entry_of(case: cases.Case, method: str, made: Volume, seconds: float) -> dict:
    """The figures of one answer."""
    truth = case.truth.scalar_data
    inside = image_quality(made.scalar_data, truth, cases.foreground(truth, case.axes, case.factor))
    whole = image_quality(made.scalar_data, truth)
    return {"case": case.name, "method": method, "psnr_db": round(inside.psnr_db, 3), "ssim": round(inside.ssim, 4),
            "whole_psnr_db": round(whole.psnr_db, 3), "whole_ssim": round(whole.ssim, 4), "seconds": round(seconds, 2)}


def measure(found: list[cases.Case], methods) -> list[dict]:
    """Every method on every case."""
    entries = []
    for case in found:
        for method in methods:
            print(case.name, method, "...", end=" ", file=sys.stderr, flush=True)
            made, seconds = sharpen(case, method)
            entries.append(entry_of(case, method, made, seconds))
            print(f"{entries[-1]['psnr_db']:.2f} dB, {seconds:.1f} s", file=sys.stderr)
    return entries


def quality(truths, voxels: int) -> list[dict]:
    """Every through-plane method on every volume and factor with the matched profile."""
    entries = []
    for name in truths:
        for factor in cases.FACTORS:
            more = ("self-training",) if factor == SELF_TRAINED_FACTOR else ()
            entries += measure([cases.through_plane(name, factor, "gaussian", voxels)], (*THROUGH_PLANE, *more))
    return entries


def lesions(voxels: int) -> list[dict]:
    """Contrast that is kept, by size, and blobs that are not in the truth."""
    entries = []
    for factor in (2.0, 4.0):
        case = cases.with_lesions("ecog_t1", factor, voxels)
        for method in THROUGH_PLANE:
            made, _ = sharpen(case, method)
            result, truth = made.scalar_data.astype(np.float64), case.truth.scalar_data.astype(np.float64)
            kept = {}
            for *center, radius, _ in case.lesions:
                place = tuple(int(c) for c in center)
                kept.setdefault(f"{2 * radius:g} voxels", []).append(_contrast(result, place) / _contrast(truth, place))
            contrast = abs(case.lesions[0, 4])
            blobs = ndimage.gaussian_filter(result - truth, 1.0)
            away = cases.foreground(truth, case.axes, factor)
            for *center, _, _ in case.lesions:
                away[tuple(slice(max(0, int(c) - 8), int(c) + 9) for c in center)] = False
            _, false = ndimage.label(away & (np.abs(blobs) > 0.5 * contrast))
            entries.append({"case": case.name, "method": method, "false_blobs": int(false),
                            "contrast_kept": {size: round(float(np.mean(v)), 3) for size, v in sorted(kept.items())}})
    return entries


def _contrast(data: np.ndarray, place) -> float:
    """The center's value less the mean of a shell 5 to 7 voxels away."""
    box = tuple(slice(p - 7, p + 8) for p in place)
    distance = np.sqrt(sum(np.square(g) for g in np.ogrid[-7:8, -7:8, -7:8]))
    return float(data[place] - data[box][(distance > 5) & (distance <= 7)].mean())


def geometry() -> list[dict]:
    """How far the centers of four blobs move, in voxels of the result."""
    entries = []
    for factor in cases.FACTORS:
        case = cases.phantom(factor)
        for method in ("cubic", "back-projection", "network", "self-training"):
            made, _ = sharpen(case, method, seconds=10.0)
            shifts = [np.linalg.norm(a - b) for a, b in zip(_centers(made.scalar_data), _centers(
                case.truth.scalar_data), strict=True)]
            entries.append({"case": case.name, "method": method, "largest_shift_voxels": round(float(max(shifts)), 4)})
    return entries


def _centers(data: np.ndarray) -> list[np.ndarray]:
    found = []
    for center in ((15, 16, 14), (32, 35, 18), (16, 35, 43), (32, 16, 41)):
        box = tuple(slice(c - 10, c + 11) for c in center)
        part = np.clip(data[box].astype(np.float64) - 10, 0, None)
        found.append(np.array(ndimage.center_of_mass(part)))
    return found


def denoising(method: str) -> SuperResolveConfig:
    """How a volume is denoised here."""
    return SuperResolveConfig(method=method, keep_range=False, seconds=SELF_SUPERVISED_SECONDS)


def denoise(voxels: int) -> list[dict]:
    """Noise of 5 % taken out of real volumes, Gaussian, and Rician where nothing is negative."""
    entries = []
    for name in cases.TRUTHS:
        truth, _ = cases._truth(name, voxels)
        data = truth.scalar_data
        sigma = DENOISE_FRACTION * cases._range(data)
        random = np.random.default_rng(11)
        first, second = (sigma * random.standard_normal(data.shape) for _ in range(2))
        kinds = {"gaussian": data + first}
        if data.min() >= 0:
            kinds["rician"] = np.hypot(data + first, second)
        for kind, noisy in kinds.items():
            given = Volume.scalar(noisy.astype(np.float32), truth.affine)
            mask = cases.foreground(data, (), 1)
            before = image_quality(noisy, data, mask)
            for method in DENOISERS:
                started = time.perf_counter()
                made = meddl.super_resolve(given, denoising(method), device="cpu")
                seconds = time.perf_counter() - started
                after = image_quality(made.volume.scalar_data, data, mask)
                entries.append({"case": f"{name}/{kind} 5 %", "method": method, "psnr_db": round(after.psnr_db, 3),
                                "noisy_psnr_db": round(before.psnr_db, 3), "ssim": round(after.ssim, 4),
                                "gain_db": round(after.psnr_db - before.psnr_db, 3), "seconds": round(seconds, 2)})
                print(entries[-1], file=sys.stderr)
    edge = np.zeros((64, 64, 64), dtype=np.float32)
    edge[:, :, 32:] = 1000
    noisy = edge + 50 * np.random.default_rng(3).standard_normal(edge.shape).astype(np.float32)
    for method in DENOISERS:
        made = meddl.super_resolve(Volume.scalar(noisy, np.eye(4)), denoising(method), device="cpu").volume.scalar_data
        profile = made[8:-8, 8:-8].mean(axis=(0, 1)) / 1000
        width = float(np.interp(0.9, profile[28:37], np.arange(28, 37)) - np.interp(0.1, profile[28:37],
                                                                                  np.arange(28, 37)))
        entries.append({"case": "edge", "method": method, "edge_width_10_90_voxels": round(width, 3)})
    return entries


_SPEED = """
import json, resource, sys, time
import numpy as np
import meddl
from meddl.core.config import SuperResolveConfig
from meddl.spatial.volume import Volume
from scipy import ndimage
import meddl.superres
method, repeats, side, slices = sys.argv[1], *map(int, sys.argv[2:])
random = np.random.default_rng(0)
data = np.stack([1000 * ndimage.gaussian_filter(random.standard_normal((side, side)), 2)
                 for _ in range(slices)], axis=2).astype(np.int16)
volume = Volume.scalar(data, np.diag([1.0, 1.0, 4.0, 1.0]))
config = SuperResolveConfig(method=method, seconds=60.0)
times, calls = [], []
for _ in range(repeats):
    start = time.perf_counter()
    calls.append(start)
    result = meddl.super_resolve(volume, config, device="cpu", on_progress=lambda *_: calls.append(time.perf_counter()))
    times.append(time.perf_counter() - start)
assert result.volume.shape == (side, side, 4 * slices)
print(json.dumps({"first_seconds": times[0], "seconds": times[-1], "longest_without_progress_s": max(np.diff(calls)),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def speed(threads: int) -> list[dict]:
    """256 x 256 x 40 -> 160, a process each."""
    return [timed(method, 1 if method == "self-training" else 2, 256, 40, threads)
            for method in ("cubic", "back-projection", "network", "self-training")]


def large(threads: int) -> list[dict]:
    """512 x 512 x 100 -> 400 by back-projection and the network, a process each."""
    return [timed(method, 1, 512, 100, threads) for method in ("back-projection", "network")]


def timed(method: str, repeats: int, side: int, slices: int, threads: int) -> dict:
    """Seconds, memory, and the longest time in which a cancel would have to wait, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _SPEED, method, *map(str, (repeats, side, slices))],
                          capture_output=True, text=True, check=True,
                          env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    figures = {key: round(value, 4) for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
    found = {"case": f"{side} x {side} x {slices} -> {4 * slices}", "method": method, **figures}
    print(found, file=sys.stderr)
    return found


def eclare(voxels: int, patches: int, threads: int) -> list[dict]:
    """ECLARE with few patches beside the network and self-training, on two heads."""
    python = installed(ENGINES["eclare"])
    if python is None:
        print("eclare: not installed (python Testing/Benchmarks/superres_peers.py --make)", file=sys.stderr)
        return []
    entries = []
    for name, factor in (("chris_t1", 3.0), ("vm", 4.0)):
        case = cases.through_plane(name, factor, "gaussian", voxels)
        try:
            made, seconds = _by_eclare(python, case, patches, threads)
            entries.append(entry_of(case, f"eclare, {patches} patches", made, seconds))
        except RuntimeError as error:
            entries.append({"case": case.name, "method": f"eclare, {patches} patches", "error": str(error)})
            print(entries[-1], file=sys.stderr)
            continue
        print(entries[-1], file=sys.stderr)
        entries += measure([case], ("cubic", "network", "self-training"))
    return entries


def _by_eclare(python: Path, case: cases.Case, patches: int, threads: int) -> tuple[Volume, float]:
    """ECLARE's answer on the truth's grid, and its seconds; RuntimeError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        save(case.given, Path(folder) / "given.nii.gz")
        started = time.perf_counter()
        call([str(python.with_name("run-eclare")), "--in-fpath", f"{folder}/given.nii.gz", "--out-dir",
              f"{folder}/out", "--n-patches", str(patches), "--batch-size", "32", "--relative-slice-thickness", "1.0",
              "--suffix", "_sharp"], threads)
        seconds = time.perf_counter() - started
        made = sorted(Path(folder, "out").rglob("*_sharp*.nii.gz"))
        if not made:
            raise RuntimeError("it wrote no volume")
        return on_truth(load(made[0]), case), seconds


def table(entries: list[dict]) -> str:
    """The mean gain over cubic in dB by factor and profile, and the smallest one, as Markdown."""
    cubic = {entry["case"]: entry["psnr_db"] for entry in entries if entry["method"] == "cubic" and "psnr_db" in entry}
    groups: dict[tuple[str, str], list[float]] = {}
    for entry in entries:
        if "psnr_db" in entry and entry["case"] in cubic:
            group = "/".join(entry["case"].split("/")[1:])
            groups.setdefault((group, entry["method"]), []).append(entry["psnr_db"] - cubic[entry["case"]])
    lines = ["| task | method | mean gain over cubic, dB | smallest | n |", "|---|---|---:|---:|---:|"]
    for (group, method), gains in groups.items():
        lines.append(f"| {group} | {method} | {statistics.mean(gains):+.2f} | {min(gains):+.2f} | {len(gains)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table, write the JSON; returns the exit status."""
    parser = argparse.ArgumentParser(description="Compare the methods of meddl.super_resolve.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--voxels", type=int, default=144, help="along each axis of the volumes' middle (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--eclare-patches", type=int, default=20000, help="training patches (%(default)s)")
    parser.add_argument("--truths", nargs="+", choices=list(cases.TRUTHS), default=list(cases.TRUTHS))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if data_folder() is None:
        print("No real volumes: set MEDDL_DATA to the folder that holds them. Nothing was measured.")
        return 0
    import torch

    torch.set_num_threads(arguments.threads)
    voxels, truths = arguments.voxels, arguments.truths
    parts = {
        "quality": lambda: quality(truths, voxels),
        "isotropic": lambda: measure([cases.isotropic(name, voxels) for name in truths], ISOTROPIC),
        "mismatch": lambda: measure([cases.through_plane(name, factor, profile, voxels) for name in truths
                                     for factor in (2.0, 4.0) for profile in cases.PROFILES[1:]],
                                    ("cubic", "back-projection", "network")),
        "lesions": lambda: lesions(voxels), "geometry": geometry, "denoise": lambda: denoise(min(voxels, 112)),
        "speed": lambda: speed(arguments.threads), "large": lambda: large(arguments.threads),
        "eclare": lambda: eclare(voxels, arguments.eclare_patches, arguments.threads)}
    figures = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.is_file() else {}
    for name in arguments.parts:
        started = time.perf_counter()
        figures[name] = {"machine": {"system": platform.platform(), "threads": arguments.threads, "voxels": voxels,
                                   "torch": torch.__version__}, "entries": parts[name](),
                       "seconds": round(time.perf_counter() - started, 1)}
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table([entry for name in PARTS if name in figures for entry in figures[name]["entries"]]))
    for name in ("lesions", "geometry", "denoise", "speed", "large"):
        for entry in figures.get(name, {}).get("entries", ()):
            print(name, entry)
    return 0


if __name__ == "__main__":
    sys.exit(main())
