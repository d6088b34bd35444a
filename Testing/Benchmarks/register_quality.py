"""Calibrate and measure the quality estimate of registrations, on pairs whose map is known.

    python Testing/Benchmarks/register_quality.py --results FILE [--registrations 200] [--first 0]

Each pair is a real volume (heads, abdomen, chest, vessels, limbs; two contrasts where there are) or a synthetic head of
random intensities, at 4 mm, and the same under a known rigid map of up to 20 degrees and 30 mm, noise of 2 to 8 %
and a smaller field of view. It is registered twice: as a user would, and from a forced start far away. A result is
right up to a mean error of 5 mm in the object, and else failed. Figures are appended to FILE, so that it can be run in
parts; with 40 and more it prints the weights of the logistic regression, and how many failures and right results are
flagged, measured by five-fold cross-validation over pairs. FILE alone, with --registrations 0, is enough for that.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize as smallest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from register_maps import rigid, transformed

from meddl.core.config import RegisterConfig
from meddl.core.paths import data_folder
from meddl.core.stage_clock import StageClock
from meddl.io import load
from meddl.registration.images.registration_image import prepare_image
from meddl.registration.linear.align import align, fitted_levels_mm
from meddl.registration.linear.initialization import InitialAlignment
from meddl.registration.linear.quality_estimate import RIGHT, Doubts, doubts_of, quality_word
from meddl.spatial.grid import Grid, centered_grid
from meddl.spatial.normalize import otsu_threshold
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

NAMES = ("better_fraction", "standing", "restart_gain", "restart_mm", "inverse_error_mm", "agreement", "overlap")
# Fixed and moving file; the same twice: one contrast.
PAIRS = (("brain/chris_t1.nii.gz",) * 2, ("brain/ecog_t1.nii.gz",) * 2, ("ms/ms07_t1.nii.gz", "ms/ms07_t2.nii.gz"),
         ("ms/ms07_t1.nii.gz", "ms/ms07_flair.nii.gz"), ("ms/ms07_t2.nii.gz",) * 2, ("body/abdomen_ct.nii.gz",) * 2,
         ("body/abdomen_mr.nii.gz",) * 2, ("body/chest_ct.nrrd",) * 2, ("body/aorta_cta.nii.gz",) * 2,
         ("sarcoma/sts01_ct.nii.gz", "sarcoma/sts01_pet.nii.gz"),
         ("sarcoma/sts04_ct.nii.gz", "sarcoma/sts04_pet.nii.gz"),
         ("sarcoma/sts03_mr.nii.gz",) * 2, ("brain_multimodal/T1_head_ext2.nii.gz",) * 2,
         *(((f"labelmaps/heads/head_{number}.nii.gz",) * 2) for number in (13, 14, 15, 16)))
CONFIG = RegisterConfig(levels_mm=(8.0, 4.0), samples=8_000, iterations=25)
FAILED_MM = 5.0


def make_pair(seed: int) -> tuple[Volume, Volume, np.ndarray]:
    """Fixed and moving volume, and the map (4x4) from fixed to moving points, of one seed."""
    rng = np.random.default_rng([seed, 7])
    files = PAIRS[seed % len(PAIRS)]
    fixed, moving = (_coarse(file) for file in files)
    if "heads" in files[0]:
        fixed, moving = (Volume.scalar(rng.uniform(0, 100, 4096).astype(np.float32)[one.scalar_data.astype(int) % 4096]
                                       * (one.scalar_data > 0), one.affine) for one in (fixed, moving))
    known = rigid(rng, 20.0, 30.0, moving.grid.center_mm)
    seen = np.maximum((np.array(moving.shape) * rng.uniform(0.8, 1.0, 3)).astype(int), 8)
    affine = np.array(moving.affine)
    affine[:3, 3] = moving.grid.points_mm((np.array(moving.shape) - seen) / 2 + rng.uniform(0, 1, 3))
    grid = Grid(tuple(int(n) for n in seen), affine)
    turned = Grid(grid.shape, known @ grid.affine)
    turned = centered_grid(turned, turned.spacing_mm)
    moved = resample(moving, turned, transform=np.linalg.inv(known), clamp=True)
    return _noisy(rng, fixed), _noisy(rng, moved), known


@lru_cache(maxsize=len(PAIRS) + 8)
def _coarse(file: str) -> Volume:
    found = load(data_folder() / file).reorient("RAS")
    found = Volume.scalar(found.scalar_data.astype(np.float32), found.affine)
    labels = "heads" in file
    grid = centered_grid(found.grid, np.maximum(found.spacing_mm, 4.0))
    return resample(found, grid, "nearest" if labels else "linear", clamp=True)


def _noisy(rng: np.random.Generator, volume: Volume) -> Volume:
    data = volume.scalar_data
    low, high = np.percentile(data, (1, 99))
    noise = rng.uniform(0.02, 0.08) * (high - low)
    return Volume.scalar((data + rng.normal(0, noise, data.shape)).astype(np.float32), volume.affine)


def measure(seed: int) -> list[dict]:
    """Both registrations of one pair: error_mm, seconds of the estimate, and what `Doubts` holds."""
    fixed, moving, known = make_pair(seed)
    rng = np.random.default_rng([seed, 8])
    levels = fitted_levels_mm(fixed, moving, CONFIG.levels_mm)
    images = [prepare_image(name, volume, None).levels(levels, torch.device("cpu"))
              for name, volume in (("fixed", fixed), ("moving", moving))]
    points = fixed.grid.points_mm(np.argwhere(fixed.scalar_data > otsu_threshold(fixed.scalar_data))[::7])
    found = []
    for forced in (False, True):
        far = known @ rigid(rng, 120.0, 50.0, fixed.grid.center_mm)
        given = [InitialAlignment("far", far)] if forced else []
        answer = align(*images, CONFIG, given, StageClock())
        begin = time.process_time()
        doubts = doubts_of(*images, answer.affine, CONFIG)
        seconds = time.process_time() - begin
        error = np.linalg.norm(transformed(points, answer.affine) - transformed(points, known), axis=1).mean()
        found.append({"seed": seed, "file": PAIRS[seed % len(PAIRS)][1], "forced": forced, "error_mm": float(error),
                      "seconds": seconds, "alternatives": answer.measures["alternatives"],
                      **{name: getattr(doubts, name) for name in NAMES}})
    return found


def fit(features: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and constant of the logistic regression, both classes counting alike, with a slight ridge."""
    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    scaled = (features - middle) / spread
    balance = np.where(right, 0.5 / max(right.sum(), 1), 0.5 / max((~right).sum(), 1))
    sign = np.where(right, -1.0, 1.0)

    def loss(p: np.ndarray) -> float:
        return float(balance @ np.logaddexp(0, sign * (scaled @ p[:-1] + p[-1])) + 0.003 * p[:-1] @ p[:-1])

    best = smallest(loss, np.zeros(features.shape[1] + 1), method="BFGS").x
    weights = best[:-1] / spread
    return weights, float(best[-1] - weights @ middle)


