"""Training for any contrast: painted T1 alone to learn from, T1 and T2 to segment.

    python Testing/Benchmarks/bench_contrasts.py [--steps N] [--trainings own,any] [--start MODEL]
        [--learning-rate R] [--threads 1] [-o FILE]

Rendered T1 heads of the label maps 1 to 8 with their labels are trained on, once as they are (`--contrast own`) and
once for any contrast (`--contrast any`); rendered T1 and T2 heads of the maps 13 to 16 are segmented. --start goes on
from a model's weights instead of random ones, with a new last layer. Results are merged into results/contrasts.json by
training, start and steps: the mean Dice of each structure by contrast, and minutes on the processor. Goal: T2 within
0.05 of T1. Without the data folder (MEDDL_DATA) nothing is measured.
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
from command_line import add_shared, merge, show, start_run

import meddl
from meddl.measures.overlap import dice

RESULTS = Path(__file__).resolve().parent / "results" / "contrasts.json"
TRAINED, TESTED = range(1, 9), range(13, 17)
# Structures by value: labels of the maps, left and right together.
STRUCTURES = {1: ("lateral ventricle", (4, 43)), 2: ("thalamus", (10, 49)), 3: ("caudate", (11, 50)),
              4: ("putamen", (12, 51)), 5: ("hippocampus", (17, 53))}
SPACING_MM, VOXELS = 2.0, (72, 80, 64)
KEYS = ("contrast", "start", "steps", "learning_rate")


def render(data: Path, number: int, contrast: str, seed: int) -> tuple[meddl.Volume, meddl.Volume]:
    """A head of a label map, and its structures."""
    from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps

    maps = load_label_maps(data / "labelmaps", number, number)
    config = SynthesisConfig(spacing_mm=SPACING_MM, shape=VOXELS, gamma_sd=0.1, crop_probability=0.0,
                             dark_background_probability=1.0, prior_probability=1.0, stripped_probability=0.0,
                             mirror_probability=0.0)
    batch = HeadGenerator(maps, config, seed, (contrast,)).sample(1)
    targets = maps.table.targets[batch.rows[0].numpy()]
    labels = np.zeros(targets.shape, dtype=np.uint8)
    for value, (_, members) in STRUCTURES.items():
        labels[np.isin(targets, members)] = value
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    return meddl.Volume.scalar(1000 * batch.images[0, 0].numpy(), affine), meddl.Volume.scalar(labels, affine)


def measure(data: Path, arguments: argparse.Namespace, folder: Path) -> list[dict]:
    """The entries of the results."""
    os.environ["MEDDL_CACHE"] = str(folder / "cache")
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number in TRAINED:
        for kind, volume in zip(("images", "labels"), render(data, number, "T1", number), strict=True):
            meddl.save(volume, folder / kind / f"head_{number}.nii.gz")
    cases = [(contrast, *render(data, number, contrast, 100 + number)) for number in TESTED
             for contrast in ("T1", "T2")]
    return [train_and_test(contrast, folder, cases, arguments) for contrast in arguments.trainings.split(",")]


def train_and_test(contrast: str, folder: Path, cases: list, arguments: argparse.Namespace) -> dict:
    """One entry of the results."""
    config = meddl.TrainConfig(steps=arguments.steps, contrast=contrast, start=arguments.start,
                               learning_rate=arguments.learning_rate)
    begin = time.process_time()
    card = meddl.train(folder / "images", folder / "labels", out=folder / contrast, name=contrast, config=config,
                       device="cpu", on_progress=show).card
    minutes = (time.process_time() - begin) / 60
    found: dict[str, list] = {"T1": [], "T2": []}
    for kind, volume, truth in cases:
        labels = meddl.segment(volume, card.id, device="cpu").labels
        found[kind].append(dice(labels, truth.data[0], tuple(STRUCTURES)))
    names = [name for name, _ in STRUCTURES.values()]
    return {"contrast": contrast, "start": arguments.start, "steps": arguments.steps,
            "learning_rate": arguments.learning_rate, "processor_minutes": minutes,
            "dice": {kind: dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))
                     for kind, rows in found.items()},
            "machine": machine(arguments.threads)}


def table(results: list[dict]) -> str:
    """Rows of Markdown."""
    names = [name for name, _ in STRUCTURES.values()]
    rows = [f"| Trained for | From | Learning rate | Steps | Segmented | Mean Dice | {' | '.join(names)} | Minutes |",
            "|---|---|---:|---:|---|---:|" + "---:|" * (len(names) + 1)]
    for one in results:
        for kind, figures in one["dice"].items():
            rows.append(f"| {one['contrast']} | {one['start'] or 'random weights'} | "
                        f"{one['learning_rate'] or 'default'} | {one['steps']} | {kind} | "
                        f"{np.mean(list(figures.values())):.3f} | "
                        + " | ".join(f"{figures[name]:.3f}" for name in names)
                        + f" | {one['processor_minutes']:.1f} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--trainings", default="own,any")
    parser.add_argument("--start")
    parser.add_argument("--learning-rate", type=float)
    add_shared(parser, RESULTS)
    arguments = parser.parse_args()
    data = start_run(arguments)
    with tempfile.TemporaryDirectory() as folder:
        for entry in measure(data, arguments, Path(folder)):
            results = merge(entry, arguments.output, KEYS)
    print(f"\n{table(results)}")


if __name__ == "__main__":
    main()
