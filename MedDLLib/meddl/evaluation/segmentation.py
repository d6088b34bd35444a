"""`meddl evaluate segmentation`: how well a model does, structure by structure.

With `--images` and `--labels`, any model on the user's own cases: see `labeled_folders`. Else a brain model on the
cases of a data folder, where it holds them: T1 heads with FreeSurfer's labels (`brain/`), one subject in four contrasts
whose labels should agree (`ms/`), and random synthetic heads from label maps held out of training (`labelmaps/`).
"""

import argparse
import csv
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.measures.config import MATCH_RULES
from meddl.measures.overlap import dice
from meddl.results import Segmentation
from meddl.spatial.volume import Volume

FLUID = 24
INFERIOR_HORNS = (5, 44)
LARGE = (2, 3, 4, 7, 8, 14, 15, 16, 41, 42, 43, 46, 47)
LABELED = {"ecog": ("brain/ecog_t1", "brain/ecog_aseg"), "ecog stripped": ("brain/ecog_t1_stripped", "brain/ecog_aseg"),
           "vm": ("brain/vm_t1_stripped", "brain/vm_aseg"),
           "fsaverage": ("brain/fsaverage_t1_stripped", "brain/fsaverage_aseg")}
CONTRASTS_OF_ONE = {"ms07": ("ms/ms07_t1", "ms/ms07_t1post", "ms/ms07_t2", "ms/ms07_flair")}
BRAIN, MEAN_LARGE, MEAN_MOST = "brain mask", "mean, large structures", "mean, 29 structures"


@dataclass(frozen=True)
class Measurement:
    """One number: Dice of a structure, or of a group of them, in a case."""

    case: str
    structure: str
    dice: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--images", type=Path, help="folder with your own volumes; with --labels, for any model")
    parser.add_argument("--labels", type=Path, help="folder with the reference labels, named as the volumes")
    parser.add_argument("--match", choices=MATCH_RULES, default=MATCH_RULES[0], help="which of --labels is which "
                        f"structure of the model (default: {MATCH_RULES[0]})")
    parser.add_argument("--data", type=Path, help="folder with brain/, ms/ and labelmaps/, or some of them; instead of "
                        "--images and --labels, for a brain model")
    parser.add_argument("--model", default="brain", help="identifier of the model")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for the tables")
    parser.add_argument("--synthetic", type=int, default=8, help="number of synthetic heads from maps 13 to 16")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--flip-averaging", action="store_true", help="average over left-right mirroring")
    parser.add_argument("--update-card", action="store_true", help="write the figures into the model's card")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Measure, and write `segmentation.json`, `.csv` and `.md`.

    Returns:
        The table in Markdown.

    Raises:
        InputError: no folder is given, or it holds none of the cases.
    """
    from meddl.core.config import SegmentConfig
    from meddl.models.store.store import ModelStore

    if arguments.images is not None or arguments.labels is not None:
        return _run_own(arguments, on_progress)
    if arguments.data is None:
        raise InputError("Give your volumes and labels by --images and --labels, or the data folder by --data.")
    card = ModelStore().card(arguments.model)
    config = SegmentConfig(flip_averaging=arguments.flip_averaging)
    names = {label.value: label.name for label in card.labels}
    runner = _Runner(arguments.model, config, arguments.device, on_progress)
    measurements = [*_measure_labeled(arguments.data, names, runner), *_agreement(arguments.data, names, runner),
                    *_synthetic(arguments.data / "labelmaps", arguments.synthetic, names, runner)]
    if not measurements:
        raise InputError(f"{arguments.data} was expected to hold brain/, ms/ or labelmaps/, with volumes in them.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    command = f"meddl evaluate segmentation --data DATA --model {arguments.model} --synthetic {arguments.synthetic}" + (
        " --flip-averaging" if arguments.flip_averaging else "")
    usual = {"ranges": usual_ranges(runner.confidence), "cases": len(runner.confidence), "command": command}
    figures = {"model": card.id, "version": card.version, "sha256": card.weights.sha256, "command": command,
             "seconds": runner.seconds, "dice": [vars(m) for m in measurements], "usual_confidence": usual}
    (arguments.out / "segmentation.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    with (arguments.out / "segmentation.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "structure", "dice"))
        writer.writerows((m.case, m.structure, m.dice) for m in measurements)
    table = arguments.out / "segmentation.md"
    table.write_text(markdown(measurements), encoding="utf-8")
    if arguments.update_card:
        _update_card(ModelStore().folder(card.id) / "card.json", measurements, command, usual)
    return table


def _run_own(arguments: argparse.Namespace, on_progress: ProgressCallback | None) -> Path:
    """Any model on the user's own cases."""
    from meddl.core.config import SegmentConfig
    from meddl.evaluation.labeled_folders import accuracy_of, evaluate_folders
    from meddl.models.store.store import ModelStore

    if arguments.images is None or arguments.labels is None or arguments.data is not None:
        raise InputError("--images and --labels belong together, and without --data.")
    content = evaluate_folders(
        arguments.model, arguments.images, arguments.labels, arguments.out, match=arguments.match,
        config=SegmentConfig(flip_averaging=arguments.flip_averaging), device=arguments.device, on_progress=on_progress)
    if arguments.update_card:
        card = ModelStore().folder(content["model"]) / "card.json"
        written = json.loads(card.read_text(encoding="utf-8"))
        written["accuracy"] = accuracy_of(content, arguments.images.name)
        card.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return arguments.out / "segmentation.md"


