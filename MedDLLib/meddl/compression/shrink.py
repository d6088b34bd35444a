"""The verb `meddl.shrink_model`: from an installed segmentation model to a faster and smaller one."""

import copy
import datetime
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from meddl.compression.cases import CheckedCase, load_checked, prepare_unlabeled, split_cases
from meddl.compression.channels import narrower_arguments, parameters_of, prune
from meddl.compression.config import ShrinkConfig
from meddl.compression.distillation import DistillationTask, agreement
from meddl.compression.eligibility import why_not_shrunk
from meddl.core.config import check_config
from meddl.core.device import select_device
from meddl.core.errors import InputError, ModelError
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.measures.overlap import dice
from meddl.models.cards import ModelCard, parse_card
from meddl.models.cost.machine_speed import device_clock
from meddl.models.formats.imported import identifier as identifier_of
from meddl.models.loaded_networks import read_network
from meddl.models.recipes import Recipe
from meddl.models.store.archive import CARD_FILE
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_into, save_weights
from meddl.networks import build_network
from meddl.networks.eight_bit import dequantize, quantize
from meddl.networks.inference import ready_for_inference
from meddl.segmentation.brain.loaded_model import SegmentationModel, load_model
from meddl.segmentation.imported.segment_by_recipe import labels_by_recipe
from meddl.training import loop
from meddl.training.supervised.patches import PatchSampler

_FRACTIONS = (0.75, 0.625, 0.5, 0.375, 0.25)  # of the channels, the widest first
_MARGIN = 1.05  # of the speed that is asked for: timings vary
_TIMINGS = 3
_VALIDATED = 4  # of the cases to learn from, while learning
_PATCHES, _LEARNING_RATE = 2, 2e-3
_LEFT_OUT = ("usual_confidence", "calibration")
_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class ShrunkModel:
    """What a compression gives.

    Attributes:
        card: of the new model, which is installed.
        figures: `seconds` of a volume (on a CPU, of its threads), `parameters` and `bytes` as (before, after);
            `speedup`; `dice` as (before, after) where there are labels; `agreement`, the mean Dice with the labels
            before; `structures`, by name the mean Dice over the cases as (before, after), with the labels before where
            there are no others; `equal_labels`, the fraction of voxels whose label 8 bits did not change; `checked`,
            the number of cases.
        notes: what was not done, and why.
    """

    card: ModelCard
    figures: dict[str, Any]
    notes: tuple[str, ...] = ()


class ShrinkRefusal(ModelError):
    """A smaller form of a model is not fast or accurate enough.

    Attributes:
        figures: as of `ShrunkModel`, as far as they were measured.
    """

    def __init__(self, message: str, figures: dict[str, Any]):
        super().__init__(message)
        self.figures = figures


def shrink_model(identifier: str, volumes: str | Path, labels: str | Path | None = None, *,
                 name: str | None = None, config: ShrinkConfig | None = None, device: str = "auto",
                 store: ModelStore | None = None, on_progress: ProgressCallback | None = None) -> ShrunkModel:
    """Make a faster and smaller model of an installed one, and install it under a name of its own.

    Channels are removed, the widest network that is fast enough learns the scores of the large one on most of the
    volumes (structured pruning, then distillation), and a fifth of them checks the result. Weights are then stored in 8
    bits where labels stay equal.

    Args:
        identifier: of a segmentation model with one recipe: trained here or imported.
        volumes: folder of volumes like those that it is for, as of `meddl.segment_many`; three at least.
        labels: folder of label maps of the volumes that are checked, on their voxels, with the model's values; None:
            the large model's labels are the truth.
        name: of the new model, whose identifier is made of it; default: the model's with "small" behind it.

    Raises:
        ModelNotFoundError: there is no such model.
        ModelError: it cannot be shrunk.
        ShrinkRefusal: the small one is not fast or accurate enough; nothing has changed.
        InputError: too few volumes, labels that do not fit, or the name of the model itself.
        Cancelled: from `on_progress`; nothing has changed.
    """
    config, store = check_config(config, ShrinkConfig), store or ModelStore()
    reason = why_not_shrunk(store.card(identifier))
    if reason is not None:
        raise ModelError(reason)
    new = f"{identifier}-small" if name is None else identifier_of(name)
    if new == identifier:
        raise InputError(f"'{name}' is the name of the large model. Give the small one another.")
    learned, checked = split_cases(volumes, store.card(identifier).channel_names, config.seed)
    large = load_model(identifier, select_device(device), store)
    run = _Run(large, store, config, new, name or f"{large.card.name} (small)", load_checked(checked, labels))
    with tempfile.TemporaryDirectory(prefix="meddl-") as place:
        if config.prune:
            run.prune(learned, Path(place), span(on_progress, 0.0, 0.9))
        if config.eight_bit:
            report(on_progress, 0.92, "Storing weights in 8 bits")
            run.store_in_8_bits()
        card = run.install(Path(place) / "model", len(learned))
    report(on_progress, 1.0, "Done")
    return ShrunkModel(card, run.figures | {"bytes": (large.card.own_weights.bytes, card.own_weights.bytes)},
                       tuple(run.notes))


