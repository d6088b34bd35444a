"""A smaller model of the hippocampus: how fast, how accurate, how large before and after.

    python Testing/Benchmarks/shrink.py [--model FOLDER | --nnunet | --width 1] [--trained 6] [--minutes 5 | --steps N]
        [--cases 40] [--check 30] [--threads 1] [-o FILE]

`meddl models shrink` on a model that was trained on the first cases by name of the Medical Segmentation Decathlon
(MEDDL_DATA): of --model; or one that is trained for --trained minutes, with --width as `meddl train` has it; or with
--nnunet a PlainConvUNet of nnU-Net v2, built, trained for as long and written in its own environment (see
models_peers.py), and imported. The volumes that the small network learns from, without labels, and those that decide
whether it is good enough are drawn by the command from the first --cases. Dice before and after is then measured on the
last --check cases by name, which neither model has seen. Results are merged into results/shrink.json by model.
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

import models_peers
from bench_register import machine
from bench_train import VALUES, cases_of, link
from command_line import add_shared, merge, show, start_run

import meddl
from meddl.io import load, load_segmentation
from meddl.measures.overlap import dice
from meddl.models.store.store import ModelStore

RESULTS = Path(__file__).resolve().parent / "results" / "shrink.json"
NNUNET = {"labels": {"background": 0, "anterior": 1, "posterior": 2}, "features": [32, 64, 128, 256],
          "spacing": [1.0, 1.0, 1.0], "patch": [40, 56, 40]}
MODEL = "hippocampus"


def measure(data: Path, arguments: argparse.Namespace) -> dict:
    """What the command says, and the figures on cases that it has not seen."""
    first, last = cases_of(data, arguments.cases, arguments.check)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["MEDDL_CACHE"] = str(folder / "cache")
        link(data, first, folder)
        kind = put_model(folder, arguments)
        found = meddl.shrink_model(MODEL, folder / "images", folder / "labels", device="cpu", on_progress=show,
                                   config=meddl.ShrinkConfig(minutes=arguments.minutes, steps=arguments.steps))
        names = (MODEL, found.card.id)
        figures = np.array([[score(data, case, name) for name in names] for case in last])
    return {"model": kind, "machine": machine(arguments.threads), "trained_minutes": arguments.trained,
            "minutes": arguments.minutes, "steps": arguments.steps, "cases": arguments.cases,
            "unseen_cases": len(last), "unseen_dice": figures.mean(axis=(0, 2)).tolist(), "notes": found.notes,
            **found.figures}


def put_model(folder: Path, arguments: argparse.Namespace) -> str:
    """Install the model that is to be shrunk; what it is called in the results."""
    if arguments.model is not None:
        ModelStore().install(arguments.model)
    elif arguments.nnunet:
        pairs = [[str(folder / kind / file.name) for kind in ("images", "labels")]
                 for file in sorted((folder / "images").iterdir())]
        models_peers.build("nnunet", NNUNET | {"train_seconds": 60 * arguments.trained, "train_pairs": pairs},
                           folder / "Dataset900", arguments.threads)
        ModelStore().import_model(folder / "Dataset900", identifier=MODEL)
    else:
        meddl.train(folder / "images", folder / "labels", out=folder / "run", name=MODEL, on_progress=show,
                    config=meddl.TrainConfig(minutes=arguments.trained, width=arguments.width))
    ModelStore().accept_license(MODEL)
    spec = next(iter(ModelStore().card(MODEL).networks.values()))
    return f"{spec.architecture}{', imported from nnU-Net' if arguments.nnunet else f', width {arguments.width:g}'}"


def score(data: Path, case: str, model: str) -> np.ndarray:
    """Dice of each label of a case."""
    labels = meddl.segment(load(data / "hippocampus" / "images" / case), model=model, device="cpu").labels
    return dice(labels, load_segmentation(data / "hippocampus" / "labels" / case).labels, VALUES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of the model")
    parser.add_argument("--nnunet", action="store_true", help="a model that nnU-Net has written, imported")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--trained", type=float, default=6.0)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, help="of the distillation, in the place of --minutes")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--check", type=int, default=30)
    add_shared(parser, RESULTS)
    arguments = parser.parse_args()
    data = start_run(arguments)
    entry = measure(data, arguments)
    merge(entry, arguments.output, ("model",))
    print("\n" + json.dumps(entry, indent=1))


if __name__ == "__main__":
    main()
