"""Choice of a network's precision on a CPU that is fast in bf16: measured on one window, and kept with the machine.

bf16 is taken where it is clearly faster for this network and finds the labels that float32 finds.
"""

import contextlib
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch

from meddl.core.device import computing_in, describe, in_fast_precision, may_choose
from meddl.core.paths import cache_folder, read_record, write_record
from meddl.models.cards import ModelCard
from meddl.models.recipes import Output, Recipe
from meddl.segmentation.imported.labels_on_volume import activate
from meddl.segmentation.imported.sliding_window import window_of_most

LEAST_SPEEDUP = 1.3
LEAST_AGREEMENT = 0.999  # of voxels
LEAST_DICE, DICE_VOXELS = 0.995, 1000  # of each class of so many voxels
_FILE = "precision.json"
_RUNS = 2  # of each precision; the first one also prepares


@dataclass(frozen=True)
class PrecisionChoice:
    """What was measured on the window, bf16 against float32.

    Attributes:
        speedup: CPU seconds in float32 over those in bf16.
        agreement: fraction of voxels with the same label.
        smallest_dice: of the classes of at least `DICE_VOXELS` voxels; 1 where there are none.
    """

    speedup: float
    agreement: float
    smallest_dice: float

    @property
    def dtype(self) -> torch.dtype:
        """The precision that is to be taken."""
        good = (self.speedup >= LEAST_SPEEDUP and self.agreement >= LEAST_AGREEMENT
                and self.smallest_dice >= LEAST_DICE)
        return torch.bfloat16 if good else torch.float32


@contextlib.contextmanager
def in_best_precision(network: torch.nn.Module, card: ModelCard, recipe: Recipe, image: torch.Tensor, exact: bool,
                      figures: dict) -> Iterator[None]:
    """Within it, the recipe's networks compute in the precision that was measured to be best.

    Args:
        network: the first of the recipe's.
        image: (C, x, y, z), ready for the networks.
        exact: float32 is asked for: nothing is measured, nor where `may_choose` says no.
        figures: gets "precision_choice": the precision, what was measured, and whether that was in an earlier run.
    """
    if exact or not may_choose(image.device):
        yield
        return
    key = f"{_machine(image.device)}, {card.own_weights.sha256[:16]} {recipe.networks[0]} {recipe.windows.patch_voxels}"
    choice, known = _read_choice(key), True
    if choice is None:
        foreground = image[0] > image[0].mean()
        choice, known = measure(network, window_of_most(image, foreground, recipe.windows), recipe.output), False
        with contextlib.suppress(OSError):  # what cannot be kept is measured again
            write_record(cache_folder() / _FILE, read_record(cache_folder() / _FILE) | {key: asdict(choice)})
    figures["precision_choice"] = {"precision": str(choice.dtype).removeprefix("torch."), "earlier": known,
                                   **{name: round(value, 5) for name, value in asdict(choice).items()}}
    with computing_in(choice.dtype):
        yield


@torch.no_grad()
def measure(network: Callable[[torch.Tensor], torch.Tensor], window: torch.Tensor, output: Output) -> PrecisionChoice:
    """bf16 against float32 on one window (1, C, ...)."""
    seconds, labels = {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        runs = []
        for _ in range(_RUNS):
            begun = _clock()
            with computing_in(dtype), in_fast_precision(window.device):
                scores = network(window)
            runs.append(_clock() - begun)
        seconds[dtype] = min(runs)
        labels[dtype] = _labels(activate(scores[0].float(), output), output)
    wanted, found = labels[torch.float32], labels[torch.bfloat16]
    return PrecisionChoice(seconds[torch.float32] / max(seconds[torch.bfloat16], 1e-9),
                           float((wanted == found).all(dim=0).double().mean()), _smallest_dice(wanted, found))


def _labels(scores: torch.Tensor, output: Output) -> torch.Tensor:
    """The best class (1, ...) of scores (C, ...), or which regions (C, ...) a voxel is in."""
    return scores.argmax(dim=0, keepdim=True) if output.kind == "classes" else (scores > 0).long()


def _smallest_dice(wanted: torch.Tensor, found: torch.Tensor) -> float:
    """Over classes, and over regions, each a structure of its own."""
    smallest = 1.0
    for one, other in zip(wanted, found, strict=True):
        for value, count in zip(*(part.tolist() for part in one.unique(return_counts=True)), strict=True):
            if count >= DICE_VOXELS:
                here, there = one == value, other == value
                smallest = min(smallest, float(2 * (here & there).sum() / (here.sum() + there.sum())))
    return smallest


def _read_choice(key: str) -> PrecisionChoice | None:
    try:
        kept = read_record(cache_folder() / _FILE)[key]
        return PrecisionChoice(**{name: float(value) for name, value in kept.items()})
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _machine(device: torch.device) -> str:
    return f"{platform.processor() or platform.machine()}, {describe(device)}, torch {torch.__version__}"


def _clock() -> float:
    """Of this process's work: other programs do not spoil what is kept."""
    return time.process_time() / torch.get_num_threads()
