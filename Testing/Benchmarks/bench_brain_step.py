"""What a training step of `brain` costs, and what so many steps are worth: one size of model against another.

    python Testing/Benchmarks/bench_brain_step.py [--sizes small lean] [--against CHECKOUT] [--steps 8] [--maps 2]
        [--train STEPS] [--spacing MM] [--folder FOLDER] [-o FILE]

Measured on one thread, after two steps that are not counted: processor seconds of the generator, of forward pass with
loss, of backward pass and of the optimizer, medians of --steps steps; parameters and bytes in float16. The sizes take
turns, step by step, so that whatever else the machine does meets them alike. With --against, each size is also measured
as another checkout of the repository has it, say that of the version before, in a process of its own.

--train trains each from scratch for so many steps, with the whole schedule in them, and compares the averaged weights
on the same held-out synthetic heads (of maps 13 to 16): those that this checkout makes, and those of the other. On two
cores 2,000 steps take an hour or so each; --spacing takes larger voxels than the size's own: of 4 mm, at a sixth of
the cost. --folder keeps what was trained: the same command goes on from there.

Results are merged into results/brain_step.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(os.environ.get("MEDDL_CHECKOUT", Path(__file__).resolve().parents[2])) / "MedDLLib"))

import numpy as np
import torch

from meddl.core.paths import data_folder
from meddl.networks.cpu.fast_training import ready_for_training
from meddl.synthesis import SynthesisConfig, load_label_maps
from meddl.training.segmentation import head_tasks, train

HERE = Path(__file__).resolve()
RESULTS = HERE.parent / "results" / "brain_step.json"
PARTS = ("generator", "forward", "backward", "optimizer")
HELD_OUT = 8


def make_task(name: str, maps: int, held_out: bool, spacing_mm: float | None = None) -> head_tasks.SegmenterTask:
    """The segmenter's task of a size, on so many maps, with held-out heads or without, of its voxels or of others."""
    head_tasks._VALIDATION_IMAGES = HELD_OUT if held_out else 0
    size, folder = train.SIZES[name], data_folder() / "labelmaps"
    shapes = getattr(train, "SHAPES", {})  # not in version 0.2.0
    finer = size.spacing_mm / (spacing_mm or size.spacing_mm)
    config = SynthesisConfig(spacing_mm=size.spacing_mm / finer,
                             shape=tuple(8 * math.ceil(n * finer / 8) for n in size.shape), **shapes)
    training = load_label_maps(folder, 1, maps)
    return head_tasks.SegmenterTask(training, load_label_maps(folder, 13, 16) if held_out else training, config, 1,
                                    size.widths, size.refine_channels)


class Steps:
    """Training steps of one size, each part timed."""

    def __init__(self, name: str, maps: int):
        self.task = make_task(name, maps, held_out=False)
        self.network = ready_for_training(self.task.network)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), fused=True)

    def take(self) -> dict[str, float]:
        """One step: processor seconds by part."""
        times = [time.process_time()]
        batch = self.task.sample(1.0)
        times.append(time.process_time())
        loss = self.task.loss(self.network, batch)
        times.append(time.process_time())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        times.append(time.process_time())
        self.optimizer.step()
        times.append(time.process_time())
        return dict(zip(PARTS, (after - before for before, after in zip(times, times[1:], strict=False)),
                        strict=True))


def measure(sizes: list[str], maps: int, count: int) -> dict[str, dict]:
    """By size: seconds by part and in all, parameters, MB in float16."""
    runs = {name: Steps(name, maps) for name in sizes if name in train.SIZES}
    taken = {name: [] for name in runs}
    for number in range(count + 2):
        for name, steps in runs.items():
            one = steps.take()
            if number >= 2:
                taken[name].append(one)
    found = {}
    for name, rows in taken.items():
        parameters = sum(p.numel() for p in runs[name].network.parameters())
        found[name] = {**{part: round(statistics.median(row[part] for row in rows), 4) for part in PARTS},
                       "step": round(statistics.median(sum(row.values()) for row in rows), 4),
                       "parameters": parameters, "mb_float16": round(2e-6 * parameters, 2)}
    return found


