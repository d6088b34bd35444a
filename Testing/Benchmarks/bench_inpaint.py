"""Inpainting: how near the truth, and what it buys segmentation and registration of heads with lesions.

    python Testing/Benchmarks/bench_inpaint.py fill          # PSNR and SSIM inside masks of rendered heads
    python Testing/Benchmarks/bench_inpaint.py segment       # rendered tumors: Dice of healthy structures by `brain`
    python Testing/Benchmarks/bench_inpaint.py register      # rendered tumors: registration error around the tumor
    python Testing/Benchmarks/bench_inpaint.py ms            # a real MS patient at 2 mm: agreement across contrasts
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import inpaint_cases as cases
import numpy as np
from scipy.ndimage import distance_transform_edt

import meddl
from meddl.core.paths import data_folder
from meddl.measures.image_quality import image_quality
from meddl.measures.overlap import dice
from meddl.spatial.volume import Volume

RESULTS = Path(__file__).parent / "results" / "inpaint.json"
METHODS = ("harmonic", "biharmonic", "mirror")
NEAR_MM = 12.0  # around a lesion
VENTRICLES = (4, 43)
SPACING_MM = 2.0
VOXEL_ML = SPACING_MM ** 3 / 1000


def inpaint(volume: Volume, inside: np.ndarray, method: str, margin_mm: float = 0.0) -> meddl.Inpainting:
    """One method, on the CPU."""
    config = meddl.InpaintConfig(method=method, margin_mm=margin_mm)
    return meddl.inpaint(volume, Volume.scalar(inside.astype(np.uint8), volume.affine), config, device="cpu")


def measure_fill(chosen) -> list[dict]:
    """PSNR and SSIM inside the mask, mean over heads, by kind of mask and method."""
    found: dict[tuple[str, str], list] = {}
    for case in cases.masked_heads(data_folder(), chosen.cases or 4):
        for method in chosen.methods:
            start = time.process_time()
            made = inpaint(case.volume, case.inside, method)
            quality = image_quality(made.volume.scalar_data, case.volume.scalar_data, case.inside)
            found.setdefault((case.name, method), []).append(
                (quality.psnr_db, quality.ssim, time.process_time() - start,
                 made.report.get("hemisphere_agreement", np.nan)))
    rows = []
    for (name, method), values in found.items():
        psnr, ssim, seconds, agreement = np.mean(values, axis=0)
        rows.append({"case": name, "method": method, "psnr_db": round(float(psnr), 2), "ssim": round(float(ssim), 3),
                     "cpu_seconds": round(float(seconds), 1), "heads": len(values)})
        print(f"| {name} | {method} | {psnr:.2f} | {ssim:.3f} | {seconds:.1f} | {agreement:.2f}", flush=True)
    return rows


def versions(case: cases.TumorCase, methods, margin_mm: float):
    """The head with its tumor, filled by each method, and healthy."""
    yield "with the tumor", case.volume
    for method in methods:
        yield method, inpaint(case.volume, case.tumor, method, margin_mm).volume
    yield "without a tumor", case.healthy


def measure_segmentation(chosen) -> list[dict]:
    """Dice by the model brain of what is healthy: over all structures, and over their parts near the tumor."""
    found: dict[str, list] = {}
    for case in cases.tumor_cases(data_folder(), chosen.cases or 4):
        distance = distance_transform_edt(~case.tumor, sampling=SPACING_MM)
        values = [int(v) for v in np.unique(case.truth) if v and (case.truth[~case.tumor] == v).sum() >= 30]
        near = [v for v in values if (case.truth[(distance > 0) & (distance <= NEAR_MM)] == v).sum() >= 30]
        for name, volume in versions(case, chosen.methods, chosen.margin):
            labels = meddl.segment(volume, device="cpu").labels.astype(np.int32)
            row = []
            for where, some in ((distance > 0, values), ((distance > 0) & (distance <= NEAR_MM), near)):
                row.append(float(np.mean(dice(labels * where, case.truth * where, some))))
            found.setdefault(name, []).append(row)
            print(name, [round(one, 4) for one in row], flush=True)
    return [{"method": name, "dice": round(float(np.mean(rows, axis=0)[0]), 4),
             "dice_near": round(float(np.mean(rows, axis=0)[1]), 4), "patients": len(rows),
             "each": np.round(rows, 4).tolist()} for name, rows in found.items()]


def measure_registration(chosen) -> list[dict]:
    """Mean distance in mm of the deformable registration from the truth, near the tumor and elsewhere in the brain."""
    found: dict[str, list] = {}
    for case in cases.tumor_cases(data_folder(), chosen.cases or 4):
        distance = distance_transform_edt(~case.tumor, sampling=SPACING_MM)
        brain = (case.truth > 0) & ~case.tumor
        parts = brain & (distance <= NEAR_MM), brain & (distance > NEAR_MM)
        runs = [(name, volume, None) for name, volume in versions(case, chosen.methods, chosen.margin)]
        runs.insert(1, ("tumor left out by a mask", case.volume,
                        Volume.scalar((~case.tumor).astype(np.uint8), case.volume.affine)))
        for name, volume, mask in runs:
            result = meddl.register(volume, case.template, preset="deformable", fixed_mask=mask, device="cpu")
            row = []
            for part in parts:
                points = volume.grid.points_mm(np.argwhere(part)[::3])
                row.append(float(np.linalg.norm(result.points(points) - case.source_mm[part][::3], axis=1).mean()))
            found.setdefault(name, []).append(row)
            print(name, [round(one, 3) for one in row], flush=True)
    return [{"method": name, "near_mm": round(float(np.mean(rows, axis=0)[0]), 3),
             "elsewhere_mm": round(float(np.mean(rows, axis=0)[1]), 3), "patients": len(rows),
             "each": np.round(rows, 3).tolist()} for name, rows in found.items()]


def measure_ms(chosen) -> list[dict]:
    """Of a real MS patient: mean Dice of each two contrasts' segmentations by brain outside of the lesions, and the
    volume of white matter and ventricles in T1."""
    volumes, lesions = cases.ms_patient(data_folder(), chosen.contrasts)
    inside = lesions.scalar_data > 0
    rows = []
    for method in ("", *chosen.methods):
        labels = {}
        for name, volume in volumes.items():
            made = inpaint(volume, inside, method, chosen.margin).volume if method else volume
            labels[name] = meddl.segment(made, device="cpu").labels.astype(np.int32) * ~inside
        values = [int(v) for v in np.unique(labels["t1"]) if v and (labels["t1"] == v).sum() > 30]
        pairs = [float(np.mean(dice(labels[a], labels[b], values))) for a, b in itertools.combinations(labels, 2)]
        row = {"method": method or "as it is", "dice_across": round(float(np.mean(pairs)), 4),
               "white_matter_ml": {name: round(float(np.isin(one, (2, 41)).sum()) * VOXEL_ML, 1)
                                   for name, one in labels.items()},
               "ventricles_ml": {name: round(float(np.isin(one, VENTRICLES).sum()) * VOXEL_ML, 2)
                                 for name, one in labels.items()}}
        rows.append(row)
        print(row, flush=True)
    return rows


PARTS = {"fill": measure_fill, "segment": measure_segmentation, "register": measure_registration, "ms": measure_ms}


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--cases", type=int, help="heads or patients (default: 4)")
    parser.add_argument("--contrasts", nargs="*", default=cases.MS_CONTRASTS, choices=cases.MS_CONTRASTS)
    parser.add_argument("--margin", type=float, default=0.0, help="of the mask, mm")
    chosen = parser.parse_args()
    rows = PARTS[chosen.part](chosen)
    key = chosen.part if not chosen.margin else f"{chosen.part}, margin {chosen.margin:g} mm"
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    anew = {(row.get("case"), row["method"]) for row in rows}
    rows = [row for row in known.get(key, []) if (row.get("case"), row["method"]) not in anew] + rows
    RESULTS.write_text(json.dumps({**known, key: rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