@dataclass
class _Run:
    """A compression on its way; `part` is the one network that is left, with float32 weights."""

    large: SegmentationModel
    store: ModelStore
    config: ShrinkConfig
    identifier: str
    name: str
    checked: list[CheckedCase]
    figures: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipe = self.large.card.recipe
        assert recipe is not None  # see why_not_shrunk
        self.recipe: Recipe = recipe
        self.parts = self.recipe.networks
        self.arguments = {name: dict(self.large.card.networks[name].arguments) for name in self.parts}
        self.networks = {name: read_network(self.large.card, name, self.store) for name in self.parts}
        self.labels = [self.segment(self.large, case) for case in self.checked]
        self.small, self.eight_bit = self.large, False
        self.figures["checked"] = len(self.checked)

    def segment(self, model: SegmentationModel, case: CheckedCase) -> np.ndarray:
        """Label values of a case, computed in float32 throughout."""
        return labels_by_recipe(model, case.volume, StageClock(), exact=True)

    def model_of(self, networks: dict[str, nn.Module]) -> SegmentationModel:
        """These networks in the place of the large model's, ready to run."""
        card = parse_card(self.content({"file": _WEIGHTS, "sha256": "0" * 64, "bytes": 1}, 0))
        ready = {name: ready_for_inference(copy.deepcopy(one), self.large.device) for name, one in networks.items()}
        return SegmentationModel(card, ready, self.large.device, self.large.values, self.large.mirror, None)

    def prune(self, cases: list, folder: Path, on_progress: ProgressCallback | None) -> None:
        """Put a narrower network in the place of all, where it is fast and accurate enough.

        Raises:
            ModelError: it is not.
        """
        network = self._distill(self._narrow(), cases, folder, on_progress)
        self.networks = {self.parts[0]: network}
        self.small = self.model_of(self.networks)
        self._check_accuracy()

    def _narrow(self) -> nn.Module:
        """The widest network that is fast enough, with the weights of its channels."""
        (part, *_), large = self.parts, self.networks
        architecture, arguments = self.large.card.networks[part].architecture, self.arguments[part]
        sizes = [n or 32 for n in self.recipe.windows.patch_voxels]
        image = torch.randn(1, len(self.recipe.inputs), *sizes)
        parameters, tried = sum(map(parameters_of, large.values())), 0.0
        for fraction in _FRACTIONS:
            narrower = narrower_arguments(architecture, arguments, fraction)
            if narrower == self.arguments[part]:
                continue
            student = prune(large[part], architecture, narrower, image)
            self.parts, self.arguments = (part,), {part: narrower}
            before, after = self._seconds(self.model_of({part: student}))
            tried = max(tried, before / after)
            if before / after >= _MARGIN * self.config.speedup:
                self.figures |= {"seconds": (before, after), "speedup": before / after,
                                 "parameters": (parameters, parameters_of(student))}
                return student
        raise self._refusal(f"with a quarter of the channels it is {tried:.2f} times as fast; {self.config.speedup:g} "
                            f"times need {_MARGIN * self.config.speedup:.2f}, since timings vary")

    def _seconds(self, small: SegmentationModel) -> tuple[float, float]:
        """Of one of the checked volumes by both models, in turns; the least of several each, by `device_clock`."""
        case = max(self.checked, key=lambda one: one.volume.data.size)
        spent: tuple[list[float], list[float]] = ([], [])
        for _ in range(_TIMINGS + 1):  # the first one chooses the precision
            for model, times in zip((self.large, small), spent, strict=True):
                begin = device_clock(self.large.device)
                self.segment(model, case)
                times.append(device_clock(self.large.device) - begin)
        return min(spent[0][1:]), min(spent[1][1:])

    def _distill(self, student: nn.Module, cases: list, folder: Path,
                 on_progress: ProgressCallback | None) -> nn.Module:
        names = self.recipe.networks
        teachers = [self.large.networks[name] for name in names]

        def teacher(images: torch.Tensor) -> torch.Tensor:
            total = teachers[0](images)
            for one in teachers[1:]:
                total = total + one(images)
            return total / len(teachers)

        prepared = prepare_unlabeled(cases, self.large, self.recipe, teacher, folder, span(on_progress, 0.0, 0.1))
        spacing = next((step.arguments["spacing_mm"] for step in self.recipe.steps
                        if step.name == "resample" and "spacing_mm" in step.arguments), (1.0,) * 3)
        patch = [n or size for n, size in zip(self.recipe.windows.patch_voxels, prepared[0].classes.shape, strict=True)]
        torch.manual_seed(self.config.seed)
        sampler = PatchSampler(prepared, patch, _PATCHES, [size or 1.0 for size in spacing], self.config.seed)
        task = DistillationTask(student, teacher, self.recipe, sampler, prepared[:_VALIDATED], self.large.device)
        options = loop.LoopOptions.of_length(self.config.minutes, self.config.steps, learning_rate=_LEARNING_RATE,
                                             warmup_steps=20, ema_decay=0.99, keep_best=True, validate_first=True)
        weights = loop.train(task, folder / "run", options, self.large.device, span(on_progress, 0.1, 1.0)).state_dict()
        (part,) = self.parts
        found = build_network(self.large.card.networks[part].architecture, dict(self.arguments[part]))
        load_into(found, {name: weights[name].cpu() for name in found.state_dict()})
        return found

    def _check_accuracy(self) -> None:
        found = [self.segment(self.small, case) for case in self.checked]
        same = float(np.mean([agreement(*pair) for pair in zip(found, self.labels, strict=True)]))
        self.figures["agreement"] = same
        truths = [case.truth for case in self.checked if case.truth is not None]
        self.figures["structures"] = self._by_structure(found, truths or self.labels)
        if not truths:
            loss, what = 1 - same, "mean Dice with the large model's labels"
        else:
            before, after = (_mean_dice(one, truths, self.large.values[1:]) for one in (self.labels, found))
            self.figures["dice"] = (before, after)
            loss, what = before - after, "mean Dice"
        self.labels = found
        if loss > self.config.dice_loss:
            raise self._refusal(f"it loses {loss:.4f} of the {what}, more than {self.config.dice_loss:g}; more volumes "
                                "or minutes may help")

    def _by_structure(self, found: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> dict[str, tuple]:
        """Mean Dice of each structure that is in some truth, by the large model and as found now."""
        return {label.name: tuple(_mean_dice(one, truths, (label.value,)) for one in (self.labels, found))
                for label in self.large.card.labels if any((truth == label.value).any() for truth in truths)}

    def _refusal(self, reason: str) -> ShrinkRefusal:
        return ShrinkRefusal(f"'{self.large.card.id}' was not shrunk: {reason}. Nothing has changed.", self.figures)

    def store_in_8_bits(self) -> None:
        """Round the weights, where enough labels stay equal.

        Raises:
            ModelError: they do not, and nothing else was asked for.
        """
        rounded = copy.deepcopy(self.networks)
        for network in rounded.values():
            load_into(network, dequantize(quantize(network.state_dict())))
        model = self.model_of(rounded)
        equal = [self.segment(model, case) == labels for case, labels in zip(self.checked, self.labels, strict=True)]
        fraction = float(sum(one.sum() for one in equal) / sum(one.size for one in equal))
        self.figures["equal_labels"] = fraction
        self.eight_bit = fraction >= self.config.equal_labels
        if not self.eight_bit:
            reason = (f"8 bits keep the label of {100 * fraction:.2f} % of the voxels, not "
                      f"{100 * self.config.equal_labels:g} %")
            if not self.config.prune:
                raise self._refusal(reason)
            self.notes.append(f"Weights stay in 32 bits: {reason}.")

    def content(self, weights: dict, learned: int) -> dict:
        """The new card's content."""
        content = json.loads((self.store.folder(self.large.card.id) / CARD_FILE).read_text(encoding="utf-8"))
        old, part = self.large.card, self.parts[0]
        networks = {name: content["networks"][name] | {"arguments": self.arguments[name]} for name in self.parts}
        how = [f"channels pruned, distilled on {learned} volumes"] if self.config.prune else []
        how += ["weights in 8 bits"] if self.eight_bit else []
        command = f"meddl models shrink {old.id} --volumes VOLUMES" + (" --labels LABELS" if self._has_truth else "")
        length = f"--minutes {self.config.minutes:g}" if self.config.steps is None else f"--steps {self.config.steps}"
        content = {key: value for key, value in content.items() if key not in _LEFT_OUT}
        return content | {
            "id": self.identifier, "name": self.name, "weights": weights, "networks": networks,
            "recipe": content["recipe"] | {"networks": list(self.parts)},
            "training": {"data": f"{old.id} {old.version}: {', '.join(how) or 'as it was'}. "
                                 f"That model: {old.training.data}", "data_license": old.training.data_license,
                         "command": f"{command} {length}", "date": datetime.date.today().isoformat()},
            "accuracy": self._accuracy(f"{command} {length}", weights["sha256"]) if learned else [],
            "limits": f"{old.limits} A smaller form of {old.id}, checked on {len(self.checked)} volumes alone."
        } | ({"description": f"{old.description} Network {part} with fewer channels."} if self.config.prune else {})

    @property
    def _has_truth(self) -> bool:
        return any(case.truth is not None for case in self.checked)

    def _accuracy(self, command: str, sha256: str) -> list[dict]:
        entries = []
        for number, (case, found) in enumerate(zip(self.checked, self.labels, strict=True), start=1):
            if case.truth is None:
                continue
            for label in self.large.card.labels:
                if np.any(case.truth == label.value):
                    value = float(dice(found, case.truth, (label.value,))[0])
                    entries.append({"case": f"case {number}", "structure": label.name, "metric": "Dice",
                                    "value": round(value, 4), "command": command, "sha256": sha256})
        return entries

    def install(self, folder: Path, learned: int) -> ModelCard:
        """Write card and weights, and install them."""
        folder.mkdir()
        tensors = {f"{name}.{key}": tensor for name, network in self.networks.items()
                   for key, tensor in network.state_dict().items()}
        stated = save_weights(quantize(tensors) if self.eight_bit else tensors, folder / _WEIGHTS)
        (folder / CARD_FILE).write_text(json.dumps(self.content(stated, learned), indent=1, ensure_ascii=False) + "\n",
                                        encoding="utf-8")
        card = self.store.install(folder)
        if self.store.license_accepted(self.large.card.id):
            self.store.accept_license(card.id)
        return card


def _mean_dice(found: Sequence[np.ndarray], truths: Sequence[np.ndarray], values: Sequence[int]) -> float:
    """Over the cases and the structures that are in their truth."""
    figures: list[float] = []
    for labels, truth in zip(found, truths, strict=True):
        present = [value for value in values if (truth == value).any()]
        figures += dice(labels, truth, present).tolist() if present else []
    return float(np.mean(figures)) if figures else 1.0
