"""Membership inference: whether a trained model's losses say which cases it was trained on.

    python Testing/Benchmarks/membership.py [--cases 100 | --cases 20] [--minutes 8] [--threads 1] [--keep FOLDER]
        [-o FILE]

A model of the hippocampus (Medical Segmentation Decathlon, MEDDL_DATA) is trained on cases drawn at random. Who has
the model and a case with its labels takes it for one of the training where the loss is low (Yeom et al. 2018,
doi:10.1109/CSF.2018.00027): measured as the area under the ROC curve (AUC) over the cases that were trained on and as
many that were not seen, with its 95 % interval (bootstrap over cases), and as the fraction of training cases that are
found where one of ten other cases is taken for one. 0.5 and 10 % are what guessing gives. Cases that chose the best
weights belong to neither group. --keep leaves the model in a folder. Results are merged into results/membership.json.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_register import machine
from bench_train import link
from command_line import merge, show, start_run

import meddl
from meddl.measures.overlap import dice
from meddl.measures.roc import roc_curve
from meddl.models.loaded_networks import read_network
from meddl.networks import inference
from meddl.segmentation.imported.sliding_window import score_rows
from meddl.training.supervised.prepared import PreparedCase, prepare_cases
from meddl.training.supervised.train import TrainedModel, check_data

RESULTS = Path(__file__).resolve().parent / "results" / "membership.json"
MEASURES = ("cross-entropy", "1 - Dice")
_RESAMPLES = 2000
_FALSE_ALARMS = 0.1


def measure(data: Path, arguments: argparse.Namespace) -> dict:
    """One entry of the results."""
    names = sorted(path.name for path in (data / "hippocampus" / "images").glob("*.nii.gz"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["MEDDL_CACHE"] = str(folder / "cache")
        drawn = np.random.default_rng(arguments.seed).permutation(names)[:arguments.cases].tolist()
        for group, members in (("train", drawn), ("all", names)):
            (folder / group).mkdir()
            link(data, members, folder / group)
        config = meddl.TrainConfig(minutes=arguments.minutes, seed=arguments.seed)
        model = meddl.train(folder / "train" / "images", folder / "train" / "labels", out=folder / "run",
                            name="hippocampus", config=config, on_progress=show)
        if arguments.keep is not None:
            shutil.copytree(model.folder, arguments.keep)
        losses = case_losses(model, folder)
    members = list(model.training)
    others = sorted(set(losses) - set(model.training) - set(model.held_out))
    others = np.random.default_rng(arguments.seed).permutation(others)[:len(members)].tolist()
    entry = {"cases": len(members), "others": len(others), "minutes": arguments.minutes,
             "steps": model.card.training.steps, "plan": model.plan.describe(), "machine": machine(arguments.threads)}
    for n, name in enumerate(MEASURES):
        inside, outside = (np.array([losses[one][n] for one in group]) for group in (members, others))
        entry[name] = {"mean_members": inside.mean(), "mean_others": outside.mean(), **attack(inside, outside)}
    return entry


def case_losses(model: TrainedModel, folder: Path) -> dict[str, tuple[float, float]]:
    """Cross-entropy (mean over voxels) and one minus the mean Dice of the structures, by case."""
    recipe = model.card.recipe
    inspection = check_data(folder / "all" / "images", folder / "all" / "labels")
    cases = prepare_cases(inspection, model.plan.recipe, folder / "prepared")
    network = inference.ready_for_inference(read_network(model.card, recipe.networks[0]), torch.device("cpu"))
    found = {}
    for number, (name, case) in enumerate(cases.items()):
        show(number / len(cases), f"Losses of {name}")
        image = torch.from_numpy(np.array(case.image))
        scores = torch.cat(list(score_rows(network, image, recipe.windows, len(recipe.output.values))), dim=1)
        found[name] = losses_of(scores, case)
    return found


def losses_of(scores: torch.Tensor, case: PreparedCase) -> tuple[float, float]:
    """The two losses of one case."""
    classes = torch.from_numpy(np.array(case.classes)).long()
    entropy = F.cross_entropy(scores[None], classes[None], ignore_index=-1)
    labels = scores.argmax(dim=0)
    overlaps = dice(labels.numpy(), np.where(case.classes < 0, 0, case.classes), range(1, len(scores)))
    return float(entropy), 1 - float(np.mean(overlaps))


def attack(members: np.ndarray, others: np.ndarray) -> dict:
    """How well a threshold of the loss finds the members."""
    def area(inside, outside):
        truth = np.repeat([True, False], (len(inside), len(outside)))
        return roc_curve(-np.concatenate((inside, outside)), truth).auc

    rng = np.random.default_rng(0)
    areas = [area(rng.choice(members, len(members)), rng.choice(others, len(others))) for _ in range(_RESAMPLES)]
    threshold = np.quantile(others, _FALSE_ALARMS)
    return {"auc": area(members, others), "interval": np.percentile(areas, (2.5, 97.5)).tolist(),
            "found_at_10_percent": float((members < threshold).mean())}


def table(results: list[dict]) -> str:
    """Rows of Markdown."""
    rows = ["| Trained on | Steps | Loss | Members | Others | AUC (95 % interval) | Found at 10 % false alarms |",
            "|---:|---:|---|---:|---:|---|---:|"]
    for entry in results:
        for name in MEASURES:
            one = entry[name]
            low, high = one["interval"]
            rows.append(f"| {entry['cases']} cases | {entry['steps']} | {name} | {one['mean_members']:.4f} | "
                        f"{one['mean_others']:.4f} | {one['auc']:.2f} ({low:.2f} to {high:.2f}) | "
                        f"{100 * one['found_at_10_percent']:.0f} % |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a new folder for the model")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = start_run(arguments)
    results = merge(measure(data, arguments), arguments.output, ("cases",))
    print(f"\n{table(results)}")


if __name__ == "__main__":
    main()
