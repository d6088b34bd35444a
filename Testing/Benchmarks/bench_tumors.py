"""Brain tumors from several modalities: Dice and 95 % Hausdorff distance of BraTS's three regions.

    python Testing/Benchmarks/bench_tumors.py [heads | limbs] [--train 36] [--test 16] [--steps N | --minutes N]
        [--threads 2] [--channels T1 T1ce T2 FLAIR] [--patients sts01 ...] [--keep FOLDER] [-o FILE]

heads   Rendered patients (`tumors/patients.py`): those that the model learns from have the anatomies of the label maps
        1 to 12, those that it is measured on of 13 to 16.
limbs   The four real patients with a sarcoma in MR, CT and PET (`tumors/limbs.py`): each is measured on by a model that
        learned from the other three.

Patients lie as a raw data set of nnU-Net in --keep, are trained on by `meddl.train` and segmented by `meddl.segment`; a
region that is in neither the result nor the truth has no figure. --patients takes some of the limbs' patients alone.
Results are merged into results/tumors.json by channels, steps and patients that were measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_register import machine
from command_line import merge, show, start_run
from tumors import limbs, patients

import meddl
from meddl.measures.overlap import compare

RESULTS = Path(__file__).resolve().parent / "results" / "tumors.json"
KEYS = ("data", "channels", "steps", "measured")  # of results of one kind
FIGURES = ("dice", "hd95_mm")
MODEL = "bench tumors"


def measure(data: Path, folder: Path, arguments: argparse.Namespace) -> dict:
    """One entry of the results: train, then measure on the patients that were held out."""
    if arguments.data == "heads":
        patients.write_dataset(data, folder, arguments.train, arguments.test, arguments.channels)
        found = [train_and_score(folder, arguments, patients.REGIONS)]
        count = [arguments.train, arguments.test]
    else:
        found, count = [], [len(limbs.PATIENTS) - 1, len(arguments.patients)]
        for patient in arguments.patients:
            limbs.write_dataset(data, folder / patient, patient, arguments.channels)
            found.append(train_and_score(folder / patient, arguments, limbs.REGIONS))
    return {"data": arguments.data, "channels": list(arguments.channels), "patients": count,
            "measured": sorted({row["case"] for one in found for row in one["rows"]}),
            "machine": machine(arguments.threads), "plan": found[0]["plan"], "steps": found[0]["steps"],
            "processor_minutes": round(sum(one["minutes"] for one in found), 1),
            "rows": [row for one in found for row in one["rows"]]}


def train_and_score(folder: Path, arguments: argparse.Namespace, regions: dict[str, tuple[int, ...]]) -> dict:
    """Plan, steps, minutes of a processor, and the figures of each patient of a data set that was held out."""
    os.environ["MEDDL_CACHE"] = str(folder / "cache")
    config = meddl.TrainConfig(minutes=arguments.minutes, steps=arguments.steps)
    begin = time.process_time()
    trained = meddl.train(folder, out=folder / "run", name=MODEL, config=config, device="cpu", on_progress=show)
    minutes = (time.process_time() - begin) / 60
    cases = sorted(file.name.removesuffix(".nii.gz") for file in (folder / "labelsTs").glob("*.nii.gz"))
    return {"plan": trained.plan.describe(), "steps": trained.card.training.steps, "minutes": minutes,
            "rows": [row for case in cases for row in score(folder, case, trained.card.id, regions)]}


def score(folder: Path, case: str, model: str, regions: dict[str, tuple[int, ...]]) -> list[dict]:
    """Figures of each region of a patient."""
    volumes = [meddl.load(file) for file in sorted((folder / "imagesTs").glob(f"{case}_*.nii.gz"))]
    stacked = meddl.Volume(np.concatenate([volume.data for volume in volumes]), volumes[0].affine)
    found = meddl.segment(stacked, model=model, device="cpu").labels
    true = meddl.load_segmentation(folder / "labelsTs" / f"{case}.nii.gz").labels
    rows = []
    for name, values in regions.items():
        one, other = (np.isin(labels, values).astype(np.uint8) for labels in (found, true))
        if one.any() or other.any():
            figures = compare(one, other, stacked.spacing_mm.tolist(), (1,))[1]
            rows.append({"case": case, "region": name, **{key: getattr(figures, key) for key in FIGURES}})
    return rows


def summary(rows: list[dict], region: str) -> dict[str, float]:
    """Mean Dice, median 95 % Hausdorff distance of the patients in whom both are there, and how many have the region
    in the result or the truth alone."""
    of_region = [row for row in rows if row["region"] == region]
    dice, distances = (np.array([row[key] for row in of_region], dtype=float) for key in FIGURES)
    both = distances[np.isfinite(distances)]
    return {"dice": float(np.nanmean(dice)), "hd95_mm": float(np.median(both)) if both.size else float("nan"),
            "one alone": int(np.count_nonzero(dice == 0)), "cases": len(of_region)}


def table(results: list[dict]) -> str:
    """Rows of Markdown, one for each region."""
    lines = ["| Data, channels | Steps, minutes of a processor | Region | Patients | Dice | HD95, mm |",
             "|---|---:|---|---:|---:|---:|"]
    for one in results:
        for region in dict.fromkeys(row["region"] for row in one["rows"]):
            found = summary(one["rows"], region)
            lines.append(f"| {one['data']}: {', '.join(one['channels'])} | {one['steps']}, "
                         f"{one['processor_minutes']:.0f} | {region} | {found['cases']} | {found['dice']:.3f} "
                         f"| {found['hd95_mm']:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", choices=("heads", "limbs"), default="heads")
    parser.add_argument("--train", type=int, default=36, help="patients to learn from")
    parser.add_argument("--test", type=int, default=16, help="patients to measure on")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels", nargs="+", help="some of T1, T1ce, T2, FLAIR, or of MR, CT, PET; all of them")
    parser.add_argument("--patients", nargs="+", choices=limbs.PATIENTS, default=limbs.PATIENTS,
                        help="of the limbs, those to measure on")
    parser.add_argument("--keep", type=Path, help="folder for patients and model, which stay")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    known = (patients if arguments.data == "heads" else limbs).CHANNELS
    arguments.channels = tuple(arguments.channels or known)
    if not set(arguments.channels) <= set(known):
        parser.error(f"channels of {arguments.data} are {', '.join(known)}")
    data = start_run(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print("\n" + table(merge(measure(data, folder, arguments), arguments.output, KEYS)))


if __name__ == "__main__":
    main()