def markdown(measurements: list[Measurement]) -> str:
    """A table with a row a structure and a column a case."""
    cases = list(dict.fromkeys(m.case for m in measurements))
    structures = list(dict.fromkeys(m.structure for m in measurements))
    values = {(m.case, m.structure): m.dice for m in measurements}
    lines = ["| Dice | " + " | ".join(cases) + " |", "|---|" + "---:|" * len(cases)]
    for structure in structures:
        row = [values.get((case, structure), np.nan) for case in cases]
        cells = [f"{value:.3f}" if np.isfinite(value) else "" for value in row]
        lines.append(f"| {structure} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def compare_labels(found: np.ndarray, truth: np.ndarray, names: dict[int, str], case: str) -> list[Measurement]:
    """Dice of the brain mask (everything but CSF), of the means, and of each structure that is in the truth.

    The mask of `found` takes the model's structures, that of `truth` all its labels, without the fluid.
    """
    structures = list(names)
    values = dict(zip(structures, dice(found, truth, structures), strict=True))
    present = [v for v in structures if np.any(truth == v)]
    mask = np.isin(found, [v for v in structures if v != FLUID]).astype(np.uint8)
    brain = ((truth > 0) & (truth != FLUID)).astype(np.uint8)
    most = [values[v] for v in present if v not in (FLUID, *INFERIOR_HORNS)]
    rows = [(BRAIN, float(dice(mask, brain, [1])[0])),
            (MEAN_LARGE, float(np.mean([values[v] for v in present if v in LARGE]))),
            (MEAN_MOST, float(np.mean(most))), *((names[v], float(values[v])) for v in present)]
    return [Measurement(case, structure, round(value, 4)) for structure, value in rows]


def usual_ranges(each: dict[str, dict[str, float]]) -> dict[str, tuple[float, float]]:
    """From the 5th to the 95th percentile of each structure's mean confidence over the cases that show it."""
    values: dict[str, list[float]] = {}
    for name, number in itertools.chain.from_iterable(one.items() for one in each.values()):
        values.setdefault(name, []).append(number)
    return {name: (round(float(np.percentile(numbers, 5)), 3), round(float(np.percentile(numbers, 95)), 3))
            for name, numbers in values.items()}


class _Runner:
    """Segments, and keeps the seconds and the confidence of each structure."""

    def __init__(self, model: str, config, device: str, on_progress: ProgressCallback | None):
        self.model, self.config, self.device, self.on_progress = model, config, device, on_progress
        self.seconds: dict[str, float] = {}
        self.confidence: dict[str, dict[str, float]] = {}

    def __call__(self, volume: Volume, name: str) -> Segmentation:
        from meddl.segmentation import segment

        report(self.on_progress, min(0.99, len(self.seconds) / 20), f"Segmenting {name}")
        start = time.perf_counter()
        result = segment(volume, self.model, self.config, device=self.device)
        self.seconds[name] = round(time.perf_counter() - start, 2)
        self.confidence[name] = result.report["confidence"]
        return result


def _load(data: Path, name: str) -> Volume | None:
    from meddl.io import load

    path = data / f"{name}.nii.gz"
    return load(path) if path.is_file() else None


def labeled_heads(data: Path) -> Iterator[tuple[str, Volume, np.ndarray]]:
    """Name, volume and labels (I, J, K) of each T1 head with FreeSurfer's labels that a data folder holds."""
    for case, (image, labels) in LABELED.items():
        volume, truth = _load(data, image), _load(data, labels)
        if volume is not None and truth is not None:
            yield case, volume, np.rint(truth.scalar_data).astype(np.uint16)


def synthetic_heads(folder: Path, count: int, seed: int) -> Iterator[tuple[Volume, np.ndarray, np.ndarray]]:
    """Random heads of anatomies that no training saw, whole and partial, of any contrast.

    Yields:
        The volume, its labels (I, J, K) uint16, and where it shows anything, (I, J, K) 0 or 1.
    """
    from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps

    maps = load_label_maps(folder, 13, 16)
    generator = HeadGenerator(maps, SynthesisConfig(spacing_mm=1.5, shape=(128, 152, 144)), seed=seed)
    for _ in range(count):
        batch = generator.sample(1)
        seen = batch.seen[0].numpy()
        truth = maps.table.targets[batch.rows[0].numpy()].astype(np.uint16) * seen
        yield Volume.scalar(batch.images[0, 0].numpy(), np.diag([1.5, 1.5, 1.5, 1.0])), truth, seen


def _measure_labeled(data: Path, names: dict[int, str], runner: _Runner):
    for case, volume, truth in labeled_heads(data):
        yield from compare_labels(runner(volume, case).labels, truth, names, case)


def _agreement(data: Path, names: dict[int, str], runner: _Runner):
    """Mean Dice over the pairs of contrasts of one subject."""
    for case, images in CONTRASTS_OF_ONE.items():
        volumes = {image: volume for image in images if (volume := _load(data, image)) is not None}
        found = [runner(volume, image).labels for image, volume in volumes.items()]
        pairs = [compare_labels(a, b, names, f"{case}, pairs") for a, b in itertools.combinations(found, 2)]
        yield from _mean(pairs)
        if pairs:
            worst = min(next(m.dice for m in pair if m.structure == MEAN_MOST) for pair in pairs)
            yield Measurement(f"{case}, pairs", "worst pair: " + MEAN_MOST, worst)


def _synthetic(folder: Path, count: int, names: dict[int, str], runner: _Runner):
    """Mean over synthetic heads."""
    if not count or not (folder / "labels.csv").is_file():
        return
    each = []
    for number, (volume, truth, seen) in enumerate(synthetic_heads(folder, count, seed=777), start=1):
        labels = runner(volume, f"synthetic {number}").labels * seen
        each.append(compare_labels(labels.astype(np.uint16), truth, names, f"synthetic heads ({count})"))
    yield from _mean(each)


def _mean(each: list[list[Measurement]]) -> list[Measurement]:
    values: dict[tuple[str, str], list[float]] = {}
    for measurement in itertools.chain.from_iterable(each):
        values.setdefault((measurement.case, measurement.structure), []).append(measurement.dice)
    return [Measurement(case, structure, round(float(np.mean(numbers)), 4))
            for (case, structure), numbers in values.items()]


def _update_card(path: Path, measurements: list[Measurement], command: str, usual: dict) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content["usual_confidence"] = usual
    content["accuracy"] = [{"case": m.case, "structure": m.structure, "metric": "Dice", "value": m.dice,
                            "command": command} for m in measurements if np.isfinite(m.dice)]
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
