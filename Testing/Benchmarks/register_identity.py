"""What a registration does to volumes that already agree: nothing is the right answer.

    python Testing/Benchmarks/register_identity.py [--volumes mr head ...] [--changes itself noise-2 ...]
        [--preset Deformable] [--methods meddl greedy-wncc ants-syn] [--threads 1]

Each volume is registered to itself after a change that moves nothing, so that the identity is the known map:
    itself          the same voxels
    scaled          1.3 f + 5
    crop            a ninth of the extent cut off at every face
    half-voxel      resampled by cubic splines on a grid that is shifted by half a voxel along each axis
    noise-2, -5, -10    independent noise on both sides, its standard deviation in percent of the range between the 1st
                    and the 99th percentile, and a smooth bias field of about 10 % on the moving side

The methods are those of register_peers.py; where several are named, they meet each pair one after the other.

Printed for each pair: the largest displacement anywhere, the largest and the 99th percentile in the object (Otsu), mm;
the range of the Jacobian determinant anywhere and in the object; seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from types import SimpleNamespace

import numpy as np
import register_cases
import torch
from register_figures import jacobian_determinants
from register_peers import METHODS, run
from scipy import ndimage

from meddl.core.config import REGISTER_PRESETS
from meddl.io import load
from meddl.registration import register
from meddl.spatial.grid import Grid
from meddl.spatial.normalize import otsu_threshold
from meddl.spatial.volume import Volume

CHANGES = ("itself", "scaled", "crop", "half-voxel", "noise-2", "noise-5", "noise-10")
VOLUMES = {  # file, spacing in mm (0: its own)
    "mr": ("body/abdomen_mr.nii.gz", 0.0),
    "ct": ("body/abdomen_ct.nii.gz", 5.0),
    "chest": ("body/chest_ct.nrrd", 0.0),
    "limb": ("sarcoma/sts02_ct.nii.gz", 3.0),
    "head": ("brain/ecog_t1.nii.gz", 3.5),
    "t2": ("brain_multimodal/T2w.nii.gz", 3.0),
    "crop": ("hippocampus/images/hippocampus_001.nii.gz", 0.0),
    "head-1mm": ("brain/ecog_t1.nii.gz", 0.0),
}


def changed(change: str, fixed: Volume, seed: int = 0) -> tuple[Volume, Volume]:
    """A pair, fixed and moving, that agrees but for a change."""
    data = fixed.scalar_data.astype(np.float32)
    if change == "itself":
        return fixed, fixed
    if change == "scaled":
        return fixed, Volume.scalar(1.3 * data + 5, fixed.affine)
    if change == "crop":
        cut = [max(1, n // 9) for n in data.shape]
        affine = np.array(fixed.affine)
        affine[:3, 3] = fixed.grid.points_mm(cut)
        return fixed, Volume.scalar(data[tuple(slice(c, n - c) for c, n in zip(cut, data.shape))], affine)
    if change == "half-voxel":
        affine = np.array(fixed.affine)
        affine[:3, 3] = fixed.grid.points_mm((0.5, 0.5, 0.5))
        moved = ndimage.shift(data, -0.5, order=3, mode="nearest")[:-1, :-1, :-1]
        return fixed, Volume.scalar(moved, affine)
    kind, _, percent = change.rpartition("-")
    if kind != "noise":
        raise ValueError(f"no change is called {change}")
    rng = np.random.default_rng(seed)
    low, high = np.percentile(data, (1, 99))
    sigma = int(percent) / 100 * (high - low)
    bias = smooth_bias(rng, fixed.grid)
    noisy = [data + rng.normal(0, sigma, data.shape), (data - low) * bias + low + rng.normal(0, sigma, data.shape)]
    return tuple(Volume.scalar(values.astype(np.float32), fixed.affine) for values in noisy)


def smooth_bias(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """A factor around 1 as of a coil: three waves of 180 mm in random directions, together about 10 % (I, J, K)."""
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    ways = rng.normal(size=(3, 3))
    ways *= 2 * np.pi / 180 / np.linalg.norm(ways, axis=1, keepdims=True)
    return np.exp(0.08 * np.sin(points @ ways.T + rng.uniform(0, 2 * np.pi, 3)).sum(axis=-1))


def figures(fixed: Volume, found) -> dict[str, float]:
    """How far `found`, from fixed to moving points, is from the identity, anywhere and in the object of `fixed`."""
    points = fixed.grid.points_mm(np.moveaxis(np.indices(fixed.shape), 0, -1).reshape(-1, 3))
    distance = np.linalg.norm(found(points) - points, axis=1).reshape(fixed.shape)
    jacobian = jacobian_determinants(fixed.grid, found)
    inside = fixed.scalar_data > otsu_threshold(fixed.scalar_data)
    return {"max": float(distance.max()), "max_inside": float(distance[inside].max()),
            "p99_inside": float(np.percentile(distance[inside], 99)),
            "jacobian_low": float(jacobian.min()), "jacobian_high": float(jacobian.max()),
            "jacobian_low_inside": float(jacobian[inside].min()),
            "jacobian_high_inside": float(jacobian[inside].max())}


def volume(name: str) -> Volume:
    """One of VOLUMES, float32."""
    file, spacing_mm = VOLUMES[name]
    found = load(register_cases.data_folder() / file)
    found = Volume.scalar(found.scalar_data.astype(np.float32), found.affine)
    if spacing_mm:
        fine = found.spacing_mm
        factor = np.maximum(spacing_mm / fine, 1)
        smooth = ndimage.gaussian_filter(found.scalar_data, np.where(factor > 1, 0.42 * factor, 0))
        steps = [np.arange((n - 1) % f / 2, n, f) for n, f in zip(found.shape, factor)]
        data = ndimage.map_coordinates(smooth, np.meshgrid(*steps, indexing="ij"), order=1, mode="nearest")
        affine = np.array(found.affine)
        affine[:3, :3] = affine[:3, :3] * factor
        affine[:3, 3] = found.grid.points_mm([s[0] for s in steps])
        found = Volume.scalar(data, affine)
    return found


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description="Register volumes that already agree.")
    parser.add_argument("--volumes", nargs="+", choices=VOLUMES, default=[n for n in VOLUMES if n != "head-1mm"])
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=CHANGES)
    parser.add_argument("--preset", choices=REGISTER_PRESETS, default="Deformable")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["meddl"], metavar="METHOD",
                        help=f"of {', '.join(METHODS)}")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if register_cases.data_folder() is None:
        print("No real volumes: set MEDDL_DATA to the folder that holds them. Nothing was measured.")
        return 0
    torch.set_num_threads(arguments.threads)
    print(f"{'pair, method':34} {'max':>6} {'inside':>6} {'p99':>6} {'Jacobian':>13} {'inside':>13} {'s':>6} "
          "metric, steps")
    for name in arguments.volumes:
        whole = volume(name)
        for change in arguments.changes:
            pair = changed(change, whole)
            for method in arguments.methods:
                found, seconds, details = measured(method, *pair, arguments.preset, arguments.threads)
                cells = " ".join(f"{value:6.3f}" for value in figures(whole, found).values())
                print(f"{f'{name} {change}, {method}':34} {cells} {seconds:6.1f} {details}", flush=True)
    return 0


def measured(method: str, fixed: Volume, moving: Volume, preset: str, threads: int):
    """A method's map of a pair, the seconds that it took, and what MedDL's report says of metric and steps."""
    if method != "meddl":
        found, said = run(method, SimpleNamespace(name="a", fixed=fixed, moving=moving), threads)
        return found, said["seconds"], ""
    started = time.perf_counter()
    result = register(fixed, moving, REGISTER_PRESETS[preset])
    seconds, report = time.perf_counter() - started, result.report
    details = f"{report.get('deformable_metric', {}).get('name')} {report.get('deformable_steps')}"
    return result.points, seconds, details


if __name__ == "__main__":
    sys.exit(main())
