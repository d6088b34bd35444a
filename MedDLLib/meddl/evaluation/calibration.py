"""`meddl evaluate calibration`: whether a brain model is right as often as its confidence says.

Synthetic heads of label maps held out of training (13 to 16) and two T1 heads with FreeSurfer's labels give the
temperature, each kind with the same weight; other heads of both kinds tell what it is worth. Counted are the voxels
that the model labels, but for CSF, whose outer border comes from another rule than that of the probabilities.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.segmentation.brain.calibration import scale_probability
from meddl.spatial.volume import Volume

BINS = 15
_SEEDS = {"synthetic, fitted": 4321, "synthetic": 8765}
_FITTED = ("ecog stripped", "vm")  # of the T1 heads


@dataclass(frozen=True)
class Bin:
    """Voxels whose confidence lies in one bin: their number, mean confidence, and the fraction that is right."""

    voxels: int
    confidence: float
    right: float


def fit_temperature(groups: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The temperature at which the likelihood of what is right is largest, each group with the same weight.

    Args:
        groups: probabilities (N,) and what was right, (N,) bool.
    """
    def loss(logarithm: float) -> float:
        total = 0.0
        for probability, right in groups:
            scaled = scale_probability(probability, float(np.exp(logarithm)))
            total -= float(np.where(right, np.log(scaled), np.log1p(-scaled)).mean())
        return total

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.2), np.log(20)), method="bounded").x))


def reliability(probability: np.ndarray, right: np.ndarray) -> list[Bin]:
    """The reliability diagram: bins of equal width that hold voxels (A. Niculescu-Mizil, R. Caruana, ICML 2005,
    doi:10.1145/1102351.1102430)."""
    number = np.minimum((np.asarray(probability) * BINS).astype(int), BINS - 1)
    return [Bin(int(inside.sum()), float(probability[inside].mean()), float(right[inside].mean()))
            for inside in (number == one for one in range(BINS)) if inside.any()]


def expected_calibration_error(bins: list[Bin]) -> float:
    """The mean distance of confidence and accuracy over the voxels of all bins, 0 to 1."""
    voxels = sum(one.voxels for one in bins)
    return sum(one.voxels * abs(one.confidence - one.right) for one in bins) / voxels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", type=Path, required=True, help="folder with labelmaps/, and with brain/ or without")
    parser.add_argument("--model", default="brain", help="identifier of the model")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for the table")
    parser.add_argument("--synthetic", type=int, default=4, help="number of synthetic heads to fit, and to test")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--update-card", action="store_true", help="write the temperature into the model's card")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Fit and measure, and write `calibration.json`, with matplotlib also the reliability diagrams, `calibration.png`.

    Raises:
        InputError: the data folder holds no label maps.
    """
    from meddl.models.store.store import ModelStore

    store = ModelStore()
    card = store.card(arguments.model)
    used = card.calibration.temperature if card.calibration is not None else 1.0
    cases: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for name, confidence, right in _cases(arguments, on_progress):
        cases.setdefault(name, []).append((scale_probability(confidence, 1 / used), right))
    together = {name: (np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts]))
                for name, parts in cases.items()}
    fitted = [name for name in together if name.endswith("fitted")]
    temperature = round(fit_temperature([together[name] for name in fitted]), 2)
    command = f"meddl evaluate calibration --data DATA --model {card.id} --synthetic {arguments.synthetic}"
    rows = {}
    for name, (probability, right) in together.items():
        before, after = (reliability(values, right) for values in (
            probability, scale_probability(probability, temperature)))
        rows[name] = {"voxels": len(right), "right": round(float(right.mean()), 4),
                      "error_before": round(expected_calibration_error(before), 4),
                      "error_after": round(expected_calibration_error(after), 4),
                      "before": [asdict(one) for one in before], "after": [asdict(one) for one in after]}
    found = {"temperature": temperature, "cases": sum(len(cases[name]) for name in fitted), "command": command,
             **{key: round(float(np.mean([rows[name][key] for name in fitted])), 4)
                for key in ("error_before", "error_after")}}
    arguments.out.mkdir(parents=True, exist_ok=True)
    written = arguments.out / "calibration.json"
    written.write_text(json.dumps({"model": card.id, "calibration": found, "cases": rows}, indent=1) + "\n",
                       encoding="utf-8")
    _draw(rows, arguments.out / "calibration.png")
    if arguments.update_card:
        path = store.folder(card.id) / "card.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["calibration"] = found
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return written


def _draw(rows: dict[str, dict], path: Path) -> None:
    """Reliability diagrams, before and after, of all cases."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(3.4 * len(rows), 3.4), layout="constrained")
    for axes, (name, row) in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows.items(), strict=True):
        axes.plot((0, 1), (0, 1), color="gray", linewidth=1, linestyle="--")
        for key, label in (("before", "as it is"), ("after", "calibrated")):
            axes.plot([one["confidence"] for one in row[key]], [one["right"] for one in row[key]], marker=".",
                      label=f"{label}: error {row[f'error_{key}']:.3f}")
        axes.set(title=name, xlabel="confidence", ylabel="fraction that is right", xlim=(0, 1), ylim=(0, 1))
        axes.legend(fontsize="small")
    FigureCanvasAgg(figure).print_png(path)


def _cases(arguments: argparse.Namespace,
           on_progress: ProgressCallback | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, confidence (N,) and what is right (N,) of each case."""
    from meddl.core.config import SegmentConfig
    from meddl.evaluation.segmentation import FLUID
    from meddl.segmentation import segment

    folder, count = arguments.data / "labelmaps", arguments.synthetic
    if not (folder / "labels.csv").is_file() or count < 1:
        raise InputError(f"{folder} was expected to hold label maps and labels.csv, and --synthetic to be at least 1.")
    for done, (name, volume, truth, seen) in enumerate(_heads(arguments.data, count)):
        report(on_progress, min(0.99, done / (2 * count + 4)), f"Segmenting head {done + 1}")
        found = segment(volume, arguments.model, SegmentConfig(confidence=True), device=arguments.device)
        confidence = np.asarray(found.confidence, dtype=np.float64)
        counted = (found.labels > 0) & (found.labels != FLUID) & (seen > 0)
        yield name, confidence[counted], (found.labels == truth)[counted]


def _heads(data: Path, count: int) -> Iterator[tuple[str, Volume, np.ndarray, Any]]:
    """Name of the group, volume, labels and what is seen (1: all) of each head."""
    from meddl.evaluation.segmentation import labeled_heads, synthetic_heads

    for group, seed in _SEEDS.items():
        for volume, truth, seen in synthetic_heads(data / "labelmaps", count, seed):
            yield group, volume, truth, seen
    for name, volume, truth in labeled_heads(data):
        yield "T1, fitted" if name in _FITTED else "T1", volume, truth, 1
