"""A model of MedDL, exported, in nnU-Net and MONAI: how many voxels get the label that MedDL gives.

    python Testing/Benchmarks/bench_export.py [--model ID | --cases 10 --steps 60] [--test 5] [--threads 1] [-o FILE]

Without --model one is trained on the hippocampus of the Medical Segmentation Decathlon (MEDDL_DATA) with --network
nnunet. The last cases by name are segmented by MedDL in float32 and in its fastest precision, by nnU-Net's own command
in its environment (models_peers.py), and by the bundle's own configuration in MONAI. Results go to results/export.json:
the fraction of voxels with the same label over all cases, of those that any of both labels, and the mean Dice of each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_register import machine
from bench_train import cases_of, link
from command_line import add_shared, show, start_run, write
from models_peers import interpreter

import meddl
from meddl.core.config import SegmentConfig
from meddl.io import load, load_segmentation
from meddl.measures.overlap import dice
from meddl.models.store.store import ModelStore

RESULTS = Path(__file__).resolve().parent / "results" / "export.json"
NAMES = {"float32": "MedDL, float32", "fastest": "MedDL, fastest precision", "nnunet": "nnU-Net", "monai": "MONAI"}
_RUN = """
import sys
from monai.bundle import ConfigParser
from monai.data import decollate_batch
import torch
folder, images, threads = sys.argv[1:]
sys.path.insert(0, folder)
torch.set_num_threads(int(threads))
parser = ConfigParser()
parser.read_config(folder + "/configs/inference.json")
parser["bundle_root"], parser["dataset_dir"] = folder, images
network = parser.get_parsed_content("network").eval()
network.load_state_dict(torch.load(folder + "/models/model.pt", weights_only=True))
with torch.no_grad():
    for batch in parser.get_parsed_content("dataloader"):
        batch["pred"] = parser.get_parsed_content("inferer")(batch["image"], network)
        parser.get_parsed_content("postprocessing")(decollate_batch(batch)[0])
"""


def train(data: Path, arguments: argparse.Namespace, folder: Path) -> str:
    """Train a model that nnU-Net takes; its identifier."""
    names, _ = cases_of(data, arguments.cases, arguments.test)
    link(data, names, folder)
    config = meddl.TrainConfig(steps=arguments.steps, network="nnunet")
    return meddl.train(folder / "images", folder / "labels", out=folder / "run", name="bench", config=config,
                       device="cpu", on_progress=show).card.id


def by_nnunet(model: str, images: Path, folder: Path, threads: int) -> Path | None:
    """Label maps NAME.nii.gz by nnU-Net's own command; None where it is not installed."""
    python = interpreter("nnunet")
    if python is None:
        return None
    exported = meddl.export_model(model, folder / "nnunet", "nnunet").path
    places = {name: str(folder) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    command = [python.with_name("nnUNetv2_predict_from_modelfolder"), "-i", images, "-o", folder / "of_nnunet", "-m",
               exported, "-f", "0", "-device", "cpu", "-npp", "1", "-nps", "1"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL,
                   env=os.environ | places | {"OMP_NUM_THREADS": str(threads)})
    return folder / "of_nnunet"


def by_monai(model: str, images: Path, folder: Path, threads: int) -> Path:
    """Label maps NAME_0000_seg.nii.gz by the bundle's own configuration."""
    exported = meddl.export_model(model, folder / "bundle", "monai").path
    subprocess.run([sys.executable, "-c", _RUN, str(exported), str(images), str(threads)], check=True,
                   stdout=subprocess.DEVNULL)
    return exported / "eval"


def agreement(ours: list[np.ndarray], theirs: list[np.ndarray]) -> dict:
    """Fractions of voxels with the same label."""
    same = [(a == b) for a, b in zip(ours, theirs, strict=True)]
    labeled = [(a > 0) | (b > 0) for a, b in zip(ours, theirs, strict=True)]
    every, counted = np.concatenate([one.ravel() for one in same]), np.concatenate([one.ravel() for one in labeled])
    return {"same": float(every.mean()), "same_of_labeled": float(every[counted].mean()),
            "different_voxels": int((~every).sum()), "voxels": int(every.size)}


def measure(data: Path, arguments: argparse.Namespace, folder: Path) -> dict:
    """The results."""
    if arguments.model is None:
        os.environ["MEDDL_CACHE"] = str(folder / "cache")
    model = arguments.model or train(data, arguments, folder)
    _, test = cases_of(data, arguments.cases, arguments.test)
    images = folder / "test"
    images.mkdir()
    for name in test:
        (images / name.replace(".nii.gz", "_0000.nii.gz")).symlink_to(data / "hippocampus" / "images" / name)
    values = [label.value for label in ModelStore().card(model).labels]
    truths = [load_segmentation(data / "hippocampus" / "labels" / name).labels for name in test]
    stems = [name.removesuffix(".nii.gz") for name in test]
    labels = {}
    for kind, exact in (("float32", True), ("fastest", False)):
        labels[kind] = [meddl.segment(load(data / "hippocampus" / "images" / name), model,
                                      SegmentConfig(float32=exact), device="cpu").labels for name in test]
    if (written := by_nnunet(model, images, folder, arguments.threads)) is not None:
        labels["nnunet"] = [load_segmentation(written / f"{stem}.nii.gz").labels for stem in stems]
    written = by_monai(model, images, folder, arguments.threads)
    labels["monai"] = [load_segmentation(written / f"{stem}_0000_seg.nii.gz").labels for stem in stems]
    found = {kind: agreement(labels["float32"], own) | {"mean_dice": float(np.mean([
        dice(one, truth, values) for one, truth in zip(own, truths, strict=True)]))} for kind, own in labels.items()}
    return {"machine": machine(arguments.threads), "cases": len(test), "steps": arguments.steps, "tools": found}


def table(tools: dict) -> str:
    """Rows of Markdown."""
    rows = ["| Tool | Voxels with the same label | of labeled voxels | Mean Dice |", "|---|---:|---:|---:|"]
    rows += [f"| {NAMES[tool]} | {100 * one['same']:.4f} % | {100 * one['same_of_labeled']:.3f} % "
             f"| {one['mean_dice']:.3f} |" for tool, one in tools.items()]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--test", type=int, default=5)
    add_shared(parser, RESULTS)
    arguments = parser.parse_args()
    data = start_run(arguments)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(data, arguments, Path(folder))
    write(results, arguments.output)
    print(f"\n{table(results['tools'])}")


if __name__ == "__main__":
    main()
