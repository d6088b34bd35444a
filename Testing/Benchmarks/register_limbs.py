"""Limbs in CT, MR and PET whose headers fit: how far a registration moves bone and tumor away from the header.

    python Testing/Benchmarks/register_limbs.py [--patients sts01 ...] [--initialization given auto] [--offset-mm 20]

For each pair of the sarcoma volumes it prints, under the header's alignment and after *Rigid*: the mean distance of the
tumor's contours (CT and MR hold the same contour; only for these two), how far the bone (CT above 300 HU) and the tumor
were moved from where the header has them, normalized mutual information, alternatives and the quality estimate. With
--offset-mm the moving header is shifted and turned by a known map first, which is taken out of the answer again.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import register_cases
import torch
from register_maps import rigid
from scipy import ndimage
from scipy.spatial import cKDTree

from meddl.core.config import RegisterConfig
from meddl.io import load
from meddl.registration import register
from meddl.spatial.volume import Volume

PAIRS = (("ct", "mr"), ("ct", "pet"), ("mr", "pet"))
BONE_HU = 300


def volumes(patient: str) -> dict[str, Volume]:
    """ct, mr, pet, ct_tumour and mr_tumour of one patient."""
    folder = register_cases.data_folder() / "sarcoma"
    return {name: load(folder / f"{patient}_{name}.nii.gz") for name in ("ct", "mr", "pet", "ct_tumour", "mr_tumour")}


def surface_mm(volume: Volume) -> np.ndarray:
    """The points (N, 3) of the outermost voxels of a binary volume, RAS mm."""
    inside = volume.scalar_data > 0
    return volume.grid.points_mm(np.argwhere(inside & ~ndimage.binary_erosion(inside)))


def contour_distance_mm(fixed: np.ndarray, moving: np.ndarray, answer) -> float:
    """Mean distance of two surfaces, in both directions, the fixed one mapped by `answer`."""
    mapped = answer(fixed)
    return float((cKDTree(moving).query(mapped)[0].mean() + cKDTree(mapped).query(moving)[0].mean()) / 2)


def seen(points: np.ndarray, *images: Volume) -> np.ndarray:
    """The points that lie in all of these fields of view."""
    for image in images:
        indices = image.grid.indices(points)
        points = points[((indices >= 0) & (indices <= np.array(image.shape) - 1)).all(axis=1)]
    return points


def measure(patient: dict[str, Volume], fixed: str, moving: str, config: RegisterConfig, known: np.ndarray) -> dict:
    """Figures of one pair whose moving header was moved by the map `known` (4x4)."""
    image = patient[moving]
    found = register(patient[fixed], Volume(image.data, known @ image.affine), config)
    back = np.linalg.inv(known) @ found.affine

    def answer(points: np.ndarray) -> np.ndarray:
        return points @ back[:3, :3].T + back[:3, 3]

    ct, tumor = patient["ct"], patient["ct_tumour"]
    figures = {"report": found.report}
    for name, where in (("bone", ct.grid.points_mm(np.argwhere(ct.scalar_data > BONE_HU)[::5])),
                        ("tumor", tumor.grid.points_mm(np.argwhere(tumor.scalar_data > 0)[::5]))):
        points = seen(where, patient[fixed], patient[moving])
        figures[name] = float(np.linalg.norm(answer(points) - points, axis=1).mean()) if len(points) else float("nan")
    if {fixed, moving} == {"ct", "mr"}:
        surfaces = [surface_mm(patient[f"{name}_tumour"]) for name in (fixed, moving)]
        figures["contours"] = [contour_distance_mm(*surfaces, one) for one in (lambda points: points, answer)]
    return figures


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description="Register limbs whose headers fit.")
    parser.add_argument("--patients", nargs="+", default=["sts01", "sts02", "sts03", "sts04"])
    parser.add_argument("--initialization", nargs="+", choices=("given", "auto"), default=["given", "auto"])
    parser.add_argument("--offset-mm", type=float, default=0.0)
    arguments = parser.parse_args()
    if register_cases.data_folder() is None:
        print("No real volumes: set MEDDL_DATA to the folder that holds them. Nothing was measured.")
        return 0
    torch.set_num_threads(1)
    rng = np.random.default_rng(3)
    for name in arguments.patients:
        patient = volumes(name)
        for fixed, moving in PAIRS:
            known = np.eye(4)
            if arguments.offset_mm:
                known = rigid(rng, 10.0, arguments.offset_mm, patient[moving].grid.center_mm)
            for start in arguments.initialization:
                figures = measure(patient, fixed, moving, RegisterConfig(initialization=start), known)
                report = figures["report"]
                contours = "contours {:.1f} -> {:.1f}, ".format(*figures["contours"]) if "contours" in figures else ""
                apart = [f"{one['distance_mm']:.0f} mm" for one in report["alternatives"]]
                print(f"{name} {fixed}-{moving} {start:5} {contours}bone {figures['bone']:.1f} mm, tumor "
                      f"{figures['tumor']:.1f} mm, NMI {report['metric']['before'] or 1:.4f} -> "
                      f"{report['metric']['after']:.4f}, quality {report['quality']:.2f} "
                      f"{report['quality_estimate']['word']}, alternatives {apart}, "
                      f"{report['seconds']['total']:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
