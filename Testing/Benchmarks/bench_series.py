"""Denoising of series: PSNR, sharpness, curves and ghosts on rendered series with known truth; flicker of labels; cost.

    python Testing/Benchmarks/bench_series.py                     # the table of docs/benchmarks.md
    python Testing/Benchmarks/bench_series.py --sigma 0.1 --magnitude --heads 14 --kinds bolus jerks
    python Testing/Benchmarks/bench_series.py --labels            # segmentations of a rendered series, with and without
    python Testing/Benchmarks/bench_series.py --cost              # 128 x 128 x 40 x 200, in 16 bits
    python Testing/Benchmarks/bench_series.py --card              # the results into the card of the model
"""

import argparse
import contextlib
import json
import time
from pathlib import Path

import numpy as np
import series_cases as cases
import series_peers as peers
from scipy.ndimage import gaussian_filter

import meddl
from meddl.core.memory import peak_mb, reset_peak
from meddl.core.paths import data_folder, resources_folder
from meddl.models.store.store import ModelStore
from meddl.series import follower
from meddl.spatial.volume import Volume

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
RESULTS = Path(__file__).parent / "results" / "series.json"
CONFIGS = {
    "frame by frame": (None, {}),
    "local PCA": (None, {"method": "local-pca"}),
    "recursive mean, both": (peers.ChangeTest, {}),
    "recurrent, forward": (None, {"passes": "forward"}),
    "recurrent, both": (None, {}),
    "both, temporal alone": (None, {"spatial": False}),
    "both, 20 s of fine-tuning": (None, {"seconds": 20.0}),
}


@contextlib.contextmanager
def in_place_of_the_network(module):
    """Within it, the temporal filter's gain comes from `module`; None: from the network."""
    loader = follower.load_networks
    if module is not None:
        card = ModelStore().card("denoise-series")
        follower.load_networks = lambda *_: (card, {"network": module()})
    try:
        yield
    finally:
        follower.load_networks = loader


def denoise(name: str, case: cases.Case) -> np.ndarray:
    """The frames of a case by one of CONFIGS."""
    module, values = CONFIGS[name]
    if name == "frame by frame":
        return meddl.super_resolve(Volume(case.noisy, AFFINE), meddl.SuperResolveConfig(method="denoise"),
                                   device="cpu").volume.data
    with in_place_of_the_network(module):
        return meddl.denoise_series(Volume(case.noisy, AFFINE), meddl.DenoiseSeriesConfig(**values),
                                    device="cpu").volume.data


def measure(case: cases.Case, made: np.ndarray) -> dict[str, float]:
    """PSNR in dB; sharpness: the slope of fine detail over the truth's, at its edges; the largest error of a region's
    mean in percent; ghost: how much of the frame before a jump is left in the one after it."""
    truth = case.truth
    width = np.percentile(truth, 99.5)
    fine, true = ([frame - gaussian_filter(frame, 1.0) for frame in frames] for frames in (made, truth))
    fine, true = np.array(fine), np.array(true)
    edges = np.abs(true) > 0.05 * width
    found = {"psnr_db": 10 * np.log10(width**2 / np.mean(np.square(made - truth))),
             "sharpness": (fine[edges] * true[edges]).sum() / np.square(true[edges]).sum()}
    errors = [np.abs(made[:, region].mean(axis=1) / truth[:, region].mean(axis=1) - 1).max()
              for region in case.regions.values()]
    found["curve_percent"] = 100 * max(errors, default=np.nan)
    ghosts = [((made[t] - truth[t]) * (truth[t - 1] - truth[t])).sum() / np.square(truth[t - 1] - truth[t]).sum()
              for t in case.moved]
    found["ghost"] = max(map(abs, ghosts), default=np.nan)
    return {name: round(float(value), 4) for name, value in found.items()}


def compare_methods(kind: str, chosen) -> list[dict]:
    """A row for each method on one kind of series, mean over the heads."""
    rows = []
    made = [cases.make_case(kind, data_folder(), head, chosen.sigma, chosen.magnitude) for head in chosen.heads]
    for name in chosen.methods:
        start = time.process_time()
        figures = [measure(case, denoise(name, case)) for case in made]
        row = {"kind": kind, "method": name, "sigma": chosen.sigma, "magnitude": chosen.magnitude,
               "heads": list(chosen.heads), "cpu_seconds": round(time.process_time() - start, 1),
               **{key: round(float(np.mean([one[key] for one in figures])), 4) for key in figures[0]}}
        rows.append(row)
        print(f"| {kind} | {name} | {row['psnr_db']:.2f} | {row['sharpness']:.3f} | {row['curve_percent']:.2f} | "
              f"{row['ghost']:.3f} |", flush=True)
    return rows


