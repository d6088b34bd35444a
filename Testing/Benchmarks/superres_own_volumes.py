"""SRResNet fine-tuned on three of the user's own volumes against the shipped network, on a fourth one.

    python Testing/Benchmarks/superres_own_volumes.py [--minutes 4] [--threads 1] [--sets t1,ms] [-o FILE]

The fourth volume is made coarse along every axis by the simulator of bench_superres.py, which shares nothing with the
acquisition model of the training, and is sharpened by the method srresnet with both models. Sets: `t1`, T1 volumes of
three people, then one of a fourth from another scanner; `ms`, T1, T1 with contrast agent and T2 of one patient, then
the FLAIR volume. PSNR in dB within the truth's range; merged into results/superres_own_volumes.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

import superres_cases
from bench_register import machine

import meddl
from meddl.core.paths import data_folder

RESULTS = Path(__file__).resolve().parent / "results" / "superres_own_volumes.json"
_VOXELS = 128  # of the truth along an axis, its middle
SETS = {"t1": ("brain/ecog_t1", "brain/vm_t1_stripped", "brain/fsaverage_t1_stripped", "brain/chris_t1"),
        "ms": ("ms/ms07_t1", "ms/ms07_t1post", "ms/ms07_t2", "ms/ms07_flair")}


def measure(data: Path, name: str, minutes: float, threads: int) -> dict:
    """One entry of the results."""
    import torch

    torch.set_num_threads(threads)
    *own, last = SETS[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["MEDDL_CACHE"] = str(folder / "cache")
        (folder / "volumes").mkdir()
        for one in own:
            shutil.copy(data / f"{one}.nii.gz", folder / "volumes")
        begin = time.perf_counter()
        meddl.train_superres(folder / "volumes", out=folder / "run", name="own", device="cpu",
                             config=meddl.SuperResTrainConfig(network="srresnet", minutes=minutes))
        seconds = time.perf_counter() - begin
        superres_cases.TRUTHS[last] = (f"{last}.nii.gz", 2)
        case = superres_cases.isotropic(last, _VOXELS)
        gains = {}
        for model in (None, "own"):
            config = meddl.SuperResolveConfig(method="srresnet", model=model,
                                              target_spacing_mm=float(case.truth.spacing_mm.min()))
            found = meddl.super_resolve(case.given, config, reference=case.truth, device="cpu")
            gains[model or "shipped"] = found.report["psnr_db"]
        config = meddl.SuperResolveConfig(method="cubic", target_spacing_mm=float(case.truth.spacing_mm.min()))
        gains["cubic"] = meddl.super_resolve(case.given, config, reference=case.truth, device="cpu").report["psnr_db"]
    return {"set": name, "minutes": minutes, "seconds": round(seconds, 1), "psnr_db": gains,
            "machine": machine(threads)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sets", default="t1,ms")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = data_folder()
    if data is None:
        raise SystemExit("Set MEDDL_DATA to the folder that holds the volumes.")
    for name in arguments.sets.split(","):
        entry = measure(data, name, arguments.minutes, arguments.threads)
        earlier = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.is_file() else []
        results = [one for one in earlier if (one["set"], one["minutes"]) != (name, arguments.minutes)] + [entry]
        arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(entry, flush=True)


if __name__ == "__main__":
    main()
