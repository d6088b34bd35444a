"""Ways to run the same network on one window: precisions, layouts, CUDA graphs, torch.compile."""

from __future__ import annotations

from pathlib import Path

import torch

from gpu import inputs
from gpu.floor import WorkCounter
from gpu.machine import Ceilings, seconds_of
from gpu.precision import MODES, computing_in
from gpu.sizes import Sizes
from gpu.steps import Skipped, Step
from meddl.models.loaded_networks import load_networks

LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last_3d}


class Variants:
    """The brain's segmenter and the larger nnU-Net, each on one window of random numbers."""

    def __init__(self, device: torch.device, sizes: Sizes, ceilings: Ceilings, scratch: Path):
        self.device, self.sizes, self.ceilings, self.scratch = device, sizes, ceilings, scratch
        self.mode = "bfloat16" if device.type == "cuda" else "float32"

    def steps(self) -> list[Step]:
        """In the order of their value; seconds on a GPU's machine."""
        found = []
        for name in ("brain", "nnU-Net"):
            modes = MODES if self.device.type == "cuda" else ("float32",)
            found += [Step(f"{name}, precisions and layouts", 8, lambda _, name=name, modes=modes:
                           {"runs": [self.layout(name, mode, layout) for mode in modes for layout in LAYOUTS]}),
                      Step(f"{name}, CUDA graph", 5, lambda _, name=name: self.graph(name)),
                      Step(f"{name}, torch.compile", 60, lambda _, name=name: self.compiled(name))]
        return found

    def layout(self, name: str, mode: str, layout: str) -> dict:
        """Seconds of a window, and its floor."""
        network, image = self._network(name), self._image(name)
        order = LAYOUTS[layout]
        network, image = network.to(memory_format=order), image.contiguous(memory_format=order)
        with torch.no_grad(), computing_in(mode) as dtype, self._autocast(dtype):
            with WorkCounter(self.device) as counter:
                network(image)
            seconds = seconds_of(lambda: network(image), self.device, max(2, 3 * self.sizes.repeats))
        network.to(memory_format=LAYOUTS["channels-last"])
        return {"mode": mode, "layout": layout, "seconds": seconds} | counter.work.floor(self.ceilings, mode)

    def graph(self, name: str) -> dict:
        """The window launched as one graph beside its operations one by one."""
        self._only_on_cuda("CUDA graphs")
        network, image = self._network(name), self._image(name)
        with torch.no_grad(), self._autocast(MODES[self.mode], cache=False):
            plain = seconds_of(lambda: network(image), self.device)
            graph = torch.cuda.CUDAGraph()
            wanted = network(image)
            with torch.cuda.graph(graph):
                found = network(image)
            seconds = seconds_of(graph.replay, self.device)
            apart = float((found.float() - wanted.float()).abs().max())
        return {"mode": self.mode, "seconds_plain": plain, "seconds": seconds, "largest_difference": apart}

    def compiled(self, name: str) -> dict:
        """The window by torch.compile beside the network as it is."""
        self._only_on_cuda("torch.compile")
        network, image = self._network(name), self._image(name)
        with torch.no_grad(), self._autocast(MODES[self.mode]):
            plain = seconds_of(lambda: network(image), self.device)
            fast = torch.compile(network)
            first = seconds_of(lambda: fast(image), self.device, 1)
            seconds = seconds_of(lambda: fast(image), self.device)
            apart = float((fast(image).float() - network(image).float()).abs().max())
        return {"mode": self.mode, "seconds_plain": plain, "seconds_after_compiling": first, "seconds": seconds,
                "largest_difference": apart}

    def _network(self, name: str) -> torch.nn.Module:
        model = "brain" if name == "brain" else inputs.nnunet_model(self.scratch, self.sizes, self.sizes.classes[0])
        networks = load_networks(model, "segmentation", self.device)[1]
        return networks["segmenter"] if name == "brain" else next(iter(networks.values()))

    def _image(self, name: str) -> torch.Tensor:
        patch = self.sizes.training_patch if name == "brain" else self.sizes.patch
        generator = torch.Generator().manual_seed(0)
        image = torch.rand((1, 1, *patch), generator=generator).to(self.device)
        return image.contiguous(memory_format=LAYOUTS["channels-last"])

    def _autocast(self, dtype: torch.dtype, cache: bool = True):
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32, cache_enabled=cache)

    def _only_on_cuda(self, what: str) -> None:
        if self.device.type != "cuda":
            raise Skipped(f"{what} need a GPU of CUDA's" if what.endswith("s") else f"{what} is compared on CUDA only")
