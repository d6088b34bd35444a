"""What follows a series of one run: its range of values, its noise, and the temporal filter's network."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from meddl.core.progress import ProgressCallback
from meddl.io import VolumeLike, as_volume
from meddl.io.series import check_frame
from meddl.models.loaded_networks import load_networks
from meddl.networks.recurrent.temporal_filter import Memory, begin
from meddl.series.blocks import update_in_blocks
from meddl.series.config import MODEL, DenoiseSeriesConfig
from meddl.series.noise import estimate_noise
from meddl.spatial.resample import to_tensor
from meddl.spatial.volume import Volume
from meddl.superres.acquisition.value_range import ValueRange
from meddl.superres.job import value_limits

_OFFSET = 16.0  # of the least intensity over their range, up to which intensities count from zero


class Follower:
    """Brings frames to a common range, and updates the memory of them.

    Attributes:
        values: the common range; zero stays zero where no intensity is negative.
        noise: of a frame, in this range.
        network: of the temporal filter.
        model: its card's identifier and version.

    Args:
        first: the frames from which range and noise are estimated.
    """

    def __init__(self, first: Sequence[Volume], config: DenoiseSeriesConfig, device: torch.device):
        self.config, self.device = config, device
        frames = [frame.scalar_data for frame in first]
        self.values = ValueRange.of(frames[0])
        if 0 <= self.values.floor < _OFFSET * self.values.width and min(frame.min() for frame in frames) >= 0:
            self.values = ValueRange(0.0, self.values.floor + self.values.width)
        stated = None if config.noise_sigma is None else config.noise_sigma / self.values.width
        self.noise = estimate_noise([self.values.to_unit(frame) for frame in frames],
                                    int(np.argmax(first[0].spacing_mm)), stated, config.varying_noise, device)
        card, networks = load_networks(config.model or MODEL, "denoise", device)
        self.network, self.model = next(iter(networks.values())), f"{card.id} {card.version}"

    def unit(self, frame: Volume) -> torch.Tensor:
        """A frame in the common range, (1, 1, I, J, K)."""
        return to_tensor(self.values.to_unit(frame.scalar_data), self.device)[None, None]

    def follow(self, memory: Memory | None, frame: torch.Tensor, on_progress: ProgressCallback | None = None) -> Memory:
        """The memory after a frame; without noise the frame itself."""
        if self.noise.sigma <= 0:
            return begin(frame)
        return update_in_blocks(self.network, memory, frame, self.noise.of_frame(frame), self.config.memory_frames,
                                self.config.sensitivity, on_progress)


def checked_frames(frames: Iterable[VolumeLike]) -> Iterator[Volume]:
    """Frames as volumes of one channel on one grid, with finite values, one by one.

    Raises:
        InputError: one that is not, with its number from 0.
    """
    first = None
    for number, one in enumerate(frames):
        frame = as_volume(one, f"frame {number}")
        first = frame if first is None else first
        check_frame(frame, number, first)
        value_limits(frame.data, f"Frame {number}")
        yield frame
