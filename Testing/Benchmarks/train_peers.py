"""nnU-Net v2 beside bench_train.py: the same cases, at the same processor time.

    python Testing/Benchmarks/models_peers.py --make nnunet
    python Testing/Benchmarks/train_peers.py [--cases 20] [--minutes 20] [--test 60] [--threads 1] [-o FILE]

Planned, preprocessed and trained by its own classes (peers/nnunet_training_peer.py) in an environment of its own, see
peer_environments.py. Minutes are those of the processor, with plan and preprocessing. Fold 0 of its own split: a fifth
of the cases is not trained on, as in ours. Results stand in results/train.json beside ours.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import bench_train
import numpy as np
from bench_register import machine
from command_line import merge
from models_peers import interpreter
from peer_environments import call

from meddl.core.paths import data_folder
from meddl.io import load_segmentation
from meddl.measures.overlap import dice

_SCRIPT = Path(__file__).resolve().parent / "peers" / "nnunet_training_peer.py"
_DATASET = "Dataset900_Hippocampus"
_LONGEST_SECONDS = 12 * 3600


def write_raw(data: Path, names: list[str], folder: Path) -> None:
    """The cases in nnU-Net's raw layout."""
    for kind, place, suffix in (("images", "imagesTr", "_0000"), ("labels", "labelsTr", "")):
        (folder / place).mkdir(parents=True)
        for name in names:
            case = name.removesuffix(".nii.gz")
            (folder / place / f"{case}{suffix}.nii.gz").symlink_to(data / "hippocampus" / kind / name)
    (folder / "dataset.json").write_text(json.dumps({
        "channel_names": {"0": "MRI"}, "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": len(names), "file_ending": ".nii.gz"}), encoding="utf-8")


def measure(data: Path, arguments: argparse.Namespace) -> dict:
    """One entry of the results."""
    train, test = bench_train.cases_of(data, arguments.cases, arguments.test)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        raw, results, images, predicted = (folder / name for name in ("raw", "results", "test", "predicted"))
        write_raw(data, train, raw / _DATASET)
        for one in (results, images, predicted):
            one.mkdir()
        for name in test:
            (images / name.replace(".nii.gz", "_0000.nii.gz")).symlink_to(data / "hippocampus" / "images" / name)
        call([str(interpreter("nnunet")), str(_SCRIPT), *map(str, (raw, results, images, predicted)),
              str(arguments.minutes)], arguments.threads, _LONGEST_SECONDS, {"nnUNet_def_n_proc": "1"})
        figures = json.loads((predicted / "run.json").read_text(encoding="utf-8"))
        scores = np.array([dice(load_segmentation(predicted / name).labels,
                                load_segmentation(data / "hippocampus" / "labels" / name).labels, bench_train.VALUES)
                           for name in test])
    patch = " x ".join(map(str, figures["patch"]))
    return {"cases": arguments.cases, "minutes": arguments.minutes, "network": f"nnU-Net {figures['version']}",
            "machine": machine(arguments.threads), "device": "cpu",
            "plan": f"its own, patch {patch}, batch {figures['batch']}", "steps": figures["steps"],
            "seconds": figures["seconds"], "processor_seconds": figures["processor_seconds"],
            "losses": figures["losses"], "peak_mb": figures["peak_mb"], "test_cases": len(test),
            "dice": {str(value): float(mean) for value, mean in
                     zip(bench_train.VALUES, scores.mean(axis=0), strict=True)}, "mean_dice": float(scores.mean())}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--test", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=bench_train.RESULTS)
    arguments = parser.parse_args()
    data = data_folder()
    if data is None or interpreter("nnunet") is None:
        raise SystemExit("Set MEDDL_DATA, and make nnU-Net's environment: models_peers.py --make nnunet.")
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
    print(bench_train.table(merge(measure(data, arguments), arguments.output, bench_train.KEYS)))


if __name__ == "__main__":
    main()
