"""Limbs in CT, MR and PET whose headers fit: how far a registration moves bone and tumor away from the header.

    python Testing/Benchmarks/register_limbs.py [--patients sts01 ...] [--initialization given auto] [--offset-mm 20]
        [--mask inside bone]

For each pair of the sarcoma volumes it prints, under the header's alignment and after *Rigid*: the mean distance of the
tumor's contours (CT and MR hold the same contour; only for these two), how far the bone (CT above 300 HU) and the tumor
were moved from where the header has them, normalized mutual information, alternatives and the quality estimate. With
--offset-mm the moving header is shifted and turned by a known map first, which is taken out of the answer again.

Whether a limb's header or the answer is right for the bone, mutual information can't judge. What it doesn't use: CT's
cortical bone (above 400 HU) is dark in MR. For CT and MR the mean MR intensity of that bone, as a fraction of that of
the tissue 3 to 8 mm from it, is printed under the header and after: less is better. --mask counts only CT's voxels
8 mm and more inside the body, or those within 25 mm of bone; without, all.
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
BONE_HU, CORTEX_HU, BODY_HU = 300, 400, -300
MASKS = ("none", "inside", "bone")


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


def body_of(ct: Volume) -> np.ndarray:
    """The largest object of a CT (I, J, K), its cavities filled."""
    objects, _ = ndimage.label(ndimage.binary_fill_holes(ct.scalar_data > BODY_HU))
    return objects == np.argmax(np.bincount(objects.ravel())[1:]) + 1


def mask_of(ct: Volume, kind: str) -> Volume | None:
    """What counts of a CT: one of MASKS."""
    if kind == "none":
        return None
    body = body_of(ct)
    if kind == "inside":
        mask = ndimage.distance_transform_edt(body, sampling=ct.spacing_mm) > 8
    else:
        mask = body & (ndimage.distance_transform_edt(ct.scalar_data <= CORTEX_HU, sampling=ct.spacing_mm) < 25)
    return Volume.scalar(mask.astype(np.uint8), ct.affine)


def bone_in_mr(ct: Volume, mr: Volume, answer) -> float:
    """MR's mean intensity where CT has cortical bone, as a fraction of that of the tissue around it."""
    cortex = ct.scalar_data > CORTEX_HU
    distance = ndimage.distance_transform_edt(~cortex, sampling=ct.spacing_mm)
    around = (distance > 3) & (distance < 8) & body_of(ct) & (ct.scalar_data < 250)
    means = []
    for where in (cortex, around):
        indices = mr.grid.indices(answer(ct.grid.points_mm(np.argwhere(where)[::7])))
        seen_there = ((indices >= 0) & (indices <= np.array(mr.shape) - 1)).all(axis=1)
        means.append(ndimage.map_coordinates(mr.scalar_data.astype(np.float32), indices[seen_there].T, order=1).mean())
    return float(means[0] / means[1])


def measure(patient: dict[str, Volume], fixed: str, moving: str, config: RegisterConfig, known: np.ndarray,
            mask: str) -> dict:
    """Figures of one pair whose moving header was moved by the map `known` (4x4)."""
    image = patient[moving]
    found = register(patient[fixed], Volume(image.data, known @ image.affine), config,
                     fixed_mask=mask_of(patient["ct"], mask) if fixed == "ct" else None)
    back = np.linalg.inv(known) @ found.affine

    def answer(points: np.ndarray) -> np.ndarray:
        return points @ back[:3, :3].T + back[:3, 3]

    ct, tumor = patient["ct"], patient["ct_tumour"]
    figures = {"report": found.report}
    for name, where in (("bone", ct.grid.points_mm(np.argwhere(ct.scalar_data > BONE_HU)[::5])),
                        ("tumor", tumor.grid.points_mm(np.argwhere(tumor.scalar_data > 0)[::5]))):
        points = seen(where, patient[fixed], patient[moving])
        figures[name] = float(np.linalg.norm(answer(points) - points, axis=1).mean()) if len(points) else float("nan")
    if (fixed, moving) == ("ct", "mr"):
        figures["bone in MR"] = [bone_in_mr(ct, patient["mr"], one) for one in (lambda points: points, answer)]
        surfaces = [surface_mm(patient[f"{name}_tumour"]) for name in (fixed, moving)]
        figures["contours"] = [contour_distance_mm(*surfaces, one) for one in (lambda points: points, answer)]
    return figures


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description="Register limbs whose headers fit.")
    parser.add_argument("--patients", nargs="+", default=["sts01", "sts02", "sts03", "sts04"])
    parser.add_argument("--initialization", nargs="+", choices=("given", "auto"), default=["given", "auto"])
    parser.add_argument("--offset-mm", type=float, default=0.0)
    parser.add_argument("--mask", choices=MASKS, default="none")
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
                figures = measure(patient, fixed, moving, RegisterConfig(initialization=start), known,
                                  arguments.mask)
                report = figures["report"]
                contours = ""
                if "contours" in figures:
                    contours = "contours {:.1f} -> {:.1f}, bone in MR {:.2f} -> {:.2f}, ".format(
                        *figures["contours"], *figures["bone in MR"])
                apart = [f"{one['distance_mm']:.0f} mm" for one in report["alternatives"]]
                print(f"{name} {fixed}-{moving} {start:5} {contours}bone {figures['bone']:.1f} mm, tumor "
                      f"{figures['tumor']:.1f} mm, NMI {report['metric']['before'] or 1:.4f} -> "
                      f"{report['metric']['after']:.4f}, quality {report['quality']:.2f} "
                      f"{report['quality_estimate']['word']}, alternatives {apart}, "
                      f"{report['seconds']['total']:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
