"""MedDL on a model of another tool, a process each: `import FOLDER CACHE` once, then `MODE CACHE CASE OUTPUT`."""

import os
import sys
from pathlib import Path

import model_run
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "MedDLLib"))

import meddl
import meddl.core.device
from meddl.core.config import SegmentConfig
from meddl.core.device import PRECISION
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume


def import_model(folder, cache):
    """Import a model once, in a process of its own."""
    os.environ["MEDDL_CACHE"] = cache
    ModelStore().import_model(folder, identifier="bench")


def predict(mode, cache, case, output):
    """Run an imported model on files; `mode` is fast, float32, or bf16: fast as where the CPU has bfloat16."""
    if mode == "bf16":
        os.environ[PRECISION] = "bfloat16"
    torch.set_num_threads(model_run.threads())
    os.environ["MEDDL_CACHE"] = cache
    run = model_run.Run(output)
    call, config = meddl.segment, SegmentConfig(float32=mode == "float32")
    if any(spec.architecture.startswith("monai.") for spec in ModelStore().card("bench").networks.values()):
        import monai.networks.nets  # noqa: F401  imports are not timed, here as in MONAI's script
    for number, files in enumerate(model_run.subjects(case)):
        with run.stage("read"):
            volume, *others = [meddl.load(file) for file in files]
            if others:
                volume = Volume(np.concatenate([v.data for v in (volume, *others)]), volume.affine)
            del others
        with run.stage("segment"):
            found = call(volume, "bench", config, device="cpu")
        for stage, seconds in found.report["seconds"].items():
            if stage != "total":
                run.add(f"- {stage}", seconds)
        run.write(number, found.labels)
    run.end(["meddl", "torch"], warnings=found.report["warnings"])


if __name__ == "__main__":
    chosen, places = model_run.arguments()
    if chosen == "import":
        import_model(*places)
    else:
        predict(chosen, *places)
