"""Training on the hippocampus of the Medical Segmentation Decathlon: few cases, few minutes, other cases to test.

    python Testing/Benchmarks/bench_train.py [--cases 20] [--minutes 10 | --steps N] [--network dynunet] [--width 0.5]
        [--start MODEL] [--learning-rate R] [--test 60] [--threads 2] [--device cpu] [--keep FOLDER] [-o FILE]

The first cases by name are trained on (a fifth of them chooses the best weights), the last ones are segmented with the
installed model as any other volume is. Without the data folder (MEDDL_DATA) nothing is measured. Results are merged
into results/train.json by cases, minutes and network. With --steps the minutes stated are those that the steps took on
the processor, all threads together: on a machine that does other things at the same time they say what it costs.
--width says how many features each stage has, relative to nnU-Net's. --start fine-tunes a model: an identifier, or the
folder of one that an earlier call has left in --keep; --first N leaves out the first N cases, which that one has
learned from. --whole makes one label of both.

Measured: the mean Dice of each label over the test cases, found over true volume, the validation Dice by step, steps,
seconds of all (checks, preprocessing, training, export) by the clock and on the processor, seconds of a test case, the
most memory that the process has held. Beside them stand the goals, and what nnU-Net 2.8.1 reached on two cores with AMX
with its own plan and a schedule that was fitted to the time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_register import machine
from command_line import merge, show, start_run

import meddl
from meddl.core.memory import peak_mb, reset_peak
from meddl.io import load, load_segmentation
from meddl.measures.overlap import dice
from meddl.training.log import TrainingLog

RESULTS = Path(__file__).resolve().parent / "results" / "train.json"
VALUES = (1, 2)  # anterior, posterior
KEYS = ("cases", "minutes", "network", "device")  # of results of one kind
# Mean Dice by cases and minutes.
GOALS = {(5, 5.0): 0.85, (20, 10.0): 0.88, (100, 30.0): 0.885}
NNUNET = {(20, 10.0): 0.820}


def cases_of(data: Path, train: int, test: int, first: int = 0) -> tuple[list[str], list[str]]:
    """File names of the cases to train on, from one on, and to test with."""
    names = sorted(path.name for path in (data / "hippocampus" / "images").glob("*.nii.gz"))
    if first + train + test > len(names):
        raise SystemExit(f"{first + train} cases to train on and {test} to test with were asked for; there are "
                         f"{len(names)}.")
    return names[first:first + train], names[len(names) - test:]


def link(data: Path, names: list[str], folder: Path, whole: bool = False) -> None:
    """`images` and `labels` with these cases alone; `whole`: both labels are one."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
        for name in names:
            source = data / "hippocampus" / kind / name
            if whole and kind == "labels":
                found = load_segmentation(source)
                meddl.save_segmentation(meddl.Segmentation((found.labels > 0).astype(np.uint8), found.affine,
                                                           found.segments[:1]), folder / kind / name)
            else:
                (folder / kind / name).symlink_to(source)


def measure(data: Path, arguments: argparse.Namespace) -> dict:
    """One entry of the results."""
    train, test = cases_of(data, arguments.cases, arguments.test, arguments.first)
    config = meddl.TrainConfig(minutes=arguments.minutes, steps=arguments.steps, network=arguments.network,
                               seed=arguments.seed, width=arguments.width, start=arguments.start,
                               learning_rate=arguments.learning_rate)
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.keep or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["MEDDL_CACHE"] = str(folder / "cache")
        link(data, train, folder, arguments.whole)
        reset_peak()
        begin, processor = time.perf_counter(), time.process_time()
        model = meddl.train(folder / "images", folder / "labels", out=folder / "run", name="bench", config=config,
                            device=arguments.device, on_progress=show)
        seconds, processor = time.perf_counter() - begin, time.process_time() - processor
        begin = time.perf_counter()
        found, volumes = zip(*(score(data, name, arguments.device, arguments.whole) for name in test), strict=True)
        each = (time.perf_counter() - begin) / max(1, len(test))
        curve = TrainingLog(folder / "run", ("step", "score")).curves()["score"]
    figures = np.array(found)
    minutes = arguments.minutes if arguments.steps is None else round(processor / 60, 1)
    network = arguments.network + ("" if arguments.width is None else f", width {arguments.width:g}")
    network += ", one label" if arguments.whole else ""
    network += "" if arguments.start is None else f", from {Path(arguments.start).name}"
    network += "" if arguments.learning_rate is None else f", rate {arguments.learning_rate:g}"
    return {"cases": arguments.cases, "minutes": minutes, "network": network,
            "machine": machine(arguments.threads), "device": arguments.device, "plan": model.plan.describe(),
            "validation": list(zip(*curve, strict=True)), "steps": model.card.training.steps, "seconds": seconds,
            "processor_seconds": processor,
            "seconds_a_case": each, "peak_mb": peak_mb(),
            "test_cases": len(test), "dice": {str(value): float(mean) for value, mean in
                                              zip(VALUES, figures.mean(axis=0), strict=False)},
            "mean_dice": float(figures.mean()),
            "found_over_true_volume": np.mean(volumes, axis=0).round(4).tolist()}


def score(data: Path, name: str, device: str, whole: bool = False) -> tuple[np.ndarray, list[float]]:
    """Dice of each label of a test case, and its volume as found over the true one; `whole`: of both as one."""
    found = meddl.segment(load(data / "hippocampus" / "images" / name), model="bench", device=device).labels
    true = load_segmentation(data / "hippocampus" / "labels" / name).labels
    values = VALUES
    if whole:
        found, true, values = (found > 0).astype(np.uint8), (true > 0).astype(np.uint8), VALUES[:1]
    return dice(found, true, values), [float((found == value).sum() / (true == value).sum()) for value in values]


def table(results: list[dict]) -> str:
    """Rows of Markdown."""
    rows = ["| Cases | Minutes | Network | Mean Dice | Goal | nnU-Net | Steps | Peak MB |", "|---:" * 8 + "|"]
    for one in results:
        key = (one["cases"], float(one["minutes"]))
        goal, peer = (f"{table[key]:.3f}" if key in table else "" for table in (GOALS, NNUNET))
        rows.append(f"| {one['cases']} | {one['minutes']:g} | {one['network']} | {one['mean_dice']:.3f} | {goal} "
                    f"| {peer} | {one['steps']} | {one['peak_mb']:.0f} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--network", default="dynunet")
    parser.add_argument("--width", type=float)
    parser.add_argument("--start")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--first", type=int, default=0, help="cases that are left out before those to train on")
    parser.add_argument("--whole", action="store_true", help="one label of both")
    parser.add_argument("--keep", type=Path, help="folder for what is trained, which stays")
    parser.add_argument("--test", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = start_run(arguments)
    print(f"\n{table(merge(measure(data, arguments), arguments.output, KEYS))}")


if __name__ == "__main__":
    main()