def summarize(entries: list[dict]) -> None:
    """Print weights, and the rates of flags: by cross-validation, and by the weights that are in use."""
    doubts = [Doubts(*(entry[name] for name in NAMES)) for entry in entries]
    features = np.array([one.features for one in doubts])
    right = np.array([entry["error_mm"] <= FAILED_MM for entry in entries])
    pairs = np.array([entry["seed"] for entry in entries])
    print(f"{len(entries)} registrations, {(~right).sum()} over {FAILED_MM:g} mm; "
          f"{np.mean([entry['seconds'] for entry in entries]):.2f} CPU s an estimate")
    held_out = np.zeros(len(entries))
    for fold in range(5):
        test = pairs % 5 == fold
        weights, constant = fit(features[~test], right[~test])
        held_out[test] = 1 / (1 + np.exp(-(features[test] @ weights + constant)))
    _rates("cross-validation", held_out, right)
    _rates("weights in use", np.array([one.quality for one in doubts]), right)
    told = np.array([bool(entry["alternatives"]) for entry in entries])
    print(f"alternatives told: {told[~right].mean():.1%} of failures, {told[right].mean():.1%} of right ones")
    weights, constant = fit(features, right)
    print("WEIGHTS =", {name: round(float(weight), 3) for name, weight in zip(NAMES, weights, strict=True)},
          "CONSTANT =", round(constant, 3))
    for entry, quality in zip(entries, held_out, strict=True):
        if (quality >= RIGHT) != (entry["error_mm"] <= FAILED_MM):
            print(f"  {entry['seed']} {entry['file']} forced {entry['forced']}: {entry['error_mm']:.1f} mm, "
                  f"{quality:.2f} {quality_word(quality)}")


def _rates(name: str, quality: np.ndarray, right: np.ndarray) -> None:
    flagged = quality < RIGHT
    print(f"{name}: flagged {flagged[~right].mean():.1%} of failures, {flagged[right].mean():.1%} of right results")


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description="Calibrate the quality estimate of registrations.")
    parser.add_argument("--results", type=Path, required=True, help="JSON lines, appended to")
    parser.add_argument("--registrations", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first pair")
    arguments = parser.parse_args()
    if arguments.registrations and data_folder() is None:
        print("No real volumes: set MEDDL_DATA to the folder that holds them. Nothing was measured.")
        return 0
    torch.set_num_threads(1)
    known = set()
    if arguments.results.is_file():
        known = {json.loads(line)["seed"] for line in arguments.results.read_text(encoding="utf-8").splitlines()}
    for seed in range(arguments.first, arguments.first + arguments.registrations // 2):
        if seed not in known:
            with arguments.results.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(entry) + "\n" for entry in measure(seed))
    entries = [json.loads(line) for line in arguments.results.read_text(encoding="utf-8").splitlines()]
    if len(entries) >= 40:
        summarize(entries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
