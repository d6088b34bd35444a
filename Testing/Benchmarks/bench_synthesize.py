"""Contrast synthesis: the synthesized contrast against the measured or rendered one, beside other methods.

    python Testing/Benchmarks/bench_synthesize.py                  # real volumes: ms07 in three contrasts
    python Testing/Benchmarks/bench_synthesize.py --rendered       # rendered heads of the maps 13 to 16
    python Testing/Benchmarks/bench_synthesize.py --network FOLDER # with a U-Net of synthesize_network.py
    python Testing/Benchmarks/bench_synthesize.py --registration   # known maps recovered, with and without synthesis

PSNR, SSIM and normalized mutual information inside the head. Intensities of a contrast are arbitrary units: each result
is scaled and shifted to the target by least squares first, all alike. Results go to results/synthesize.json. Without
the data folder (MEDDL_DATA) nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

import synthesize_methods as methods
from register_maps import sampled, smooth_map
from synthesize_network import synthesize

import meddl
from meddl.core.paths import data_folder
from meddl.measures.image_quality import image_quality
from meddl.measures.similarity import normalized_mutual_information
from meddl.spatial.grid import centered_grid
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

RESULTS = Path(__file__).resolve().parent / "results" / "synthesize.json"
PAIRS = (("t1", "t2"), ("t1", "flair"), ("t2", "t1"), ("t2", "flair"), ("flair", "t1"), ("flair", "t2"))
TESTED = range(13, 17)


def fit(made: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image scaled and shifted to the truth by least squares inside the mask."""
    slope, offset = np.polyfit(made[mask].astype(np.float64), truth[mask].astype(np.float64), 1)
    return slope * made + offset


def measure(made: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """PSNR in dB and SSIM after the fit, and normalized mutual information, inside the mask."""
    found = image_quality(fit(made, truth, mask), truth, mask)
    return {"psnr_db": round(found.psnr_db, 2), "ssim": round(found.ssim, 4),
            "nmi": round(normalized_mutual_information(made[mask], truth[mask]), 4)}


def real_pairs(data: Path):
    """The real pairs."""
    volumes = {name: meddl.load(data / "ms" / f"ms07_{name}.nii.gz") for name in ("t1", "t2", "flair")}
    mask = np.logical_and.reduce([one.scalar_data > 0 for one in volumes.values()])
    for source, contrast in PAIRS:
        yield methods.Pair(f"ms07 {source} to {contrast}", volumes[source], source, contrast,
                           volumes[contrast].scalar_data, mask)


def rendered_pairs(data: Path):
    """Pairs of rendered heads with voxels of 1 mm, T1 to T2 and FLAIR, whole and stripped."""
    for number in TESTED:
        source, targets, head = methods.render(data, number, stripped=number % 2 == 0)
        for contrast in ("t2", "flair"):
            yield methods.Pair(f"map {number} t1 to {contrast}", source, "t1", contrast, targets[contrast], head)


def compare(pairs, chosen: list[str]) -> list[dict]:
    """A row for each pair and method."""
    rows = []
    for pair in pairs:
        for method in chosen:
            start = time.process_time()
            made = methods.METHODS[method](pair)
            row = {"pair": pair.name, "method": method, "cpu_seconds": round(time.process_time() - start, 1),
                   **measure(made, pair.truth, pair.mask)}
            rows.append(row)
            print(f"| {pair.name} | {method} | {row['psnr_db']:.2f} | {row['ssim']:.3f} | {row['nmi']:.3f} |",
                  flush=True)
    for method in chosen:
        own = [row for row in rows if row["method"] == method]
        means = {key: round(float(np.mean([row[key] for row in own])), 4) for key in ("psnr_db", "ssim", "nmi")}
        rows.append({"pair": "mean", "method": method, **means})
        print(f"| mean | {method} | {means['psnr_db']:.2f} | {means['ssim']:.3f} | {means['nmi']:.3f} |", flush=True)
    return rows


def registration(data: Path, seeds: range) -> list[dict]:
    """Error of recovered maps in mm, of the moving volume as it is and of the fixed one synthesized in its contrast."""
    rows = []
    fixed = coarse(meddl.load(data / "ms" / "ms07_t1.nii.gz"))
    mask = fixed.scalar_data > 0
    points = fixed.grid.points_mm(np.argwhere(mask)[::100])
    for contrast in ("t2", "flair"):
        moving = coarse(meddl.load(data / "ms" / f"ms07_{contrast}.nii.gz"))
        invented = meddl.synthesize_contrast(fixed, contrast, device="cpu").volume
        for seed in seeds:
            moved, truth = displace(moving, seed)
            for name, image, config in (
                    ("as it is", fixed, meddl.RegisterConfig.from_preset("Deformable multi-modal")),
                    ("synthesized", invented, meddl.RegisterConfig.from_preset("Deformable")),
                    ("synthesized, MIND", invented, meddl.RegisterConfig.from_preset("Deformable multi-modal"))):
                found = meddl.register(image, moved, config, device="cpu")
                error = np.linalg.norm(found.points(points) - truth(points), axis=1)
                rows.append({"contrast": contrast, "seed": seed, "fixed": name,
                             "mean_mm": round(float(error.mean()), 3),
                             "p95_mm": round(float(np.percentile(error, 95)), 3)})
                print(f"| {contrast} {seed} | {name} | {rows[-1]['mean_mm']:.2f} | {rows[-1]['p95_mm']:.2f} |",
                      flush=True)
    return rows


def coarse(volume: Volume) -> Volume:
    """A volume with voxels of 2 mm."""
    return resample(volume, centered_grid(volume.grid, [2.0] * 3))


def displace(volume: Volume, seed: int):
    """A volume under a random affine map and a smooth diffeomorphism of 9 mm, on its own grid, and the map."""
    known = smooth_map(np.random.default_rng([seed, 23]), volume.grid)
    places = volume.grid.points_mm(np.moveaxis(np.indices(volume.shape), 0, -1).reshape(-1, 3))
    values = sampled(volume.data.astype(np.float64), volume.grid.indices(known.inverse(places)), order=1)
    return Volume(values.reshape(volume.data.shape).astype(np.float32), volume.affine), known


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rendered", action="store_true", help="on rendered heads of the maps 13 to 16")
    parser.add_argument("--registration", action="store_true", help="whether synthesis helps a registration")
    parser.add_argument("--seeds", type=int, default=3, help="known maps of the registrations, for each contrast")
    parser.add_argument("--methods", nargs="+", choices=tuple(methods.METHODS), default=list(methods.METHODS))
    parser.add_argument("--network", type=Path, help="folder of a run of synthesize_network.py")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    if chosen.network is not None:
        methods.METHODS["U-Net"] = lambda pair: synthesize(chosen.network, pair.volume, pair.contrast)
        chosen.methods = [*chosen.methods, "U-Net"]
    data = data_folder()
    if data is None:
        print("Nothing was measured: MEDDL_DATA names no folder of real volumes.")
        return
    part = "registration" if chosen.registration else "rendered" if chosen.rendered else "real"
    rows = (registration(data, range(chosen.seeds)) if chosen.registration else
            compare((rendered_pairs if chosen.rendered else real_pairs)(data), chosen.methods))
    known = json.loads(chosen.output.read_text(encoding="utf-8")) if chosen.output.is_file() else {}
    chosen.output.write_text(json.dumps(known | {part: rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
