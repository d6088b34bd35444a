"""The brain's training for the time that is left, with its weights kept every minute."""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import torch

from gpu.steps import Skipped, Step
from meddl.models.weights import save_weights
from meddl.training.segmentation import train

RESERVE_S = 45.0  # reading the label maps, the last validation, the export
ARGUMENTS = "--from brain --size small --locator-fraction 0 --batch 8"
WEIGHTS = "segmenter.safetensors"


class BrainTraining:
    """`meddl train segmentation` with a time limit.

    Args:
        data: the label maps' folder; None: nothing is trained.
        out: where averaged weights (float16), the log and the model go.
        scratch: where checkpoints go.
        arguments: more of the command's options.
        reserve_s: of the time, for what is not training.
        most_s: of training.
    """

    def __init__(self, device: torch.device, data: Path | None, out: Path, scratch: Path, arguments: str = ARGUMENTS,
                 reserve_s: float = RESERVE_S, most_s: float = float("inf")):
        self.device, self.data, self.out, self.scratch = device, data, out, scratch / "training"
        self.arguments, self.reserve_s, self.most_s = arguments, reserve_s, most_s

    def steps(self) -> list[Step]:
        """One."""
        return [Step("brain, training", 0.0 if self.data is None else self.reserve_s + 1, self.train)]

    def train(self, seconds: float) -> dict:
        """For so many seconds in all, reserve included."""
        if self.data is None:
            raise Skipped("no label maps given")
        hours = min(seconds - self.reserve_s, self.most_s) / 3600
        command = [*self.arguments.split(), "--data", str(self.data), "--out", str(self.scratch), "--device",
                   str(self.device), "--hours", f"{hours:.6f}", "--validate-minutes", "1"]
        parser = argparse.ArgumentParser()
        train.add_arguments(parser)
        begun = time.monotonic()
        lines = []

        def keep(figures) -> None:
            lines.append(f"{time.monotonic() - begun:.0f} s: step {figures.step}, loss {figures.loss:.3f}, score "
                         f"{figures.score:.3f}")
            self._keep()

        def go_on(_fraction: float, _message: str) -> None:
            """After each step; what is kept comes with each validation, as a preview."""

        go_on.preview = keep
        model = train.run(parser.parse_args(command), go_on)
        for file in model.iterdir():
            shutil.copyfile(file, self.out / f"brain-{file.name}")
        figures = {"command": " ".join(command), "progress": lines}
        if self.device.type == "cuda":
            figures["peak_allocated_mb"] = torch.cuda.max_memory_allocated(self.device) / 2**20
        return figures

    def _keep(self) -> None:
        """The averaged weights so far, and the log."""
        folder = self.scratch / "segmenter"
        if not (folder / "checkpoint.pt").is_file():
            return
        state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
        tensors = {f"segmenter.{name}": tensor for name, tensor in state["average"].items()}
        save_weights(tensors, self.out / WEIGHTS, {"step": str(state["step"])}, torch.float16)
        shutil.copyfile(folder / "log.csv", self.out / "log.csv")
