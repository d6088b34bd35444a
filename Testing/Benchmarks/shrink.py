"""A smaller model of the hippocampus: how fast, how accurate, how large before and after.

    python Testing/Benchmarks/shrink.py [--model FOLDER | --width 1 --trained 6] [--minutes 5] [--cases 40] [--check 30]
        [--threads 1] [-o FILE]

`meddl models shrink` on a model that was trained on the first cases by name of the Medical Segmentation Decathlon
(MEDDL_DATA); without --model one is trained for --trained minutes, with --width as `meddl train` has it. The volumes
that it learns from, without labels, and those that decide whether it is good enough are drawn by the command from the
first --cases. Dice before and after is then measured on the last --check cases by name, which neither model has seen.
Results go to results/shrink.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_register import machine
from bench_train import VALUES, cases_of, link, show

import meddl
from meddl.core.paths import data_folder
from meddl.core.thread_waiting import wait_briefly
from meddl.io import load, load_segmentation
from meddl.measures.overlap import dice
from meddl.models.store.store import ModelStore

RESULTS = Path(__file__).resolve().parent / "results" / "shrink.json"


def measure(data: Path, arguments: argparse.Namespace) -> dict:
    """What the command says, and the figures on cases that it has not seen."""
    import torch

    torch.set_num_threads(arguments.threads)
    first, last = cases_of(data, arguments.cases, arguments.check)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["MEDDL_CACHE"] = str(folder / "cache")
        link(data, first, folder)
        if arguments.model is None:
            meddl.train(folder / "images", folder / "labels", out=folder / "run", name="hippocampus",
                        config=meddl.TrainConfig(minutes=arguments.trained, width=arguments.width), on_progress=show)
        else:
            ModelStore().install(arguments.model)
            ModelStore().accept_license("hippocampus")
        found = meddl.shrink_model("hippocampus", folder / "images", folder / "labels", device="cpu", on_progress=show,
                                   config=meddl.ShrinkConfig(minutes=arguments.minutes))
        names = ("hippocampus", found.card.id)
        figures = np.array([[score(data, case, name) for name in names] for case in last])
    return {"machine": machine(arguments.threads), "trained_minutes": arguments.trained, "width": arguments.width,
            "minutes": arguments.minutes, "cases": arguments.cases,
            "unseen_cases": len(last), "unseen_dice": figures.mean(axis=(0, 2)).tolist(), "notes": found.notes,
            **found.figures}


def score(data: Path, case: str, model: str) -> np.ndarray:
    """Dice of each label of a case."""
    labels = meddl.segment(load(data / "hippocampus" / "images" / case), model=model, device="cpu").labels
    return dice(labels, load_segmentation(data / "hippocampus" / "labels" / case).labels, VALUES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of the model")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--trained", type=float, default=6.0)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--check", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    wait_briefly(os.environ)
    data = data_folder()
    if data is None:
        raise SystemExit("Without the data folder (MEDDL_DATA) nothing is measured.")
    entry = measure(data, arguments)
    arguments.output.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    print("\n" + json.dumps(entry, indent=1))


if __name__ == "__main__":
    main()
