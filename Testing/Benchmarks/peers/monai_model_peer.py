"""MONAI: bundles in the layout of its model zoo, written with random weights and run from their own configuration."""

import json
import sys
from pathlib import Path

import model_run
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bundle_cases import CASES, LARGE_CASES, Reference, write_bundle

_PACKAGES = ["monai", "torch"]


def build(spec_file, folder):
    """The bundle that the specification names; its tables of networks and transforms are in bundle_cases.py."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    write_bundle(Path(folder), (CASES | LARGE_CASES)[spec["bundle"]])


def predict(folder, case, output):
    """Run a bundle on files, which it reads itself."""
    torch.set_num_threads(model_run.threads())
    run = model_run.Run(output)
    Path(output).mkdir(parents=True, exist_ok=True)
    reference = Reference(Path(folder), stage=run.stage)
    for number, files in enumerate(model_run.subjects(case)):
        run.write(number, reference.labels(files if len(files) > 1 else files[0]))
    run.end(_PACKAGES)


if __name__ == "__main__":
    command, places = model_run.arguments()
    {"build": build, "predict": predict}[command](*places)
