"""Models of other tools run by these tools and by MedDL: same folder, same volumes, same threads, in one run.

    python Testing/Benchmarks/bench_models.py [--cases nnunet/ct-25 ...] [--methods meddl meddl-float32] [--threads 2]
        [--again] [-o FILE]

The cases are in models_cases.py, the tools in models_peers.py; a tool that is not installed is listed as such. The tool
builds each model with its own classes, with random weights unless the case trains it, and runs it on real volumes;
MedDL imports the folder and runs it in its default (`meddl`) and in float32 throughout (`meddl-float32`). Without the
data folder (MEDDL_DATA) nothing is measured. Results are merged into results/models.json by case.

Each run is a process of its own. Measured:
    seconds       load, read, prepare, network, labels and write of all subjects; not the start of the interpreter,
                  not imports, not MedDL's one-time import of the folder
    cpu_seconds   the same in processor time: on a busy machine with one thread the fairer figure
    peak_mb       the most memory that the process has held
    equal         share of voxels with the label that the tool itself gave
    dice          smallest and mean Dice of the classes that the tool itself found in at least 1000 voxels
Cases with `spread` also run the tool with its sums of windows in float32 instead of half precision: what that changes
is the tool's own spread, and MedDL's default, which sums features and not scores, need not be closer than that. The
method `meddl-bf16` computes as MedDL does where the processor has bfloat16 (slowly where it has not), beside the tool
in bfloat16.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

import models_peers
from bench_register import machine
from models_cases import CASES, Case, Volumes

from meddl.core.paths import data_folder
from meddl.io import load, save
from meddl.spatial.grid import grid_around
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

RESULTS = Path(__file__).resolve().parent / "results" / "models.json"
EQUAL, DICE, MEMORY = 0.9999, 0.999, 0.5
_FASTER = 1.5  # where a machine has no bf16
_FEW_VOXELS = 1000  # of which one is the thousandth that is asked for
_TRAINING_PAIRS = 40


def files_of(subject: Volumes, folder: Path, data: Path) -> list[str]:
    """The subject's channels as files that every tool reads; cropped and resampled ones are written to `folder`."""
    places = []
    for file in subject.files:
        path = data / file
        if subject.crop is not None or subject.spacing_mm is not None:
            volume = _cropped(load(path), subject)
            path = folder / f"{len(list(folder.glob('*.nii.gz')))}.nii.gz"
            save(volume, path)
        places.append(str(path))
    return places


def _cropped(volume: Volume, subject: Volumes) -> Volume:
    if subject.crop is not None:
        box = tuple(slice(*ends) for ends in subject.crop)
        affine = np.array(volume.affine)
        affine[:3, 3] = volume.affine[:3, :3] @ [ends[0] for ends in subject.crop] + volume.affine[:3, 3]
        volume = Volume(np.ascontiguousarray(volume.data[(slice(None), *box)]), affine)
    if subject.spacing_mm is not None:
        grid = volume.grid
        shape = np.maximum(1, np.rint(grid.extent_mm / subject.spacing_mm)).astype(int)
        target = grid_around(grid.center_mm, shape, grid.directions * subject.spacing_mm)
        volume = resample(volume, target)
    return volume


def measure(case: Case, methods: list[str], threads: int, data: Path) -> dict:
    """What the tool and MedDL gave and took on one case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = dict(case.model)
        if case.trained:
            spec |= {"train_seconds": case.trained, "train_pairs": _training_pairs(case, data)}
        models_peers.build(case.kind, spec, folder / "model", threads)
        (folder / "volumes").mkdir()
        subjects = [files_of(subject, folder / "volumes", data) for subject in case.subjects]
        listed = folder / "case.json"
        listed.write_text(json.dumps(subjects), encoding="utf-8")
        entry = {"case": case.name, "machine": machine(threads), "load_average": os.getloadavg()[0],
                 "voxels": [list(load(files[0]).shape) for files in subjects], "runs": {}}
        methods = [case.kind + spread for spread in _spreads(case, methods)] + methods
        for method in (case.kind, *methods):
            entry["runs"][method] = models_peers.predict(
                case.kind, method, folder / "model", listed, folder / method, threads)
        own = [np.load(folder / case.kind / f"{n}.npy") for n in range(len(subjects))]
        for method in methods:
            found = [np.load(folder / method / f"{n}.npy") for n in range(len(subjects))]
            entry["runs"][method] |= agreement(found, own)
    return entry


def _spreads(case: Case, methods: list[str]) -> list[str]:
    """What of the tool's own precisions is to be told apart."""
    if not case.spread:
        return []
    return [models_peers.WIDE_SUMS] + [models_peers.IN_BF16] * ("meddl-bf16" in methods)


def _training_pairs(case: Case, data: Path) -> list[list[str]]:
    """Images and labels of the hippocampus data that the case does not predict."""
    predicted = {Path(file).name for subject in case.subjects for file in subject.files}
    names = [path.name for path in sorted((data / "hippocampus" / "labels").glob("*.nii.gz"))
             if path.name not in predicted]
    return [[str(data / "hippocampus" / part / name) for part in ("images", "labels")]
            for name in names[:_TRAINING_PAIRS]]


