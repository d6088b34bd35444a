"""The same work on the CPU in float32 and on the GPU: how far the answers lie apart, and how far they may."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

import meddl
from gpu import agreement, inputs
from gpu.precision import computing_in
from gpu.sizes import Sizes
from gpu.steps import Step
from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.core.device import in_fast_precision
from meddl.models.store.store import ModelStore
from meddl.networks.cpu.fast_training import ready_for_training
from meddl.synthesis import SynthesisConfig
from meddl.synthesis.generator import Batch
from meddl.training.segmentation.head_tasks import SegmenterTask

# At least (Dice of the worst class) or at most, by mode. Random networks hardly prefer one class to another.
BRAIN_DICE = {"float32": 0.99, "fastest": 0.97}
RANDOM_DICE = {"float32": 0.995, "fastest": 0.9}
LARGEST_MM = {"rigid": 0.05, "affine": 0.1, "deformable": 0.5}
PSNR_APART_DB, PSNR_BETWEEN_DB = 0.05, 50.0
GRADIENTS = {"float32": 1e-2, "fastest": 0.15}
LEARNING_RATE = 1e-3


class Parity:
    """Answers of the CPU, each computed once, and the same on the device."""

    def __init__(self, device: torch.device, sizes: Sizes, scratch: Path):
        self.device, self.sizes, self.scratch = device, sizes, scratch
        self._on_cpu = lru_cache(maxsize=None)(self._segment_on_cpu)

    def steps(self) -> list[Step]:
        """In the order of their value; seconds on a GPU's machine."""
        quick = self.sizes.repeats == 1
        found = [Step("brain, float32", 12, lambda _: self.brain("float32")),
                 Step("brain, fastest precision", 6, lambda _: self.brain("fastest")),
                 *(Step(f"register, {kind}", 4, lambda _, kind=kind: self.register(kind)) for kind in LARGEST_MM),
                 Step("super_resolve, network", 4, lambda _: self.super_resolve())]
        for name, make in (("nnU-Net", self._nnunet), ("MONAI bundle", self._bundle)):
            found += [Step(f"{name}, {mode}", 4, lambda _, make=make, mode=mode: self.imported(make, mode))
                      for mode in (("float32",) if quick else ("float32", "fastest"))]
        return found + [Step(f"training step, {mode}", 8, lambda _, mode=mode: self.training_step(mode))
                        for mode in GRADIENTS]

    def brain(self, mode: str) -> dict:
        """Labels of the embedded head."""
        few = self.sizes.few_voxels
        wanted = self._on_cpu("brain")
        found = self._segment_on(self.device, "brain", mode)
        figures = agreement.of_labels(found.labels, wanted.labels, few)
        return _judged(figures | {"report": found.report}, figures["smallest_dice"] >= BRAIN_DICE[mode],
                       f"Dice of each class of {few} voxels >= {BRAIN_DICE[mode]}")

    def imported(self, make, mode: str) -> dict:
        """Labels of a model of another tool with random weights."""
        model = make()
        wanted, found = self._on_cpu(model), self._segment_on(self.device, model, mode)
        figures = agreement.of_labels(found.labels, wanted.labels, self.sizes.few_voxels)
        return _judged(figures | {"report": found.report}, figures["smallest_dice"] >= RANDOM_DICE[mode],
                       f"Dice of each class >= {RANDOM_DICE[mode]}")

    def register(self, kind: str) -> dict:
        """Two heads of their own shapes."""
        pair = [inputs.head_of(self.sizes.head_mm, None, "T1", seed) for seed in (1, 2)]
        config = RegisterConfig(transform_type=kind)
        with computing_in("float32"):
            wanted, found = (meddl.register(*pair, config, device=name) for name in ("cpu", str(self.device)))
        figures = agreement.of_maps(found, wanted, pair[0])
        return _judged(figures | {"report": found.report}, figures["largest_mm"] <= LARGEST_MM[kind],
                       f"displacements apart by <= {LARGEST_MM[kind]} mm")

    def super_resolve(self) -> dict:
        """A head's thick slices; its thin ones are the truth."""
        fine = self.sizes.head_mm
        thick, truth = (inputs.head_of((fine, fine, third)) for third in (3 * fine, fine))
        results = [meddl.super_resolve(thick, SuperResolveConfig(factor=3.0), device=name)
                   for name in ("cpu", str(self.device))]
        wanted, found = (result.volume.scalar_data for result in results)
        shape = tuple(map(min, zip(found.shape, truth.shape, strict=True)))
        real = inputs.fitted(truth, shape).scalar_data
        levels = [agreement.psnr_db(inputs.fitted(r.volume, shape).scalar_data, real) for r in results]
        between = agreement.psnr_db(found, wanted)
        figures = {"psnr_cpu_db": levels[0], "psnr_db": levels[1], "psnr_between_db": between,
                 "report": results[1].report}
        fits = abs(levels[1] - levels[0]) <= PSNR_APART_DB and between >= PSNR_BETWEEN_DB
        return _judged(figures, fits, f"PSNR against the truth apart by <= {PSNR_APART_DB} dB, "
                                    f"between the two >= {PSNR_BETWEEN_DB} dB")

    def training_step(self, mode: str) -> dict:
        """Loss, gradients and weights of one step of the brain's segmenter from the same weights and images."""
        places = [torch.device("cpu"), self.device]
        network, batch = self._training_start()
        runs = []
        for place in places:
            task = self._task(place)
            task.network = ready_for_training(copy.deepcopy(network).to(place))
            moved = Batch(*(part.to(place) for part in (batch.images, batch.rows, batch.seen)))
            fast = mode == "fastest" and place.type != "cpu"
            runs.append(_one_step(task, moved, None if fast else "float32"))
        (loss, gradients, weights), (other_loss, others, other_weights) = runs
        figures = {"loss_cpu": loss, "loss": other_loss, "gradients": agreement.of_gradients(others, gradients),
                 "weights": agreement.of_gradients(other_weights, weights)}
        return _judged(figures, figures["gradients"]["relative"] <= GRADIENTS[mode],
                       f"gradients apart by <= {GRADIENTS[mode]} of their norm")

    def _segment_on_cpu(self, model: str):
        return self._segment_on(torch.device("cpu"), model, "float32")

    def _segment_on(self, device: torch.device, model: str, mode: str):
        head = inputs.head_of(self.sizes.head_mm)
        config = SegmentConfig(float32=mode == "float32", contrast_adaptation=self.sizes.adapted)
        with computing_in(mode) if mode == "float32" else contextlib.nullcontext():
            return meddl.segment(head, model=model, config=config, device=str(device))

    def _nnunet(self) -> str:
        return inputs.nnunet_model(self.scratch, _small_network(self.sizes), 6)

    def _bundle(self) -> str:
        return inputs.bundle_model(self.scratch)

    def _task(self, place: torch.device) -> SegmenterTask:
        card = ModelStore().card("brain").networks["segmenter"]
        maps = inputs.label_maps(self.scratch / "labelmaps").to(place)
        config = SynthesisConfig(spacing_mm=card.spacing_mm * card.patch_voxels[0] / self.sizes.training_patch[0],
                                 shape=self.sizes.training_patch)
        arguments = card.arguments
        return SegmenterTask(maps, maps, config, 1, arguments["widths"], arguments["refine_channels"])

    @lru_cache(maxsize=1)  # noqa: B019 - one object a run
    def _training_start(self) -> tuple[torch.nn.Module, Batch]:
        torch.manual_seed(0)
        task = self._task(torch.device("cpu"))
        return task.network, task.sample(1.0)


def _one_step(task: SegmenterTask, batch: Batch, mode: str | None) -> tuple[float, dict, dict]:
    """Loss, gradients and weights after one step, on the CPU."""
    place = batch.images.device
    optimizer = torch.optim.AdamW(task.network.parameters(), lr=LEARNING_RATE, fused=True)
    with computing_in(mode) if mode else contextlib.nullcontext():
        with in_fast_precision(place):
            loss = task.loss(task.network, batch)
        loss.backward()
    named = list(task.network.named_parameters())
    gradients = {name: parameter.grad.detach().cpu().clone() for name, parameter in named}
    optimizer.step()
    return loss.item(), gradients, {name: parameter.detach().cpu().clone() for name, parameter in named}


def _small_network(sizes: Sizes) -> Sizes:
    return replace(sizes, features=(8, 16, 16), patch=(32, 32, 32) if sizes.repeats > 1 else (16, 16, 16),
                   spacing_mm=(sizes.head_mm,) * 3)


def _judged(figures: dict, fits: bool, limit: str) -> dict:
    return {"fits": bool(fits), "limit": limit} | figures
