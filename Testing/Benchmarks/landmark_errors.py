"""Errors of `meddl.find_landmarks` in mm, on synthetic heads of held-out label maps in any contrast and on real heads.

    python Testing/Benchmarks/landmark_errors.py                     # the tables of docs/benchmarks.md
    python Testing/Benchmarks/landmark_errors.py --cases "T1 13" ecog
    python Testing/Benchmarks/landmark_errors.py --commissures       # where AC and PC lie in the average head
    python Testing/Benchmarks/landmark_errors.py --foreign           # what is said of volumes that show no head

`bench_landmarks.py` measures a model of one's own on the same heads.

Truth of a structure's center is that of its true labels: those of the label map (heads 13 to 16, rendered as in
training at 1.5 mm), or FreeSurfer's (ecog, vm, fsaverage). AC and PC have no label: on the real heads they were placed
by hand, by one reader, on the T1; on synthetic heads the truth is what `commissures.map_by_centers` makes of the true
centers. Those of ecog, vm and fsaverage gave the places in the average head; chris and ms07 did not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

import meddl
from meddl.core.errors import InputError
from meddl.core.paths import data_folder
from meddl.landmarks.commissures import AC_MM, AROUND, PC_MM, map_by_centers
from meddl.landmarks.find import CENTERS, average_head
from meddl.landmarks.result import AC, PC
from meddl.landmarks.structure_centers import structure_centers
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume
from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps
from meddl.synthesis.contrasts import CONTRASTS

HEADS = range(13, 17)
SPACING_MM, SHAPE = 1.5, (128, 152, 144)
# Image, labels or None, and AC and PC as they were placed by hand, RAS mm.
REAL = {
    "ecog": ("brain/ecog_t1", "brain/ecog_aseg", (0.0, 1.6, 2.4), (0.0, -24.7, -1.2)),
    "vm": ("brain/vm_t1_stripped", "brain/vm_aseg", (0.3, 13.8, -6.6), (0.3, -9.6, -4.9)),
    "fsaverage": ("brain/fsaverage_t1_stripped", "brain/fsaverage_aseg", (0.5, 1.7, -5.5), (0.4, -26.3, -2.5)),
    "chris": ("brain/chris_t1", None, (0.2, 1.8, -1.4), (0.0, -25.5, -3.8)),
    "ms07": ("ms/ms07_t1", None, (0.5, 1.3, -0.5), (0.5, -24.8, 2.5)),
}
FOREIGN = ("body/abdomen_ct.nii.gz", "body/abdomen_mr.nii.gz", "body/aorta_cta.nii.gz", "body/chest_ct.nrrd",
           "sarcoma/sts01_ct.nii.gz", "sarcoma/sts01_mr.nii.gz", "sarcoma/sts02_mr.nii.gz", "sarcoma/sts03_pet.nii.gz")


def true_centers(labels: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
    """Centers of the structures by landmark, and the commissures mapped by them."""
    found = structure_centers(labels.astype(np.int32), grid, {*CENTERS.values(), *AROUND})
    truth = {name: found[value].position_mm for name, value in CENTERS.items()
             if value in found and not found[value].at_edge}
    around = [value for value in AROUND if value in found]
    reference = average_head()
    there, here = (np.array([one[value].position_mm for value in around]) for one in (reference, found))
    return truth | {name: map_by_centers(np.array(point), there, here)[0] for name, point in ((AC, AC_MM), (PC, PC_MM))}


def synthetic(contrast: str, number: int) -> tuple[Volume, dict[str, np.ndarray]]:
    """A head of a label map in a contrast, "any" for random intensities of each structure."""
    maps = load_label_maps(data_folder() / "labelmaps", number, number)
    config = SynthesisConfig(spacing_mm=SPACING_MM, shape=SHAPE, crop_probability=0.0)
    if contrast in CONTRASTS:
        config = replace(config, prior_probability=1.0)
    generator = HeadGenerator(maps, config, 500 + number, (contrast,) if contrast in CONTRASTS else CONTRASTS)
    batch = generator.sample(1)
    image = Volume.scalar(batch.images[0, 0].numpy(), np.diag([SPACING_MM] * 3 + [1.0]))
    return image, true_centers(maps.table.targets[batch.rows[0].numpy()], image.grid)


def real(name: str) -> tuple[Volume, dict[str, np.ndarray]]:
    """A real head."""
    image, labels, anterior, posterior = REAL[name]
    truth = {}
    if labels is not None:
        volume = meddl.load(data_folder() / f"{labels}.nii.gz")
        truth = true_centers(np.rint(volume.scalar_data), volume.grid)
    placed = {label: np.array(point) for label, point in ((AC, anterior), (PC, posterior)) if point is not None}
    return meddl.load(data_folder() / f"{image}.nii.gz"), truth | placed


def cases(wanted: list[str]) -> Iterator[tuple[str, str, Volume, dict[str, np.ndarray]]]:
    """Group, name, image and truth of each case."""
    for contrast in (*CONTRASTS, "any"):
        for number in HEADS:
            if not wanted or f"{contrast} {number}" in wanted or contrast in wanted:
                yield (contrast, f"{contrast} {number}", *synthetic(contrast, number))
    for name in REAL:
        if not wanted or name in wanted:
            yield ("real T1", name, *real(name))


def tilt_deg(found: meddl.Landmarks, truth: dict[str, np.ndarray]) -> float:
    """Angle between the found and the true line through AC and PC."""
    lines = [found[AC] - found[PC], truth[AC] - truth[PC]]
    cosine = lines[0] @ lines[1] / np.prod([np.linalg.norm(line) for line in lines])
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


def measure(wanted: list[str], model: str = "brain") -> dict[str, dict[str, list[float]]]:
    """Print each case, then the table by landmark and group; the errors in mm by landmark and group."""
    errors: dict[str, dict[str, list[float]]] = {}
    tilts, missing = [], 0
    for group, name, image, truth in cases(wanted):
        start = time.process_time()
        try:
            found = meddl.find_landmarks(image, model=model, device="cpu")
        except InputError as error:
            print(f"{name}: {error}", flush=True)
            missing += len(truth)
            continue
        each = {label: float(np.linalg.norm(found[label] - truth[label])) for label in truth
                if label in found.points.labels}
        missing += len(truth) - len(each)
        for label, value in each.items():
            errors.setdefault(label, {}).setdefault(group, []).append(value)
        if AC in each and PC in each:
            tilts.append(tilt_deg(found, truth))
        print(f"{name}: {', '.join(f'{label} {value:.1f}' for label, value in each.items())}; "
              f"{time.process_time() - start:.0f} s of the processor", flush=True)
    groups = list(dict.fromkeys(group for one in errors.values() for group in one))
    print("| Landmark | " + " | ".join(groups) + " | mean | 90 % below | largest |")
    print("|---|" + "---:|" * (len(groups) + 3))
    for label, one in errors.items():
        values = np.concatenate(list(one.values()))
        cells = [f"{np.mean(one[group]):.1f}" if group in one else "" for group in groups]
        cells += [f"{values.mean():.1f}", f"{np.percentile(values, 90):.1f}", f"{values.max():.1f}"]
        print(f"| {label} | " + " | ".join(cells) + " |")
    line = f"mean {np.mean(tilts):.1f}, largest {np.max(tilts):.1f} degrees" if tilts else "never found"
    print(f"AC-PC line: {line}; {missing} not found")
    return errors


def measure_foreign(model: str = "brain") -> int:
    """Print what is said of volumes of other parts of the body; in how many something was found."""
    wrong = 0
    for name in FOREIGN:
        try:
            found = meddl.find_landmarks(data_folder() / name, model=model, device="cpu")
            wrong += 1
            print(f"{name}: {len(found.points.labels)} points, confidence {np.mean(found.confidence):.2f}", flush=True)
        except InputError as error:
            print(f"{name}: {error}", flush=True)
    return wrong


def place_commissures() -> None:
    """Print where the commissures that were placed by hand lie in the average head, by the true or found centers."""
    reference = average_head()
    for label, column in ((AC, 2), (PC, 3)):
        rows = {}
        for name, row in REAL.items():
            if row[column] is None or row[1] is None:
                continue
            volume = meddl.load(data_folder() / f"{row[1]}.nii.gz")
            centers = structure_centers(np.rint(volume.scalar_data).astype(np.int32), volume.grid, AROUND)
            around = [value for value in AROUND if value in centers]
            there, here = (np.array([one[value].position_mm for value in around]) for one in (reference, centers))
            guess = np.array(AC_MM if label == AC else PC_MM)
            for _ in range(10):  # the inverse of `map_by_centers`
                guess = guess - (map_by_centers(guess, there, here)[0] - np.array(row[column]))
            rows[name] = guess
            print(label, name, guess.round(2))
        print(label, "mean", np.mean(list(rows.values()), axis=0).round(2))


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--commissures", action="store_true")
    parser.add_argument("--foreign", action="store_true")
    chosen = parser.parse_args()
    if chosen.commissures:
        place_commissures()
    elif chosen.foreign:
        measure_foreign()
    else:
        measure(chosen.cases)


if __name__ == "__main__":
    main()