def train_from_scratch(name: str, steps: int, place: Path, spacing_mm: float | None) -> None:
    """Train a size; its averaged weights and the held-out heads go to `place`."""
    from meddl.training.loop import LoopOptions
    from meddl.training.loop import train as run

    task = make_task(name, 12, True, spacing_mm)
    begin = time.process_time()
    average = run(task, place.with_suffix(""), LoopOptions(steps=steps, hours=float("inf"), learning_rate=1e-3,
                                                           validate_minutes=10), torch.device("cpu"))
    torch.save({"arguments": task.arguments, "state": average.state_dict(), "seconds": time.process_time() - begin,
                "heads": [(batch.images, task.classes(batch)) for batch in task.held_out]}, place)


@torch.no_grad()
def compare_trained(kept: dict[str, dict], steps: int) -> dict[str, dict]:
    """Mean Dice of each training on the held-out heads of each."""
    from meddl.networks import build_network

    found = {}
    for name, one in kept.items():
        network = build_network("SidedUNet", one["arguments"])
        network.load_state_dict(one["state"])
        network.eval()
        found[name] = {"steps": steps, "seconds": round(one["seconds"])}
        for other, made in kept.items():
            scores = []
            for image, truth in made["heads"]:
                seen = truth >= 0
                scores.append(head_tasks._dice(network(image).argmax(dim=1)[seen], truth[seen],
                                               len(one["arguments"]["side_of_class"])))
            found[name][f"dice on heads of {other}"] = round(float(np.nanmean(np.stack(scores)[:, 1:])), 4)
    return found


def elsewhere(checkout: Path, *arguments: str) -> str:
    """The output of this script on another checkout's code."""
    environment = {**os.environ, "MEDDL_CHECKOUT": str(checkout)}
    return subprocess.run([sys.executable, str(HERE), *arguments], env=environment, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["small", "lean"], choices=sorted({*train.SIZES, "lean"}))
    parser.add_argument("--against", type=Path, help="another checkout of the repository")
    parser.add_argument("--steps", type=int, default=8, help="steps of each size that are timed")
    parser.add_argument("--maps", type=int, default=2, help="label maps that the timed steps draw from")
    parser.add_argument("--train", type=int, metavar="STEPS", help="train each for so many steps, and compare")
    parser.add_argument("--spacing", type=float, help="voxel size to train with, in mm")
    parser.add_argument("--folder", type=Path, help="folder for what is trained, which stays")
    parser.add_argument("--keep", nargs=2, help=argparse.SUPPRESS)  # a process of --train: the size and the place
    parser.add_argument("--print", action="store_true", help=argparse.SUPPRESS)  # a process of --against
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.keep:
        train_from_scratch(given.keep[0], given.train, Path(given.keep[1]), given.spacing)
        return
    checkouts = {"": HERE.parents[2]} | ({"other ": given.against} if given.against else {})
    if given.train:
        kept = {}
        with tempfile.TemporaryDirectory() as folder:
            for before, checkout in checkouts.items():
                for name in given.sizes:
                    if before and name not in ("small", "large"):
                        continue
                    place = (given.folder or Path(folder)) / f"{before.strip()}{name}.pt"
                    if not place.exists():
                        elsewhere(checkout, "--train", str(given.train), "--keep", name, str(place),
                                  *([] if given.spacing is None else ["--spacing", str(given.spacing)]))
                    kept[before + name] = torch.load(place, weights_only=True)
        found = compare_trained(kept, given.train)
    else:
        found = measure(given.sizes, given.maps, given.steps)
        if given.print:
            print(json.dumps(found))
            return
        if given.against:
            options = ("--print", "--steps", str(given.steps), "--maps", str(given.maps), "--sizes", *given.sizes)
            found |= {f"other {name}": one for name, one in json.loads(elsewhere(given.against, *options)).items()}
    known = json.loads(given.output.read_text()) if given.output.exists() else {}
    key = "step" if not given.train else f"train {given.train}" + (f", {given.spacing:g} mm" if given.spacing else "")
    known[key] = {**known.get(key, {}), **found}
    given.output.write_text(json.dumps(known, indent=1) + "\n")
    for name, one in found.items():
        print(name, one)


if __name__ == "__main__":
    main()
