"""Classifiers of one's own: what is trained on one set of volumes, tested on others.

    python Testing/Benchmarks/bench_classify.py [heads | hippocampus | limbs ...] [--steps N] [--network resnet]
        [--start MODEL] [--threads 1] [--keep FOLDER] [-o FILE]

Tasks, from the data folder (MEDDL_DATA):

heads        T1 or T2: trained on synthetic heads of the label maps 1 to 12, whole and stripped, tested on all real T1
             and T2 volumes of heads.
hippocampus  stored or mirrored: trained on the first 140 crops of the Medical Segmentation Decathlon, tested on
             the last 61. Every second crop is mirrored; no patient is in both classes.
limbs        CT, MR or PET: trained on three patients with sarcoma, tested on the fourth and on other CT and MR of the
             body.

Each is trained by `meddl.train_classifier` and measured by `meddl evaluate classification`. With --start the training
goes on from a model. Results are merged into results/classify.json by task, network and start: the figures with their
95 % intervals, the confusion matrix, and minutes on the processor for training with checks and preprocessing.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_register import machine
from command_line import merge, show, start_run

import meddl

RESULTS = Path(__file__).resolve().parent / "results" / "classify.json"
KEYS = ("task", "network", "start")  # of results of one kind
HEADS_EACH, TRAINED_CROPS = 2, 140  # synthetic heads of each map, contrast, whole and stripped each
_SPACING_MM, _VOXELS = 3.0, 80
REAL_HEADS = {
    "T1": ("brain/ecog_t1", "brain/ecog_t1_stripped", "brain/vm_t1_stripped", "brain/fsaverage_t1_stripped",
           "brain/chris_t1", "brain_multimodal/T1_head_ext2", "ms/ms07_t1", "ms/ms07_t1post"),
    "T2": ("brain_multimodal/T2w", "ms/ms07_t2")}
OTHER_BODIES = {"CT": ("body/abdomen_ct.nii.gz", "body/aorta_cta.nii.gz", "body/chest_ct.nrrd"),
                "MR": ("body/abdomen_mr.nii.gz", "spine/t1_t1w.nii.gz", "spine/t2_t2.nii.gz")}


class Row(NamedTuple):
    """A row of a table of volumes."""

    file: Path
    label: str
    patient: str


Tables = tuple[list[Row], list[Row]]  # to train on, to test with


def heads(data: Path, folder: Path) -> Tables:
    """T1 or T2: synthetic heads, and real ones."""
    from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps

    train = []
    for number in range(1, 13):
        maps = load_label_maps(data / "labelmaps", number, number)
        for contrast in ("T1", "T2"):
            for stripped in (False, True):
                config = SynthesisConfig(spacing_mm=_SPACING_MM, shape=(_VOXELS,) * 3, gamma_sd=0.15,
                                         crop_probability=0.0, dark_background_probability=0.85,
                                         prior_probability=1.0, stripped_probability=float(stripped))
                generator = HeadGenerator(maps, config, 100 * number + stripped, (contrast,))
                for n in range(HEADS_EACH):
                    image = 1000 * generator.sample(1).images[0, 0].numpy()
                    file = folder / f"{contrast}-{number}-{stripped}-{n}.nii.gz"
                    meddl.save(meddl.Volume.scalar(image, np.diag([_SPACING_MM] * 3 + [1.0])), file)
                    train.append(Row(file, contrast, f"map {number}"))
    test = [Row(data / f"{name}.nii.gz", label, _subject(name)) for label, names in REAL_HEADS.items()
            for name in names]
    return train, test


def _subject(name: str) -> str:
    """Who a real head is of."""
    return Path(name).name.partition("_")[0]


def hippocampus(data: Path, folder: Path) -> Tables:
    """Stored, or mirrored."""
    rows = []
    for number, file in enumerate(sorted((data / "hippocampus" / "images").glob("*.nii.gz"))):
        place, label = file, "stored"
        if number % 2:
            volume = meddl.load(file).reorient("RAS")
            place, label = folder / file.name, "mirrored"
            meddl.save(meddl.Volume(np.ascontiguousarray(volume.data[:, ::-1]), volume.affine), place)
        rows.append(Row(place, label, file.name))
    return rows[:TRAINED_CROPS], rows[TRAINED_CROPS:]


def limbs(data: Path, folder: Path) -> Tables:
    """CT, MR or PET."""
    rows = [Row(data / "sarcoma" / f"sts0{n}_{kind.lower()}.nii.gz", kind, f"sts0{n}") for n in range(1, 5)
            for kind in ("CT", "MR", "PET")]
    others = [Row(data / name, kind, Path(name).name.partition("_")[0]) for kind, names in OTHER_BODIES.items()
              for name in names]
    return rows[:9], [*rows[9:], *others]


TASKS: dict[str, Callable[[Path, Path], Tables]] = {"heads": heads, "hippocampus": hippocampus, "limbs": limbs}


def write_table(rows: list[Row], place: Path) -> Path:
    """A table that `meddl train classification` takes."""
    with place.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "class", "patient"), *rows])
    return place


def measure(task: str, data: Path, arguments: argparse.Namespace, folder: Path) -> dict:
    """One entry of the results."""
    from meddl.evaluation.classification import measure_model

    os.environ["MEDDL_CACHE"] = str(folder / "cache")
    (folder / "volumes").mkdir(exist_ok=True)
    train, test = (write_table(rows, folder / f"{name}.csv") for rows, name in
                   zip(TASKS[task](data, folder / "volumes"), ("train", "test"), strict=True))
    config = meddl.ClassifierTrainConfig(steps=arguments.steps, network=arguments.network, start=arguments.start)
    begin = time.process_time()
    trained = meddl.train_classifier(train, out=folder / "run", name=task, config=config, device="cpu",
                                     on_progress=show)
    minutes = (time.process_time() - begin) / 60
    found = measure_model(test, task)
    return {"task": task, "network": arguments.network, "start": arguments.start, "steps": arguments.steps,
            "machine": machine(arguments.threads), "processor_minutes": minutes, "plan": trained.plan.describe(),
            "weights_mb": trained.card.own_weights.bytes / 1e6,
            "trained_on": len(trained.training), "validated_on": len(trained.validation.cases),
            "validation_accuracy": trained.validation.figures.value("accuracy"), "test_cases": len(found.cases),
            "test_patients": found.patients, "classes": found.figures.classes,
            "confusion": found.figures.confusion.tolist(),
            "figures": [one.__dict__ for one in found.figures.figures],
            "wrong": [one.case.image.name for one, row in zip(found.cases, found.probabilities, strict=True)
                      if found.figures.classes[int(row.argmax())] != one.case.label]}


def table(results: list[dict]) -> str:
    """Rows of Markdown."""
    rows = ["| Task | Network, start | Steps | Minutes | Cases: learned from, tested | Accuracy | Lowest AUC |",
            "|---|---|---:|---:|---:|---:|---:|"]
    for one in results:
        accuracy = next(figure for figure in one["figures"] if figure["name"] == "accuracy")
        low, high = accuracy["interval"]
        areas = [figure["value"] for figure in one["figures"] if figure["name"] == "AUC"]
        rows.append(f"| {one['task']} | {one['network']}, {one['start'] or 'random'} | {one['steps']} "
                    f"| {one['processor_minutes']:.1f} | {one['trained_on']}, {one['test_cases']} "
                    f"| {accuracy['value']:.2f} [{low:.2f}, {high:.2f}] | {min(areas, default=float('nan')):.2f} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)}; all, if none is named")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--network", default="resnet")
    parser.add_argument("--start")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for what is trained, which stays")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = start_run(arguments)
    for task in arguments.tasks or TASKS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if arguments.keep is None else arguments.keep / task
            folder.mkdir(parents=True, exist_ok=True)
            print(f"\n{table(merge(measure(task, data, arguments, folder), arguments.output, KEYS))}")


if __name__ == "__main__":
    main()
