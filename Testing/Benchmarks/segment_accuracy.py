"""Accuracy of `brain` with one setting of its refinement after another: what each step of it is worth.

    python Testing/Benchmarks/segment_accuracy.py --run LABEL [MODULE.NAME=VALUE ...] [--cases CASE ...]
    python Testing/Benchmarks/segment_accuracy.py

A run measures `meddl.segment` on the CPU with some constants of `meddl.segmentation` set to others, say
`--run "weight 0.3" atlas.atlas_registration.NETWORK_WEIGHT=0.3`, and keeps its figures under its label in
results/segment_accuracy.json. There may be several --run; without one, the table of the kept figures is printed. Cases,
from the data folder (MEDDL_DATA):

    ecog, ecog stripped, vm, fsaverage   T1 with FreeSurfer's labels: mean Dice of 29 structures
    ms07                                 one subject in four contrasts: the same for each of the six pairs
    T1, T2, FLAIR, PD, CT                synthetic heads of maps 13 to 16, all CSF of one mean intensity, as they are
    any                                  synthetic heads as in training: each structure of an intensity of its own

Outputs of the segmenter, which depend on none of these constants, are kept in --cache by the image that went in.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from meddl.core.config import SegmentConfig
from meddl.core.paths import data_folder
from meddl.evaluation.segmentation import BRAIN, CONTRASTS_OF_ONE, LABELED, MEAN_MOST, compare_labels
from meddl.io import load
from meddl.models.store.store import ModelStore
from meddl.segmentation import segment
from meddl.segmentation.brain import segment_head
from meddl.spatial.volume import Volume
from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps
from meddl.synthesis.contrasts import CONTRASTS

RESULTS = Path(__file__).resolve().parent / "results" / "segment_accuracy.json"
CASES = (*LABELED, *CONTRASTS_OF_ONE, *CONTRASTS, "any")
FLUIDS = (4, 5, 14, 15, 24, 43, 44)
VENTRICLES = {"left": (4, 31), "right": (43, 63)}  # with the choroid plexus, for which `brain` has no label
SPACING_MM, SHAPE = 1.5, (128, 152, 144)
HEADS = 3, 1  # of any contrast, of a known one
SEED = 4200


@contextmanager
def constants(settings: list[str]) -> Iterator[None]:
    """Constants of modules below `meddl.segmentation`, given as MODULE.NAME=VALUE, changed for a while."""
    before = []
    for setting in settings:
        place, value = setting.split("=", 1)
        module, name = place.rsplit(".", 1)
        room = importlib.import_module(f"meddl.segmentation.{module}")
        before.append((room, name, getattr(room, name)))
        setattr(room, name, ast.literal_eval(value))
    try:
        yield
    finally:
        for room, name, value in before:
            setattr(room, name, value)


def keep_network_outputs(folder: Path) -> None:
    """From now on outputs of the segmenter are read from `folder` where they are there, else kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    predict, weights = segment_head.predict, ModelStore().card("brain").weights.sha256

    def keeping(network: torch.nn.Module, image: torch.Tensor, *more) -> torch.Tensor:
        key = hashlib.sha256(image.contiguous().numpy().tobytes() + weights.encode()).hexdigest()
        path = folder / f"{key[:24]}.pt"
        if path.is_file():
            return torch.load(path, weights_only=True)
        output = predict(network, image, *more)
        torch.save(output, path)
        return output

    segment_head.predict = keeping


@cache
def synthetic(case: str) -> list[tuple[Volume, np.ndarray, np.ndarray]]:
    """Image, labels and field of view of the synthetic heads of a contrast."""
    maps = load_label_maps(data_folder() / "labelmaps", 13, 16)
    contrasts, config = CONTRASTS, SynthesisConfig(spacing_mm=SPACING_MM, shape=SHAPE)
    if case in CONTRASTS:
        tissues = maps.table.tissues.copy()
        tissues[np.isin(maps.table.labels, FLUIDS)] = tissues[maps.table.labels == 24]
        maps = replace(maps, table=replace(maps.table, tissues=tissues))
        contrasts, config = (case,), replace(config, prior_probability=1.0)
    generator = HeadGenerator(maps, config, SEED + CASES.index(case), contrasts)
    heads = []
    for _ in range(HEADS[case in CONTRASTS]):
        batch = generator.sample(1)
        seen = batch.seen[0].numpy()
        truth = maps.table.targets[batch.rows[0].numpy()].astype(np.uint16) * seen
        heads.append((Volume.scalar(batch.images[0, 0].numpy(), np.diag([SPACING_MM] * 3 + [1.0])), truth, seen))
    return heads


