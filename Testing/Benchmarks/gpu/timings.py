"""Time and memory of the three verbs on inputs of the goals' sizes, beside the floor."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

import meddl
from gpu import inputs
from gpu.machine import Ceilings
from gpu.measured import measured
from gpu.precision import computing_in
from gpu.sizes import Sizes
from gpu.steps import Step
from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.core.device import fast_dtype


class Timings:
    """The verbs on one device."""

    def __init__(self, device: torch.device, sizes: Sizes, ceilings: Ceilings, scratch: Path):
        self.device, self.sizes, self.ceilings, self.scratch = device, sizes, ceilings, scratch
        fastest = str(fast_dtype(device)).removeprefix("torch.")
        on_gpu = device.type == "cuda"
        self.others = [mode for mode in ("float16", "tf32", "bfloat16", "float32") if mode != fastest] * on_gpu

    def steps(self) -> list[Step]:
        """As MedDL runs them first, then in other precisions; seconds on a GPU's machine."""
        models = [Step(f"nnU-Net {n} classes", 16, lambda _, n=n: self.nnunet(n))
                  for n in self.sizes.classes]
        others = []
        for mode in self.others:
            others += [Step(f"brain, {mode}", 6, lambda _, mode=mode: self.brain(mode)),
                       Step(f"nnU-Net {self.sizes.classes[0]} classes, {mode}", 10,
                            lambda _, mode=mode: self.nnunet(self.sizes.classes[0], mode))]
        if self.others:
            others.append(Step("super-resolution, float32", 4, lambda _: self.super_resolution("float32")))
        return [Step("brain", 10, lambda _: self.brain()),
                Step("registration, deformable", 20, lambda _: self.registration()),
                Step("super-resolution, network", 8, lambda _: self.super_resolution()), *models, *others]

    def brain(self, mode: str | None = None) -> dict:
        """A head of `sizes.volume` voxels."""
        head = inputs.head_of(self.sizes.volume_mm, self.sizes.volume)
        config = SegmentConfig(contrast_adaptation=self.sizes.adapted)
        return self._timed(lambda: meddl.segment(head, config=config, device=str(self.device)), mode)

    def registration(self) -> dict:
        """Two heads of their own shapes of `sizes.volume` voxels."""
        pair = [inputs.head_of(self.sizes.volume_mm, self.sizes.volume, "T1", seed) for seed in (1, 2)]
        config = RegisterConfig(transform_type="deformable")
        return self._timed(lambda: meddl.register(*pair, config, device=str(self.device)))

    def super_resolution(self, mode: str | None = None) -> dict:
        """A head of `sizes.thick` voxels to four times as many."""
        thick = inputs.head_of(self.sizes.thick_mm, self.sizes.thick)
        config = SuperResolveConfig(factor=4.0)
        return self._timed(lambda: meddl.super_resolve(thick, config, device=str(self.device)), mode)

    def nnunet(self, classes: int, mode: str | None = None) -> dict:
        """A large network with random weights on a volume of `sizes.body` voxels."""
        model = inputs.nnunet_model(self.scratch, self.sizes, classes)
        body = inputs.body_of(self.sizes)
        config = SegmentConfig(float32=mode in ("float32", "tf32"))
        return self._timed(lambda: meddl.segment(body, model=model, config=config, device=str(self.device)), mode)

    def _timed(self, run, mode: str | None = None) -> dict:
        """Without a mode as MedDL and torch choose."""
        with contextlib.nullcontext() if mode is None else computing_in(mode):
            rounded = self.device.type == "cuda" and torch.backends.cudnn.allow_tf32
            found, result = measured(run, self.device, self.ceilings, "tf32" if rounded else "float32",
                                     self.sizes.repeats)
        return {"mode": mode or "as it is"} | found | {"report": result.report}