def smooth_segmentations(kind: str, chosen) -> list[dict]:
    """Dice and flicker of the model brain on the frames of a rendered head, with and without smoothing."""
    rows = []
    case = cases.make_case(kind, data_folder(), chosen.heads[0], chosen.sigma, chosen.magnitude)
    count = chosen.frames or len(case.noisy)
    volume = Volume(case.noisy[:count], AFFINE)
    given = meddl.segment_series(volume, device="cpu")
    smooth = meddl.smooth_labels(volume, given, device="cpu")
    for name, found in (("each frame alone", given), ("smoothed", smooth)):
        labels = np.stack([one.labels for one in found])
        row = {"kind": kind, "method": name, **flicker_and_dice(labels, case.labels[:count])}
        rows.append(row)
        print(f"| {kind} | {name} | {row['flicker_percent']:.3f} | {row['dice']:.4f} |", flush=True)
    return rows


def flicker_and_dice(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Of labels (T, I, J, K): voxels whose label changes where the truth does not, in percent of the labeled ones; mean
    Dice over the tissues that the truth tells apart."""
    same = truth[1:] == truth[:-1]
    changed = ((labels[1:] != labels[:-1]) & same).sum()
    classes = np.zeros_like(labels)
    for number, values in ((1, cases.GRAY), (2, cases.WHITE), (3, cases.DEEP)):
        classes[np.isin(labels, values)] = number
    wanted = np.zeros_like(classes)
    for number, name in ((1, "gray"), (2, "white"), (3, "deep")):
        wanted[truth == cases.NAMES.index(name)] = number
    dice = [2 * ((classes == n) & (wanted == n)).sum() / max(1, (classes == n).sum() + (wanted == n).sum())
            for n in (1, 2, 3)]
    return {"flicker_percent": round(100 * float(changed) / max(1, int((labels[1:] > 0).sum())), 4),
            "dice": round(float(np.mean(dice)), 4)}


def measure_cost(shape=(128, 128, 40), frames: int = 200) -> list[dict]:
    """Seconds and peak memory of a long series in 16 bits; with all that the process holds."""
    case = cases.make_case("static", data_folder(), sigma=0.05)
    frame = np.resize(case.truth[0] * 1000, shape)
    rng = np.random.default_rng(0)
    data = np.empty((frames, *shape), np.int16)
    for number in range(frames):
        data[number] = frame + rng.normal(0, 50, shape)
    rows = []
    for name, values in (("temporal alone", {"spatial": False}), ("temporal and spatial", {})):
        reset_peak()
        start, cpu = time.perf_counter(), time.process_time()
        meddl.denoise_series(Volume(data, AFFINE), meddl.DenoiseSeriesConfig(noise_sigma=50.0, **values), device="cpu")
        rows.append({"method": name, "seconds": round(time.perf_counter() - start, 1),
                     "cpu_seconds": round(time.process_time() - cpu, 1), "peak_mb": round(peak_mb())})
        print(f"{name}, {' x '.join(map(str, shape))} x {frames}: {rows[-1]}", flush=True)
    return rows


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="*", default=cases.KINDS, choices=cases.KINDS)
    parser.add_argument("--methods", nargs="*", default=tuple(CONFIGS), choices=tuple(CONFIGS))
    parser.add_argument("--heads", nargs="*", type=int, default=cases.HELD_OUT[:1])
    parser.add_argument("--sigma", type=float, default=0.05)
    parser.add_argument("--magnitude", action="store_true")
    parser.add_argument("--frames", type=int, help="of a series whose labels are smoothed: so many alone")
    parser.add_argument("--labels", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--card", action="store_true")
    parser.add_argument("--cost-frames", type=int, default=200)
    chosen = parser.parse_args()
    if chosen.card:
        write_card()
        return
    if chosen.cost:
        keep("cost", measure_cost(frames=chosen.cost_frames))
        return
    for kind in chosen.kinds:
        if chosen.labels:
            keep("labels", smooth_segmentations(kind, chosen))
        else:
            others = "" if tuple(chosen.heads) == cases.HELD_OUT[:1] else f", heads {' '.join(map(str, chosen.heads))}"
            keep(f"sigma {chosen.sigma:g}{' magnitude' if chosen.magnitude else ''}{others}",
                 compare_methods(kind, chosen))


def write_card() -> None:
    """State in the model's card what it gains over frame by frame, of the results at 5 % noise."""
    place = resources_folder() / "Models" / "denoise-series" / "card.json"
    card = json.loads(place.read_text(encoding="utf-8"))
    rows = {(row["kind"], row["method"]): row for row in json.loads(RESULTS.read_text(encoding="utf-8"))["sigma 0.05"]}
    card["accuracy"] = card["accuracy"][:1]
    for kind in cases.KINDS:
        gain = rows[kind, "recurrent, both"]["psnr_db"] - rows[kind, "frame by frame"]["psnr_db"]
        card["accuracy"].append({
            "case": f"rendered series: {kind}, 5 % noise", "structure": "whole volume",
            "metric": "gain in PSNR over frame by frame, both passes, dB", "value": round(gain, 2),
            "command": "python Testing/Benchmarks/bench_series.py", "sha256": card["weights"]["sha256"]})
    place.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def keep(key: str, rows: list[dict]) -> None:
    """Write rows to the results, in the place of those of the same kind and method."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    anew = {(row.get("kind"), row["method"]) for row in rows}
    rows = [row for row in known.get(key, []) if (row.get("kind"), row["method"]) not in anew] + rows
    RESULTS.write_text(json.dumps({**known, key: rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
