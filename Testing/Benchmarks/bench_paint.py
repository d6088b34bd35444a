"""Interactive segmentation from a few painted slices: Dice, and seconds of a run and of a stroke.

    python Testing/Benchmarks/bench_paint.py [--structures hippocampus,lesions] [--cases 20] [--threads 2]
        [--tolerance 0] [--trees] [-o FILE]

Slices are painted from the known labels, at 20, 50 and 80 % of the structure's extent (three) or at 10, 30, 50, 70
and 90 % (five), axial, coronal and sagittal ones. Structures: the whole hippocampus of the Medical Segmentation
Decathlon, and its two labels; the lateral ventricles of three T1 volumes; the lungs of a CT; the lesions of a patient
with multiple sclerosis in FLAIR, which are many, so that parts without paint stay. Imperfect paint, in axial slices:
eroded by a voxel in the slice, shifted by a voxel along both axes of the slice, and half of each slice painted,
structure and background, with the rest unknown. With --trees, scikit-learn's extremely randomized trees on the same
features and samples in the place of the network. Each volume is its own training; nothing is fitted beforehand.
Results are merged into results/paint.json by structure, orientation, slices, paint and classifier.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from bench_register import machine
from command_line import merge, start_run
from scipy import ndimage

import meddl
from meddl.measures.overlap import dice
from meddl.painting import classifier, features

RESULTS = Path(__file__).resolve().parent / "results" / "paint.json"
PLACES = {3: (0.2, 0.5, 0.8), 5: (0.1, 0.3, 0.5, 0.7, 0.9)}
ORIENTATIONS = ("sagittal", "coronal", "axial")
HEADS = (("ecog_t1", "ecog_aseg"), ("vm_t1_stripped", "vm_aseg"), ("fsaverage_t1_stripped", "fsaverage_aseg"))
LATERAL_VENTRICLES = (4, 43)
GOALS = {("hippocampus", 3): 0.80, ("hippocampus", 5): 0.90, ("ventricles", 3): 0.93, ("lungs", 3): 0.985}
PAINTS = ("exact", "eroded", "shifted", "half")
KEYS = ("structure", "orientation", "slices", "paint", "tolerance", "classifier")


def cases(data: Path, structure: str, most: int) -> Iterator[tuple[meddl.Volume, np.ndarray]]:
    """Volumes and their true labels, axes along right, anterior, superior."""
    if structure.startswith("hippocampus"):
        names = sorted(path.name for path in (data / "hippocampus" / "images").glob("*.nii.gz"))
        pairs = [(data / "hippocampus" / "images" / name, data / "hippocampus" / "labels" / name)
                 for name in names[::max(1, len(names) // most)][:most]]
    elif structure == "ventricles":
        pairs = [(data / "brain" / f"{image}.nii.gz", data / "brain" / f"{labels}.nii.gz") for image, labels in HEADS]
    elif structure == "lesions":
        pairs = [(data / "ms" / "ms07_flair.nii.gz", data / "ms" / "ms07_lesions.nii.gz")]
    else:
        pairs = [(data / "body" / "chest_ct.nrrd", data / "body" / "chest_ct_lungs.nrrd")]
    for image, labels in pairs:
        volume, true = meddl.load(image), meddl.load_segmentation(labels).labels
        if structure == "ventricles":
            true = np.isin(true, LATERAL_VENTRICLES)
        elif structure != "hippocampus labels":
            true = true > 0
        map_ = meddl.Volume.scalar(true.astype(np.uint8), volume.affine).reorient("RAS")
        yield volume.reorient("RAS"), np.ascontiguousarray(map_.data[0])


def paint(true: np.ndarray, axis: int, places: tuple[float, ...], kind: str) -> np.ndarray:
    """The labels of some slices alone; background is painted too where `kind` is "half", as the highest value."""
    there = np.flatnonzero(true.any(axis=tuple(a for a in range(3) if a != axis)))
    result, along = np.zeros_like(true), np.moveaxis(true, axis, 0)
    target = np.moveaxis(result, axis, 0)
    for k in sorted({int(round(there[0] + place * (there[-1] - there[0]))) for place in places}):
        one = along[k]
        if kind == "eroded":
            one = np.where(ndimage.binary_erosion(one > 0), one, 0)
        elif kind == "shifted":
            one = np.roll(one, (1, 1), (0, 1))
        elif kind == "half":
            middle = int(np.median(np.nonzero(one)[0]))
            one = np.where(one > 0, one, true.max() + 1)
            one[middle + 1:] = 0
        target[k] = one
    return result


def measure(data: Path, structure: str, axis: int, slices: int, kind: str, arguments: argparse.Namespace) -> dict:
    """One entry of the results: means over the cases."""
    scores, runs, strokes, voxels = [], [], [], []
    config = meddl.PaintConfig(contour_tolerance=arguments.tolerance, connected=structure != "lesions")
    for volume, true in cases(data, structure, arguments.cases):
        values = [int(value) for value in np.unique(true) if value]
        names = {max(values) + 1: "background"} if kind == "half" else {}
        segments = tuple(meddl.Segment(value, names.get(value, str(value)), (1.0, 0.0, 0.0))
                         for value in (*values, *names))
        painted = meddl.Segmentation(paint(true, axis, PLACES[slices], kind), volume.affine, segments)
        features._cache.clear()
        begin = time.perf_counter()
        meddl.segment_from_paint(volume, painted, config)
        runs.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        found = meddl.segment_from_paint(volume, painted, config)
        strokes.append(time.perf_counter() - begin)
        scores.append(float(dice(found.labels, true, values).mean()))
        voxels.append(int(np.prod(found.report["region"])))
    return {"structure": structure, "orientation": ORIENTATIONS[axis], "slices": slices, "paint": kind,
            "tolerance": arguments.tolerance, "classifier": "trees" if arguments.trees else "network",
            "cases": len(scores), "dice": float(np.mean(scores)), "lowest": float(np.min(scores)),
            "seconds_a_run": float(np.median(runs)), "seconds_a_stroke": float(np.median(strokes)),
            "voxels": int(np.mean(voxels)),
            "machine": machine(arguments.threads)}


class Trees(classifier.PaintClassifier):
    """scikit-learn's extremely randomized trees in the place of the network."""

    def fit(self, on_progress=None) -> None:
        from sklearn.ensemble import ExtraTreesClassifier

        samples = self._samples()
        self.trees = ExtraTreesClassifier(40, min_samples_leaf=3, n_jobs=-1, random_state=self.config.seed)
        self.trees.fit(self._inputs(self.rows[samples.indices], samples.shape).numpy(), samples.classes.numpy())
        self.network = self._logits

    def _logits(self, x):
        import torch

        return 2 * torch.from_numpy(self.trees.predict_proba(x.numpy())).float().clamp(1e-4, 1).log()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structures", default="hippocampus,hippocampus labels,ventricles,lungs,lesions")
    parser.add_argument("--orientations", default=",".join(ORIENTATIONS))
    parser.add_argument("--slices", default="3,5")
    parser.add_argument("--paints", default=",".join(PAINTS))
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tolerance", type=int, default=0)
    parser.add_argument("--trees", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = start_run(arguments)
    if arguments.trees:
        import meddl.painting.segment as verb

        verb.PaintClassifier = Trees
    for structure in arguments.structures.split(","):
        for orientation in arguments.orientations.split(","):
            for slices in map(int, arguments.slices.split(",")):
                for kind in arguments.paints.split(","):
                    if kind != "exact" and (orientation != "axial" or slices != 3):
                        continue
                    entry = measure(data, structure, ORIENTATIONS.index(orientation), slices, kind, arguments)
                    merge(entry, arguments.output, KEYS)
                    print(row(entry), flush=True)


def row(entry: dict) -> str:
    """A row of Markdown."""
    goal = GOALS.get((entry["structure"], entry["slices"]), "")
    return (f"| {entry['structure']} | {entry['orientation']} | {entry['slices']} | {entry['paint']} | "
            f"{entry['tolerance']} | "
            f"{entry['classifier']} | {entry['dice']:.3f} | {goal} | {entry['seconds_a_run']:.2f} | "
            f"{entry['seconds_a_stroke']:.2f} | {entry['voxels']} |")


if __name__ == "__main__":
    main()