def agreement(found: list[np.ndarray], own: list[np.ndarray]) -> dict:
    """How far labels agree with the tool's own over all subjects."""
    ours, theirs = (np.concatenate([labels.reshape(-1).astype(np.int64) for labels in many]) for many in (found, own))
    size = int(max(ours.max(), theirs.max())) + 1
    in_theirs, in_ours = np.bincount(theirs, minlength=size), np.bincount(ours, minlength=size)
    in_both = np.bincount(ours[ours == theirs], minlength=size)
    dice = {str(value): round(float(2 * in_both[value] / (in_theirs[value] + in_ours[value])), 6)
            for value in np.flatnonzero(in_theirs >= _FEW_VOXELS)}
    return {"equal": float((ours == theirs).mean()), "classes": len(dice), "dice": dice,
            "smallest_dice": min(dice.values()), "mean_dice": float(np.mean(list(dice.values())))}


def goals(entries: list[dict]) -> dict[str, bool]:
    """Each goal that the results can tell, and whether it is met."""
    found = {}
    for entry in entries:
        case, runs = entry["case"], entry["runs"]
        own = runs[case.partition("/")[0]]
        for method, run in runs.items():
            if method not in models_peers.METHODS:
                continue
            if method == "meddl-float32":
                found[f"{case}: {method}: at least 99.99 % of the voxels equal"] = run["equal"] >= EQUAL
            else:
                spread = models_peers.IN_BF16 if method == "meddl-bf16" else models_peers.WIDE_SUMS
                needed = min(DICE, runs.get(case.partition("/")[0] + spread, {}).get("smallest_dice", 1.0))
                found[f"{case}: {method}: Dice of every class at least {needed:.4g}"] = run["smallest_dice"] >= needed
            if method == "meddl-bf16":  # emulated where the CPU lacks it: its time tells nothing
                continue
            found[f"{case}: {method}: at least {_FASTER} times faster"] = own["seconds"] >= _FASTER * run["seconds"]
            found[f"{case}: {method}: at most half the memory"] = run["peak_mb"] <= MEMORY * own["peak_mb"]
    return found


def table(entries: list[dict]) -> str:
    """The runs as a Markdown table."""
    lines = ["| model | run by | equal voxels | smallest Dice | s | CPU s | prepare s | network and labels s | peak MB "
             "| times faster |", "|" + "---|" * 10]
    for entry in entries:
        own = entry["runs"][entry["case"].partition("/")[0]]
        for method, run in entry["runs"].items():
            stages = run["stages"]
            prepare = stages.get("prepare", stages.get("- prepare", 0.0))
            rest = stages["network"] + stages["labels"] if "network" in stages else stages.get("- segment", 0.0)
            same = [f"{100 * run['equal']:.4f} %", f"{run['smallest_dice']:.4f}"] if "equal" in run else ["", ""]
            ratio = f"{own['seconds'] / run['seconds']:.1f}" if run is not own else ""
            cells = [entry["case"], method, *same, f"{run['seconds']:.1f}", f"{run['cpu_seconds']:.1f}",
                     f"{prepare:.1f}", f"{rest:.1f}", f"{run['peak_mb']:.0f}", ratio]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table, merge the JSON; returns the exit status."""
    parser = argparse.ArgumentParser(description="Run models of other tools by these tools and by MedDL.")
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", default=names, metavar="CASE", help=f"of {', '.join(names)}")
    parser.add_argument("--methods", nargs="+", choices=models_peers.METHODS,
                        default=list(models_peers.DEFAULT_METHODS))
    parser.add_argument("--threads", type=int, default=2, help="of every tool (%(default)s)")
    parser.add_argument("--again", action="store_true", help="also what the results already hold of this machine")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="JSON file to merge into")
    arguments = parser.parse_args()
    data = data_folder()
    if data is None:
        print("No real volumes: set MEDDL_DATA to the folder that holds them. Nothing was measured.")
        return 0
    entries = {entry["case"]: entry for entry in json.loads(arguments.output.read_text(encoding="utf-8"))["entries"]
               } if arguments.output.is_file() else {}
    missing = set()
    for case in CASES:
        if case.name not in arguments.cases:
            continue
        if models_peers.interpreter(case.kind) is None:
            missing.add(case.kind)
            continue
        held = entries.get(case.name)
        if held and not arguments.again and held["machine"] == machine(arguments.threads):
            continue
        print(f"{case.name} ...", file=sys.stderr, flush=True)
        entries[case.name] = measure(case, arguments.methods, arguments.threads, data)
        _write(arguments.output, entries)
    chosen = [entries[name] for name in names if name in entries and name in arguments.cases]
    print(table(chosen))
    for kind in sorted(missing):
        print(f"{kind}: not installed (python Testing/Benchmarks/models_peers.py --make {kind})")
    for goal, met in goals(chosen).items():
        print(f"{'met    ' if met else 'NOT met'} {goal}")
    return 0


def _write(path: Path, entries: dict[str, dict]) -> None:
    ordered = [entries[case.name] for case in CASES if case.name in entries]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({"entries": ordered, "goals": goals(ordered)}, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
