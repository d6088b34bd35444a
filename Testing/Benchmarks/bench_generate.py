"""What generated images buy: few cases of the hippocampus, with and without, at equal time on the processor.

    python Testing/Benchmarks/bench_generate.py [--cases 10] [--minutes 4] [--test 40] [--seeds 0] [--images 8 24]
        [--gan-steps 200] [--gan-beside] [--only VARIANT ...] [--keep FOLDER]

The first cases by name are trained on: by the usual augmentation alone, for any contrast (`--contrast any`: intensities
exchanged at random), and with generated images (`--generate`). Each variant gets so many minutes of processor time, in
which the GAN is trained too (with --gan-beside on top of them). The last cases are segmented. Results go to
results/generate.json: mean Dice by label, variant and seed, merged one by one. Without the data folder (MEDDL_DATA)
nothing is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_train import cases_of, link, score
from command_line import add_shared, merge, start_run

import meddl
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


def measure(data: Path, name: str, options: dict, chosen: argparse.Namespace, seed: int) -> dict:
    """Dice of each label over the test cases of one variant."""
    train, test = cases_of(data, chosen.cases, chosen.test)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) if chosen.keep is None else chosen.keep / f"{name}, seed {seed}"
        folder.mkdir(parents=True, exist_ok=True)
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
        figures = np.array([score(data, case, "cpu") for case in test])
    return {"gan_minutes": round(spent, 2), "steps": model.card.training.steps,
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
    parser.add_argument("--keep", type=Path, help="folder for what the trainings write, which stays")
    add_shared(parser, RESULTS)
    chosen = parser.parse_args()
    data = start_run(chosen)
    # The schedule of a training follows the clock; here the processor's, as the machine may do other things.
    loop.time = SimpleNamespace(perf_counter=time.process_time, monotonic=time.monotonic)
    results = []
    for seed in chosen.seeds:
        for name, options in variants(chosen.images, chosen.gan_steps).items():
            if not chosen.only or name in chosen.only:
                entry = {"variant": name, "cases": chosen.cases, "minutes": chosen.minutes, "test": chosen.test,
                         "gan_beside": chosen.gan_beside, "gan_steps": options.get("generate_steps", 0), "seed": seed}
                results = merge({**entry, **measure(data, name, options, chosen, seed)}, chosen.output, tuple(entry))
    print(table(results))


def table(results: list[dict]) -> str:
    """Rows of Markdown."""
    lines = ["| Trained with | Minutes, of them the GAN's | Seed | Steps | Mean Dice |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {one['variant']} | {one['minutes']:g}, {one['gan_minutes']:.1f} | {one['seed']} | {one['steps']} "
              f"| {one['mean_dice']:.3f} |" for one in results]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
