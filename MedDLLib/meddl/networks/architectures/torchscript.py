"""A TorchScript program as a network: kept as mere bytes, loaded when it first runs, in a worker process only."""

import hashlib
import io

import torch
from torch import nn

from meddl.core.device_fallback import device_failure, is_out_of_memory
from meddl.core.errors import IntegrityError, ModelError
from meddl.core.program_trust import programs_allowed

_MAXIMUM_BYTES = 8 << 30


class TorchScriptNetwork(nn.Module):
    """Runs a program whose SHA-256 the user confirmed.

    Args:
        sha256: of the program.
        size_bytes: of the program.
        out_channels: of its scores.

    Raises:
        ValueError: an impossible size.
    """

    one_image = True  # what a program was traced with is often written into it

    def __init__(self, sha256: str, size_bytes: int, out_channels: int):
        super().__init__()
        if not 0 < size_bytes <= _MAXIMUM_BYTES:
            raise ValueError(f"size_bytes is 1 to {_MAXIMUM_BYTES}; got {size_bytes}")
        self.register_buffer("program", torch.zeros(size_bytes, dtype=torch.uint8))
        self.sha256, self.out_channels = sha256, out_channels
        self._loaded: dict[str, torch.jit.ScriptModule] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (B, out_channels, x, y, z) of an image (B, C, x, y, z).

        Raises:
            ModelError: this is no worker process, or the program gives something else or fails.
            IntegrityError: the program is not the one that was confirmed.
        """
        if x.device.type == "meta":  # what a program costs is not known before it runs
            return x.new_empty((x.shape[0], self.out_channels, *x.shape[2:]))
        program = self._program(x.device)
        try:
            scores = program(x)
        except (RuntimeError, TypeError, ValueError) as error:
            if is_out_of_memory(error) or (x.device.type != "cpu" and device_failure(error) is not None):
                raise
            raise ModelError(f"The TorchScript model failed: {str(error).strip().splitlines()[-1][:300]}") from error
        if isinstance(scores, (list, tuple)) and scores:
            scores = scores[0]
        if not isinstance(scores, torch.Tensor) or scores.shape != (x.shape[0], self.out_channels, *x.shape[2:]):
            shape = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
            raise ModelError(f"The TorchScript model gives {shape} for an image {tuple(x.shape)}; its description "
                             f"promises {self.out_channels} channels of the same size.")
        return scores

    def _program(self, device: torch.device):
        if not programs_allowed():
            raise ModelError("A TorchScript model is a program and runs in MedDL's worker process alone. In Slicer "
                             "that is so; in Python call "
                             "meddl.worker.Worker().call('meddl.segmentation.segment:segment', volume, model).")
        if str(device) not in self._loaded:
            content = self.program.cpu().numpy().tobytes()
            if hashlib.sha256(content).hexdigest() != self.sha256:
                raise IntegrityError("The TorchScript program is not the one that was confirmed. Import it again.")
            try:
                self._loaded = {str(device): torch.jit.load(io.BytesIO(content), map_location=device).eval()}
            except (RuntimeError, ValueError) as error:
                if device.type != "cpu" and device_failure(error) is not None:
                    raise
                raise ModelError(f"The TorchScript model cannot be loaded: {str(error).strip().splitlines()[0][:300]}"
                                 ) from error
        return self._loaded[str(device)]
