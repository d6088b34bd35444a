"""What MedDL holds in memory while a network of many classes labels a large CT.

    python Testing/Benchmarks/segment_memory.py [--classes 118] [--size 300 300 350] [--threads 2] [--float32]

The network is nnU-Net's default as large as TotalSegmentator's (windows of 128 voxels, 32 to 320 features), built by
nnU-Net's own classes with random weights (models_peers.py says how to install them). The CT abdomen_ct of the data
folder is resampled to `--size` voxels, each of the size that the network wants. Peak memory is the whole process's,
interpreter, libraries and volume included.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

import models_peers

from meddl.core.paths import data_folder
from meddl.io import load, save
from meddl.spatial.grid import grid_around
from meddl.spatial.resample import resample

_SPACING_MM = 1.5
_FEATURES = [32, 64, 128, 256, 320, 320]


def measure(classes: int, size: tuple[int, int, int], threads: int, method: str) -> dict:
    """Peak MB, seconds by stage and CPU seconds of a run.

    Raises:
        RuntimeError: nnU-Net is not installed, there is no data folder, or the run failed.
    """
    data = data_folder()
    if data is None or models_peers.interpreter("nnunet") is None:
        raise RuntimeError("The data folder (MEDDL_DATA) and nnU-Net (models_peers.py --make nnunet) are needed.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = {"background": 0, **{f"structure_{n}": n for n in range(1, classes)}}
        models_peers.build("nnunet", {
            "labels": labels, "spacing": [_SPACING_MM] * 3, "patch": [128] * 3, "features": _FEATURES,
            "scheme": "CTNormalization"}, folder / "model", threads)
        image = load(data / "body" / "abdomen_ct.nii.gz")
        grid = grid_around(image.grid.center_mm, size, image.grid.directions * _SPACING_MM)
        save(resample(image, grid), folder / "ct.nii.gz")
        del image
        (folder / "case.json").write_text(json.dumps([[str(folder / "ct.nii.gz")]]), encoding="utf-8")
        return models_peers.predict("nnunet", method, folder / "model", folder / "case.json", folder / "out", threads)


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure the memory of a segmentation with many classes.")
    parser.add_argument("--classes", type=int, default=118)
    parser.add_argument("--size", type=int, nargs=3, default=(300, 300, 350), metavar="VOXELS")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true", help="nnU-Net's own precision instead of the default")
    arguments = parser.parse_args()
    found = measure(arguments.classes, tuple(arguments.size), arguments.threads,
                    "meddl-float32" if arguments.float32 else "meddl")
    print(json.dumps(found | {"peak_gb": round(found["peak_mb"] / 1024, 2)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
