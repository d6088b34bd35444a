"""What generated images buy: few cases of the hippocampus, with and without, at equal time on the processor.

    python Testing/Benchmarks/bench_generate.py [--cases 10] [--minutes 4] [--test 40] [--seeds 0] [--images 8 24]

The first cases by name are trained on: by the usual augmentation alone, for any contrast (`--contrast any`: intensities
exchanged at random), and with generated images (`--generate`). Each variant gets so many minutes of processor time, in
which the GAN is trained too (with --gan-beside on top of them). The last cases are segmented. Results go to
results/generate.json: mean Dice by label and variant. Without the data folder (MEDDL_DATA) nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_train import cases_of, link, score

import meddl
from meddl.core.paths import data_folder
from meddl.core.thread_waiting import wait_briefly
from meddl.training import loop

RESULTS = Path(__file__).resolve().parent / "results" / "generate.json"


class StopAtTraining:
    """A progress callback that ends a run where the training of the segmentation would begin."""

    def __call__(self, fraction: float, message: str) -> None:
        if message.startswith("Training DynUNet"):
            raise meddl.Cancelled


def variants(images: list[int], steps: int) -> dict[str, dict]:
    """Options of `meddl.TrainConfig` by the name of the variant."""
    made = {f"{count} generated": {"generate": count, "generate_steps": steps} for count in images}
    return {"augmentation alone": {}, "any contrast": {"contrast": "any"}} | made


def measure(data: Path, options: dict, chosen: argparse.Namespace, seed: int) -> dict:
    """Dice of each label over the test cases of one variant."""
    train, test = cases_of(data, chosen.cases, chosen.test)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["MEDDL_CACHE"] = str(folder / "cache")
        link(data, train, folder)

        def run(minutes: float, on_progress=None):
            return meddl.train(folder / "images", folder / "labels", out=folder / "run", name="bench", device="cpu",
                               config=meddl.TrainConfig(minutes=minutes, seed=seed, **options), on_progress=on_progress)

        seconds = [time.process_time()]
        for _ in range(2 if options.get("generate") else 0):  # once more, for what checks and reading take
            try:
                run(chosen.minutes, StopAtTraining())
            except meddl.Cancelled:
                seconds.append(time.process_time())
        spent = max(0.0, (seconds[1] - seconds[0]) - (seconds[2] - seconds[1])) / 60 if len(seconds) == 3 else 0.0
        model = run(chosen.minutes - (0 if chosen.gan_beside else spent))
        figures = np.array([score(data, name, "cpu") for name in test])
    return {"seed": seed, "gan_minutes": round(spent, 2), "steps": model.card.training.steps,
            "dice": [round(float(value), 4) for value in figures.mean(axis=0)],
            "mean_dice": round(float(figures.mean()), 4)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--images", type=int, nargs="+", default=[8, 24], help="generated images, a variant each")
    parser.add_argument("--gan-steps", type=int, default=200)
    parser.add_argument("--gan-beside", action="store_true", help="the GAN's minutes come on top of --minutes")
    parser.add_argument("--only", nargs="+", help="names of variants")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    wait_briefly(os.environ)
    data = data_folder()
    if data is None:
        print("Nothing was measured: MEDDL_DATA names no folder of real volumes.")
        return
    import torch

    torch.set_num_threads(chosen.threads)
    # The schedule of a training follows the clock; here the processor's, as the machine may do other things.
    loop.time = SimpleNamespace(perf_counter=time.process_time, monotonic=time.monotonic)
    rows = json.loads(chosen.output.read_text(encoding="utf-8")) if chosen.output.is_file() else []
    for seed in chosen.seeds:
        for name, options in variants(chosen.images, chosen.gan_steps).items():
            if chosen.only and name not in chosen.only:
                continue
            row = {"variant": name, "cases": chosen.cases, "minutes": chosen.minutes, "gan_beside": chosen.gan_beside,
                   **measure(data, options, chosen, seed)}
            rows.append(row)
            print(f"| {name} | {seed} | {row['gan_minutes']:.1f} | {row['steps']} | {row['mean_dice']:.3f} |",
                  flush=True)
            chosen.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
