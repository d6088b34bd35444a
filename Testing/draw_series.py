"""Draws Resources/Screenshots/series.png: a frame of a rendered series before and after denoising, and curves in time.

    python Testing/draw_series.py

The series are those of Benchmarks/bench_series.py with 5 % noise (label maps of MEDDL_DATA). A row a series: contrast
that a lesion takes up, and a head that moves suddenly; an axial slice of one frame, and the signal of one voxel.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Benchmarks")]
matplotlib.use("Agg")

import bench_series  # noqa: E402
import series_cases as cases  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from PIL import Image  # noqa: E402

from meddl.core.paths import data_folder  # noqa: E402

METHODS = {"frame by frame": "Denoised frame by frame", "recurrent, both": "Denoised as a series"}
LINES = {"Measured": "0.65", "Denoised frame by frame": "tab:orange", "Denoised as a series": "tab:blue",
         "Truth": "black"}
ROWS = {"uptake": (10, "Contrast uptake"), "jerks": (13, "Sudden motion")}  # of each series a frame, and its title
COLORS = 128  # of the picture, so that its file stays small
TOP = 99.7  # percentile of the truth that is white


def main() -> None:
    """Denoise, and draw."""
    figure, axes = pyplot.subplots(len(ROWS), 5, figsize=(10.4, 4.9), width_ratios=(1, 1, 1, 1, 1.7),
                                   layout="constrained")
    for row, (kind, (frame, title)) in zip(axes, ROWS.items(), strict=True):
        case = cases.make_case(kind, data_folder())
        series = {"Measured": case.noisy, **{text: bench_series.denoise(name, case) for name, text in METHODS.items()},
                  "Truth": case.truth}
        voxel = shown_voxel(case, frame)
        for place, (text, frames) in zip(row, series.items(), strict=False):
            draw_slice(place, frames[frame], case.truth, voxel, text if kind == next(iter(ROWS)) else "")
        row[0].set_ylabel(f"{title}, frame {frame + 1}")
        draw_curves(row[-1], series, voxel, kind == next(iter(ROWS)))
        row[-1].axvline(frame, color="0.8", zorder=0)
    axes[-1, -1].set_xlabel("Frame")
    path = ROOT / "Resources" / "Screenshots" / "series.png"
    figure.savefig(path, dpi=96)
    Image.open(path).convert("RGB").quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True)


def shown_voxel(case: cases.Case, frame: int) -> tuple[int, int, int]:
    """Where the truth changes most up to a frame, in the lesion where that takes up contrast; in the middle slice."""
    change = np.abs(case.truth[frame] - case.truth[0])
    if case.name == "uptake":
        change = np.where(case.regions["lesion"], change, 0)
    middle = case.truth.shape[3] // 2
    i, j = np.unravel_index(change[:, :, middle].argmax(), change.shape[:2])
    return int(i), int(j), middle


def draw_slice(place, frame: np.ndarray, truth: np.ndarray, voxel: tuple[int, int, int], title: str) -> None:
    """The axial slice of a frame through a voxel, which is marked."""
    place.imshow(frame[:, ::-1, voxel[2]].T, cmap="gray", vmin=0, vmax=np.percentile(truth, TOP),
                 interpolation="nearest")
    place.plot(voxel[0], truth.shape[2] - 1 - voxel[1], "s", markersize=7, markeredgecolor="tab:red",
               markerfacecolor="none")
    place.set_xticks([])
    place.set_yticks([])
    place.set_title(title, fontsize=9)


def draw_curves(place, series: dict[str, np.ndarray], voxel: tuple[int, int, int], named: bool) -> None:
    """The signal of a voxel over time."""
    for text, frames in series.items():
        place.plot(frames[(slice(None), *voxel)], color=LINES[text], label=text, linewidth=1.5,
                   linestyle="--" if text == "Truth" else "-")
    place.set_title("Signal of the marked voxel" if named else "", fontsize=9)
    place.tick_params(labelsize=8)
    if named:
        place.legend(fontsize=7)


if __name__ == "__main__":
    main()