def measure(case: str, names: dict[int, str], config: SegmentConfig) -> dict[str, dict]:
    """Figures of a case, by the name of each comparison in it."""
    if case in LABELED:
        image, truth = (load(data_folder() / f"{name}.nii.gz") for name in LABELED[case])
        found = segment(image, config=config, device="cpu")
        return {case: figures(found.labels, np.rint(truth.scalar_data).astype(np.uint16), names)}
    if case in CONTRASTS_OF_ONE:
        volumes = {name.rsplit("_")[-1]: load(data_folder() / f"{name}.nii.gz") for name in CONTRASTS_OF_ONE[case]}
        all_found = {name: segment(volume, config=config, device="cpu").labels for name, volume in volumes.items()}
        return {f"{case} {a}-{b}": figures(all_found[a], all_found[b], names)
                for a, b in itertools.combinations(all_found, 2)}
    return {f"{case} {number}": figures(segment(image, config=config, device="cpu").labels * seen, truth, names)
            for number, (image, truth, seen) in enumerate(synthetic(case), 1)}


def figures(found: np.ndarray, truth: np.ndarray, names: dict[int, str]) -> dict:
    """Dice by structure, and found over reference volume of the lateral ventricles."""
    overlap = {row.structure: row.dice for row in compare_labels(found.astype(np.uint16), truth, names, "")}
    volumes = {side: round(float(np.isin(found, values).sum() / max(1, np.isin(truth, values).sum())), 3)
               for side, values in VENTRICLES.items()}
    return {"dice": overlap, "ventricle_volumes": volumes}


def means(rows: dict[str, dict]) -> dict[str, float]:
    """Mean Dice of 29 structures by case, and the least of the pairs of a subject."""
    found = {}
    for case in CASES:
        values = [row["dice"][MEAN_MOST] for name, row in rows.items() if name == case or (
            case not in LABELED and name.rsplit(" ", 1)[0] == case)]
        if values:
            found[case] = float(np.nanmean(values))
        if values and case in CONTRASTS_OF_ONE:
            found[f"{case}, worst pair"] = min(values)
    return found


def table(results: dict[str, dict]) -> str:
    """A row a label, a column a case, and the volumes of the lateral ventricles."""
    columns = list(dict.fromkeys(name for run in results.values() for name in means(run["cases"])))
    whole = [case for case in LABELED if any(case in run["cases"] for run in results.values())]
    head = ["", *columns, *(f"lateral ventricles of {case}, found / reference" for case in whole)]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for label, run in results.items():
        rows, found = run["cases"], means(run["cases"])
        ratios = [" ".join(f"{v:.2f}" for v in rows[case]["ventricle_volumes"].values()) if case in rows else ""
                  for case in whole]
        lines.append("| " + " | ".join([label, *(f"{found[c]:.3f}" if c in found else "" for c in columns), *ratios])
                     + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Accuracy of `brain` with other settings of its refinement.")
    parser.add_argument("--run", nargs="+", action="append", default=[], metavar=("LABEL", "MODULE.NAME=VALUE"),
                        help="what to call a run, and the constants to change in it")
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES)
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "meddl-network-outputs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--label-maps", type=int, default=SegmentConfig.atlas_label_maps,
                        help="of label fusion; 0 is several times faster (%(default)s)")
    arguments = parser.parse_args()
    config = SegmentConfig(atlas_label_maps=arguments.label_maps)
    results = json.loads(arguments.results.read_text(encoding="utf-8")) if arguments.results.is_file() else {}
    keep_network_outputs(arguments.cache)
    names = {row.value: row.name for row in ModelStore().card("brain").labels}
    for case, (label, *settings) in itertools.product(arguments.cases, arguments.run):
        started = time.process_time()
        with constants(settings):
            found = measure(case, names, config)
        run = results.setdefault(label, {"cases": {}})
        run["settings"] = settings
        run["cases"] |= found
        for name, row in found.items():
            print(f"{label}: {name}: {row['dice'][MEAN_MOST]:.4f}, brain {row['dice'][BRAIN]:.4f}, lateral ventricles "
                  f"{row['ventricle_volumes']}; {time.process_time() - started:.0f} s", flush=True)
        arguments.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
