"""Models of landmarks and boxes of one's own: what is trained on one set of volumes, tested on others.

    python Testing/Benchmarks/bench_landmarks.py [heads | hippocampus ...] [--steps N] [--network dynunet]
        [--threads 1] [--keep FOLDER] [-o FILE]

Tasks, from the data folder (MEDDL_DATA):

heads        AC, PC and centers of ten structures: trained on synthetic heads of the label maps 1 to 12 in random
             contrasts, tested on the heads of `landmark_errors.py`: of the maps 13 to 16 in each contrast, and real
             ones; and on its volumes that show no head.
hippocampus  the anterior and the posterior pole, derived from the labels (center of the outermost 2 mm along A), and
             the box about it: trained on the first 140 crops of the Medical Segmentation Decathlon, tested on the last
             61; and on volumes that show no head.

Each is trained by `meddl.train_landmarks`. Results are merged into results/landmarks.json by task and network.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

import landmark_errors
from bench_register import machine
from command_line import merge, show, start_run

import meddl
from meddl.io.points import save_points
from meddl.spatial.points import Boxes, Points

RESULTS = Path(__file__).resolve().parent / "results" / "landmarks.json"
HEADS_EACH, TRAINED_CROPS = 6, 140  # synthetic heads of each map
STEPS, VOXELS_MM = {"heads": 300, "hippocampus": 1500}, {"heads": 8.0, "hippocampus": 2.0}
_SPACING_MM, _SHAPE = 3.0, (64, 76, 72)
_POLE_MM = 2.0


def write_heads(data: Path, folder: Path) -> None:
    """Synthetic heads with the centers of their structures."""
    from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps

    for number in range(1, 13):
        maps = load_label_maps(data / "labelmaps", number, number)
        config = SynthesisConfig(spacing_mm=_SPACING_MM, shape=_SHAPE, crop_probability=0.0)
        generator = HeadGenerator(maps, config, 100 + number)
        for n in range(HEADS_EACH):
            batch = generator.sample(1)
            image = meddl.Volume.scalar(batch.images[0, 0].numpy(), np.diag([_SPACING_MM] * 3 + [1.0]))
            truth = landmark_errors.true_centers(maps.table.targets[batch.rows[0].numpy()], image.grid)
            write_case(folder / "train", f"map{number}_ses-{n}", image,
                       Points(np.array(list(truth.values())), tuple(truth)))


def write_hippocampi(data: Path, folder: Path) -> None:
    """Crops with the poles of the hippocampus and its box."""
    for number, file in enumerate(sorted((data / "hippocampus" / "images").glob("*.nii.gz"))):
        labels = meddl.load(data / "hippocampus" / "labels" / file.name).reorient("RAS")
        voxels = labels.grid.points_mm(np.argwhere(labels.scalar_data > 0))
        ends = [voxels[np.abs(voxels[:, 1] - end) <= _POLE_MM].mean(axis=0)
                for end in (voxels[:, 1].max(), voxels[:, 1].min())]
        low, high = voxels.min(axis=0), voxels.max(axis=0)
        box = Boxes((low + high)[None] / 2, (high - low + labels.spacing_mm)[None], ("Hippocampus",))
        write_case(folder / ("train" if number < TRAINED_CROPS else "test"), file.name.partition(".")[0],
                   meddl.load(file), Points(np.array(ends), ("Anterior pole", "Posterior pole")), box)


def write_case(folder: Path, name: str, image: meddl.Volume, points: Points, boxes: Boxes | None = None) -> None:
    """A volume and its markups, as `meddl train landmarks` takes them."""
    for part in ("images", "points"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    meddl.save(image, folder / "images" / f"{name}.nii.gz")
    save_points(points, folder / "points" / f"{name}.mrk.json", boxes=boxes)


def test_heads(folder: Path) -> dict:
    """Errors on unseen heads, by landmark and group."""
    errors = landmark_errors.measure([], "heads")
    every = np.concatenate([values for one in errors.values() for values in one.values()])
    return {"errors_mm": errors, "mean_mm": float(every.mean()), "p90_mm": float(np.percentile(every, 90)),
            "found": len(every), "found_in_foreign": landmark_errors.measure_foreign("heads"),
            "foreign": len(landmark_errors.FOREIGN)}


def test_hippocampi(folder: Path) -> dict:
    """Errors and overlap on unseen crops, and what is found where there is nothing."""
    from meddl.evaluation.landmarks import measure_landmark_model
    from meddl.training.supervised.landmarks.figures import markdown

    found = measure_landmark_model(folder / "test" / "images", folder / "test" / "points", "hippocampus", "cpu")
    print(markdown(found), flush=True)
    return {"figures": [asdict(one) for one in found.figures],
            "found_in_foreign": landmark_errors.measure_foreign("hippocampus"),
            "foreign": len(landmark_errors.FOREIGN)}


TASKS = {"heads": (write_heads, test_heads), "hippocampus": (write_hippocampi, test_hippocampi)}


def measure(task: str, data: Path, arguments: argparse.Namespace, folder: Path) -> dict:
    """One entry of the results."""
    os.environ["MEDDL_CACHE"] = str(folder / "cache")
    write, test = TASKS[task]
    if not (folder / "train").is_dir():
        write(data, folder)
    steps = arguments.steps or STEPS[task]
    begin = time.process_time()
    trained = meddl.train_landmarks(folder / "train" / "images", folder / "train" / "points", out=folder / "run",
                                    name=task, device="cpu", on_progress=show,
                                    config=meddl.LandmarkTrainConfig(steps=steps, network=arguments.network,
                                                                    spacing_mm=VOXELS_MM[task]))
    minutes = (time.process_time() - begin) / 60
    begin = time.process_time()
    return {"task": task, "network": arguments.network, "steps": steps, "machine": machine(arguments.threads),
            "processor_minutes": minutes, "plan": trained.plan.describe(),
            "weights_mb": trained.card.own_weights.bytes / 1e6, "trained_on": len(trained.training),
            "validated_on": len(trained.validation.cases),
            "validation": [asdict(one) for one in trained.validation.figures],
            "least_confidence": trained.validation.least_confidence, **test(folder),
            "test_processor_seconds": time.process_time() - begin}


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)}; all, if none is named")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--network", default="dynunet")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None, help="folder for data and runs, to go on from")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = start_run(arguments)
    for task in arguments.tasks or TASKS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.keep or Path(temporary)) / task
            folder.mkdir(parents=True, exist_ok=True)
            entry = measure(task, data, arguments, folder)
        merge(entry, arguments.output, ("task", "network"))


if __name__ == "__main__":
    main()
