"""`meddl evaluate superres`: what the networks of super-resolution and denoising gain on real volumes.

The real volumes, where the data folder holds them, are the truth: their middle is made coarse by the acquisition model
(Gaussian profile, slices that touch) or noisy, and sharpened again through `super_resolve`. PSNR is taken inside the
object and away from the ends, its range from percentile 0.1 to 99.9 of the truth there. Measured is the gain over the
cubic spline, or over the noisy volume.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.spatial.volume import Volume

CASES = {"chris_t1": ("brain/chris_t1", 2), "ecog_t1": ("brain/ecog_t1", 1), "aorta_cta": ("body/aorta_cta", 2),
         "vm": ("brain/vm_t1_stripped", 0)}  # file, and the axis that becomes thick
FACTORS = (2.0, 3.0, 4.0)
METHODS = {"superres-through-plane": ("network",), "superres-edsr3d": ("edsr3d",), "superres-srcnn": ("srcnn",),
           "superres-srresnet": ("srresnet",), "superres-srgan": ("srgan", "srgan at 1"),
           "denoise-residual": ("denoise", "denoise, magnitude"), "denoise-autoencoder": ("denoise-autoencoder",)}
NOISE = 0.05  # of the truth's range
_SLICE_NOISE = 0.01
_END = 6  # voxels from the ends that do not count
OVER_CUBIC, OVER_NOISY = "gain in PSNR over cubic, dB", "gain in PSNR over the noisy volume, dB"


@dataclass(frozen=True)
class Gain:
    """One number: what a method gains on a case at a task, dB, and the seconds that it took."""

    model: str
    method: str
    case: str
    task: str
    metric: str
    gain_db: float
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", type=Path, required=True, help="folder with brain/ and body/, or one of them")
    parser.add_argument("--model", nargs="*", default=None, choices=sorted(METHODS),
                        help="identifiers of the models (default: all that are installed)")
    parser.add_argument("--voxels", type=int, default=96, help="along each axis of the volumes' middle; 0 takes all")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for the tables")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--update-card", action="store_true", help="write the figures into the models' cards")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Measure, and write `superres.json` and `superres.md`.

    Returns:
        The table in Markdown.

    Raises:
        InputError: the folder holds none of the volumes, or no model is installed.
    """
    from meddl.models.store.store import ModelStore

    store = ModelStore()
    installed = {card.id: card for card in store.list()}
    models = [model for model in (arguments.model or METHODS) if model in installed]
    truths = dict(_truths(arguments.data, arguments.voxels))
    if not truths or not models:
        raise InputError(f"{arguments.data} was expected to hold one of {', '.join(f for f, _ in CASES.values())} "
                         f"(.nii.gz), and one of the models {', '.join(METHODS)} to be installed.")
    gains = []
    for model in models:
        for method in METHODS[model]:
            for case, (truth, axis) in truths.items():
                report(on_progress, len(gains) / (len(models) * len(truths) * 3), f"{model}: {case}")
                gains += _gains(model, method, case, truth, axis, arguments.device)
    command = f"meddl evaluate superres --data DATA --voxels {arguments.voxels}"
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures = {"command": command, "sha256": {model: installed[model].weights.sha256 for model in models},
             "gains": [vars(gain) for gain in gains]}
    (arguments.out / "superres.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    table = arguments.out / "superres.md"
    table.write_text(markdown(gains), encoding="utf-8")
    if arguments.update_card:
        for model in models:
            _update_card(store.folder(model) / "card.json", [gain for gain in gains if gain.model == model], command)
    return table


def markdown(gains: list[Gain]) -> str:
    """A table with a row a method and task and a column a case, the mean last."""
    cases = list(dict.fromkeys(gain.case for gain in gains))
    rows = list(dict.fromkeys((gain.method, gain.task) for gain in gains))
    values = {(gain.method, gain.task, gain.case): gain.gain_db for gain in gains}
    lines = ["| gain in dB | " + " | ".join([*cases, "mean"]) + " |", "|---|" + "---:|" * (len(cases) + 1)]
    for method, task in rows:
        row = [values[method, task, case] for case in cases]
        cells = " | ".join(f"{value:+.2f}" for value in [*row, float(np.mean(row))])
        lines.append(f"| {method}, {task} | {cells} |")
    return "\n".join(lines) + "\n"


def _truths(data: Path, voxels: int) -> Iterator[tuple[str, tuple[np.ndarray, int]]]:
    """The middle of each real volume, (I, J, K) float32, and the axis that becomes thick."""
    from meddl.io import load

    for case, (name, axis) in CASES.items():
        path = data / f"{name}.nii.gz"
        if path.is_file():
            whole = load(path).scalar_data
            size = [min(n, voxels or n) // 12 * 12 for n in whole.shape]  # a whole number of slices at every factor
            part = whole[tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(whole.shape, size, strict=True))]
            yield case, (np.ascontiguousarray(part, dtype=np.float32), axis)


def _gains(model: str, method: str, case: str, truth: np.ndarray, axis: int, device: str) -> Iterator[Gain]:
    from meddl.core.config import SuperResolveConfig
    from meddl.superres import super_resolve

    width = float(np.subtract(*np.percentile(truth, (99.9, 0.1))))
    name = method.split(",")[0].split(" at ")[0]
    config = SuperResolveConfig(method=name, keep_range=False,
                                adversarial_strength=1.0 if method.endswith("at 1") else 0.3)
    if name.startswith("denoise"):
        given, target = _noisy(truth, width, magnitude=method.endswith("magnitude"))
        tasks = [(f"{NOISE:.0%} noise", Volume.scalar(given, np.eye(4)), given, target, OVER_NOISY)]
    elif name == "network":
        tasks = [_coarse(truth, {axis: factor}, width) for factor in FACTORS]
    else:
        tasks = [_coarse(truth, dict.fromkeys(range(3), 2.0), width)]
    for task, volume, floor, target, metric in tasks:
        start = time.perf_counter()
        made = super_resolve(volume, config, device=device).volume.scalar_data
        seconds = time.perf_counter() - start
        gain = _psnr(made, target) - _psnr(floor, target)
        yield Gain(model, method, case, task, metric, round(gain, 3), round(seconds, 2))


def _coarse(truth: np.ndarray, factors: dict[int, float], width: float):
    """The truth with large voxels along some axes, and its interpolation by cubic splines."""
    import torch

    from meddl.superres.acquisition.degradation import Acquisition

    rng = torch.Generator().manual_seed(0)
    coarse = torch.from_numpy(truth)
    for axis, factor in factors.items():
        coarse = Acquisition(factor, axis).forward(coarse)
    coarse = coarse + _SLICE_NOISE * width * torch.randn(coarse.shape, generator=rng)
    floor = coarse
    for axis, factor in factors.items():
        floor = Acquisition(factor, axis).interpolate(floor)
    spacing = [factors.get(axis, 1.0) for axis in range(3)]
    task = f"isotropic x{next(iter(factors.values())):g}" if len(factors) == 3 else f"x{max(spacing):g}"
    return task, Volume.scalar(coarse.numpy(), np.diag([*spacing, 1.0])), floor.numpy(), truth, OVER_CUBIC


def _noisy(truth: np.ndarray, width: float, magnitude: bool) -> tuple[np.ndarray, np.ndarray]:
    """The truth with noise, and what is to be found; a magnitude has no negative signal."""
    noise = np.random.default_rng(0).normal(0, NOISE * width, (2, *truth.shape)).astype(np.float32)
    if not magnitude:
        return truth + noise[0], truth
    signal = truth - min(float(truth.min()), 0.0)
    return np.hypot(signal + noise[0], noise[1]), signal


def _psnr(image: np.ndarray, truth: np.ndarray) -> float:
    from meddl.measures.image_quality import image_quality
    from meddl.spatial.normalize import isodata_threshold

    inner = (slice(_END, -_END),) * 3
    mask = truth[inner] > 0.5 * isodata_threshold(truth - truth.min()) + truth.min()
    return image_quality(image[inner], truth[inner], mask).psnr_db


def _update_card(path: Path, gains: list[Gain], command: str) -> None:
    """Replace the card's figures; of the earlier ones only those of training stay, if they are of these weights."""
    content = json.loads(path.read_text(encoding="utf-8"))
    measured = content["weights"]["sha256"]
    kept = [entry for entry in content["accuracy"]
            if entry["case"].startswith("held-out") and entry.get("sha256") == measured]
    means = {}
    for gain in gains:
        means.setdefault((gain.method, gain.task, gain.metric), []).append(gain.gain_db)
    rows = [(gain.case, f"{gain.method}, {gain.task}", gain.metric, gain.gain_db) for gain in gains]
    rows += [("mean", f"{method}, {task}", metric, round(float(np.mean(values)), 3))
             for (method, task, metric), values in means.items()]
    content["accuracy"] = kept + [{"case": case, "structure": structure, "metric": metric, "value": value,
                                   "command": command, "sha256": measured} for case, structure, metric, value in rows]
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
