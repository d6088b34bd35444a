"""How well intensities of two dates are matched, and how often `meddl.change` sees a change where there is none.

    python Testing/Benchmarks/change_errors.py --data DATA [--spacing 2]

Matching: a sample head with 2 % noise against itself with other noise, through a known curve and bias field, with or
without change in a tenth of its tissue: the median absolute difference of the unchanged tissue, over that of the noise
alone (1 is best); SimpleITK's histogram matching beside it. False alarms: each volume of DATA with itself, with
1.3 times itself plus 5, and moved by a known rigid motion with independent noise in both: the fraction of the body that
lies beyond the threshold.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

LIBRARY = Path(__file__).resolve().parents[2] / "MedDLLib"
if str(LIBRARY) not in sys.path:
    sys.path.insert(0, str(LIBRARY))

NOISE = 0.02  # of the range
VOLUMES = ("brain/ecog_t1.nii.gz", "ms/ms07_flair.nii.gz", "ms/ms07_t2.nii.gz", "body/abdomen_mr.nii.gz",
           "body/abdomen_ct.nii.gz")
CURVES = {"gain 0.6, offset 40": (1.0, 0.0), "gamma 1.4": (1.4, 0.0), "bias field of 15 %": (1.0, 0.15),
          "gamma and bias field": (1.4, 0.15)}
MOTION = np.array([[0.9986, -0.0523, 0, 2.0], [0.0523, 0.9986, 0, -1.5], [0, 0, 1, 1.0], [0, 0, 0, 1]])


def measure_matching(spacing_mm: float) -> list[tuple]:
    """(curve, fraction changed, meddl with bias field, meddl, histograms alone, SimpleITK) for each case."""
    import meddl
    from meddl.samples import head_image
    from meddl.spatial.normalize import object_threshold

    volume = head_image("T1", spacing_mm)
    clean = volume.scalar_data - float(volume.data.min())
    clean = clean * (1000 / np.percentile(clean, 99))
    tissue, random = clean > object_threshold(clean), np.random.default_rng(0)
    x, y, z = (np.linspace(-1, 1, n).reshape([-1 if a == axis else 1 for a in range(3)])
               for axis, n in enumerate(clean.shape))
    rows = []
    for name, (gamma, bias) in CURVES.items():
        for fraction in (0.0, 0.1):
            place = np.broadcast_to(x + 0.3 * y, clean.shape)
            part = tissue & (place > np.percentile(place[tissue], 100 - 100 * fraction)) if fraction else clean < -1
            second = np.where(part, 1100 - clean, clean)
            second = 1000 * (np.maximum(second, 0) / 1000) ** gamma * (1 + bias * x - 0.7 * bias * y * z)
            sd = 1000 * NOISE
            pair = [meddl.Volume.scalar(data + shift, volume.affine) for data, shift in (
                (0.6 * (second + sd * random.normal(size=clean.shape)), 40), (clean + sd * random.normal(
                    size=clean.shape), 0))]
            chosen = tissue & ~part
            ideal = 0.6745 * np.sqrt(2) * sd
            matched = [meddl.match_intensities(*pair, **options).scalar_data for options in (
                {"bias_field": True}, {}, {"corresponding": False})]
            rows.append((name, fraction, *(float(np.median(np.abs(one - pair[1].scalar_data)[chosen])) / ideal
                                           for one in (*matched, match_by_simpleitk(*pair)))))
    return rows


def match_by_simpleitk(moving, reference) -> np.ndarray:
    """SimpleITK's histogram matching with 256 levels and 15 points, (I, J, K)."""
    import SimpleITK as sitk  # noqa: N813

    images = [sitk.GetImageFromArray(np.ascontiguousarray(one.scalar_data.T, np.float32))
              for one in (moving, reference)]
    return sitk.GetArrayFromImage(sitk.HistogramMatching(*images, 256, 15, True)).T


def measure_false_alarms(path: Path, spacing_mm: float) -> list[float]:
    """The fraction of the body beyond the threshold: with itself, with a rescaled copy, and moved with noise."""
    import meddl
    from meddl.core.config import RegisterConfig
    from meddl.spatial.grid import centered_grid
    from meddl.spatial.resample import resample

    volume = meddl.load(path)
    volume = resample(volume, centered_grid(volume.grid, np.maximum(volume.spacing_mm, spacing_mm)))
    low, high = np.percentile(volume.data, (1, 99))
    random = np.random.default_rng(0)
    moved = resample(volume, volume.grid, "cubic", transform=np.linalg.inv(MOTION), clamp=False)
    inside = resample(meddl.Volume(np.ones_like(volume.data), volume.affine), volume.grid, "nearest",
                      transform=np.linalg.inv(MOTION))
    noisy = [meddl.Volume(one.data + NOISE * (high - low) * random.normal(size=one.data.shape).astype(np.float32),
                          one.affine) for one in (volume, moved)]
    noisy[1] = meddl.Volume(np.where(inside.data > 0, noisy[1].data, np.nan), volume.affine)
    is_ct = "ct" in path.name
    modality = meddl.ChangeConfig(modality="CT" if is_ct else "MR")
    found = []
    for first, second in ((volume, volume), (volume, volume if is_ct else meddl.Volume(volume.data * 1.3 + 5,
                                                                                     volume.affine)), noisy):
        report = meddl.change(first, second, modality, registration=RegisterConfig(), device="cpu").report
        found.append((report["increased_ml"] + report["decreased_ml"]) / report["body_ml"])
    return found


def main(given: list[str] | None = None) -> int:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with brain/, ms/ and body/")
    parser.add_argument("--spacing", type=float, default=2.0, help="least voxel size, mm")
    arguments = parser.parse_args(given)
    print("| second date | changed | with bias field | without | histograms alone | SimpleITK |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, fraction, *figures in measure_matching(arguments.spacing):
        print(f"| {name} | {fraction:.0%} | {' | '.join(f'{one:.2f}' for one in figures)} |", flush=True)
    print("\n| volume | with itself | 1.3 f + 5 | moved, 2 % noise |\n|---|---:|---:|---:|")
    for name in VOLUMES:
        rates = measure_false_alarms(arguments.data / name, arguments.spacing)
        print(f"| {name} | {' | '.join(f'{100 * one:.4f} %' for one in rates)} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
