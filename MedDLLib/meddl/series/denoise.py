"""The verbs `meddl.denoise_series` and `meddl.denoise_frames`: a series of volumes with less noise."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from meddl.core.config import check_config
from meddl.core.device import describe, free_memory_bytes, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import InputError, OutOfMemoryError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.io import VolumeLike
from meddl.io.series import SeriesLike, each_frame, frames_of
from meddl.models.loaded_networks import load_networks
from meddl.results import SeriesDenoising
from meddl.series.blocks import at, combine
from meddl.series.config import MODEL, DenoiseSeriesConfig, needed_bytes
from meddl.series.fine_tuning import fine_tune
from meddl.series.follower import Follower, checked_frames
from meddl.series.local_pca import local_pca
from meddl.series.noise import LEAD_IN
from meddl.spatial.volume import Volume, as_type
from meddl.superres.acquisition.value_range import work_type
from meddl.superres.methods.blocks import over_blocks
from meddl.superres.methods.denoise import BLOCKING, RESIDUAL

NO_NOISE = "No noise was seen in the series: nothing was changed. State its standard deviation to remove some."
ONE_FRAME = "The series has one frame: it was denoised alone."
ONE_FRAME_LEFT = "The series has one frame, which has no components: nothing was changed."
_LARGEST_CORRECTION = 0.75  # standard deviations of the noise that is left: what is more is detail too often
_VARYING = 1.8  # spread of the noise from which on a map of it is suggested


def denoise_frames(frames: Iterable[VolumeLike], config: DenoiseSeriesConfig | None = None, *, device: str = "auto",
                   on_progress: ProgressCallback | None = None) -> Iterator[Volume]:
    """Denoise frames one by one as they come, each by those before it: what is held is a memory, never the series.

    Where the noise is not stated, the first frame comes out when the first eight are in, from which it is estimated.

    Args:
        frames: volumes of one channel on one grid, or paths; any iterable, also one without an end; or a series as of
            `denoise_series`.
        config: choices; its passes do not count, and neither do the seconds of fine-tuning, which need the series.
        device: auto, cpu, cuda, cuda:N or mps.
        on_progress: called with 0 and a message within each frame; it may raise `Cancelled`.

    Yields:
        For each frame a volume (1, I, J, K) on its grid.

    Raises:
        InputError: NaN or infinity, several channels, or another grid, with the number of the frame; a method that
            needs the whole series.
        ModelNotFoundError, ModelError: a model that cannot be used.
    """
    config = check_config(config, DenoiseSeriesConfig)
    if config.method != "recurrent":
        raise InputError(f"The method {config.method} needs the whole series: `meddl.denoise_series`. Frames one by "
                         "one are denoised by the method recurrent.")
    coming = checked_frames(each_frame(frames, "frames"))
    lead_in = list(islice(coming, LEAD_IN if config.noise_sigma is None or config.varying_noise else 1))
    if not lead_in:
        return
    run = _Run(lead_in, config, select_device(device))
    memory = None
    alive = None if on_progress is None else span(on_progress, 0.0, 0.0)
    for source in (lead_in, coming):
        for frame in source:
            memory = run.follower.follow(memory, run.follower.unit(frame), alive)
            yield run.finish(frame, memory.mean, memory.variance, alive)


def denoise_series(series: SeriesLike, config: DenoiseSeriesConfig | None = None, *, device: str = "auto",
                   on_progress: ProgressCallback | None = None) -> SeriesDenoising:
    """Denoise the frames of a series by a recurrent network that knows where they still agree, then spatially.

    A temporal filter averages the frames where nothing changes (see `networks.recurrent.temporal_filter`); then each
    frame is denoised by the network of the method *denoise* of `super_resolve`, for the noise that is left at each
    voxel, by at most three quarters of its standard deviation, so that edges stay. Frames
    are taken one after another: beside series and result, four bytes a voxel and frame are held for both passes,
    nothing for the forward one.

    Args:
        series: (T, I, J, K), the frames as channels; or volumes of one channel on one grid; or their paths.
        config: choices.
        device: auto, cpu, cuda, cuda:N or mps. A GPU that fails hands over to the CPU.

    Returns:
        The series. Its report has seconds, device, peak_memory_mb, warnings, frames, method, noise_sigma and reading
        (a sentence); of local PCA components, how many stay, mean over the blocks; else passes, noise_model (gaussian
        or rician), noise_spread (95th over 5th percentile over the volume; None for less than three frames),
        models, and frames_averaged: for each frame how many its values are a mean of, in terms of their noise, mean
        over the voxels; where it is low, something has moved. With fine-tuning, fine_tuning: its steps, and loss before
        and after.

    Raises:
        InputError: no frame, NaN or infinity, several channels, or another grid, with the number of the frame.
        ModelNotFoundError, ModelError: a model that cannot be used.
        OutOfMemoryError: the memory is not enough.
        Cancelled: from `on_progress`.
    """
    config = check_config(config, DenoiseSeriesConfig)
    clock = StageClock()
    warnings: list[str] = []
    with clock.stage("check"):
        given = frames_of(series)
        if not given:
            raise InputError("The series has no frames.")
        frames = []
        for number, frame in enumerate(checked_frames(given)):
            report(on_progress, 0.02 * number / len(given), "Reading the frames")
            frames.append(frame)
        final = frames[0].data.dtype if config.keep_type else work_type(frames[0].data.dtype)
        _check_memory(frames, final, config)
        chosen = select_device(device, warnings)
    out = Volume(np.empty((len(frames), *frames[0].shape), final), frames[0].affine)

    def on(where: torch.device) -> dict:
        if config.method == "local-pca":
            return _by_components(frames, out.data, clock, span(on_progress, 0.02, 1.0))
        run = _Run(frames[:LEAD_IN], config, where)
        return run.whole(frames, out.data, clock, span(on_progress, 0.02, 1.0))

    figures, used = with_cpu_fallback(on, chosen, warnings, _memory_message(frames))
    report(on_progress, 1.0, "Done")
    return SeriesDenoising(out, {
        "seconds": clock.seconds, "device": describe(used), "peak_memory_mb": round(peak_mb(), 1),
        "warnings": warnings + figures.pop("warnings"), "frames": len(frames), "method": config.method, **figures})


class _Run:
    """What is done with a frame, and with all.

    Args:
        first: the frames from which noise and range are estimated.
    """

    def __init__(self, first: Sequence[Volume], config: DenoiseSeriesConfig, device: torch.device):
        self.config, self.device = config, device
        self.follower = Follower(first, config, device)
        self.noise, self.values, self.models = self.follower.noise, self.follower.values, [self.follower.model]
        self.spatial = None
        if config.spatial:
            card, networks = load_networks(RESIDUAL, "denoise", device)
            self.spatial = next(iter(networks.values()))
            self.models.append(f"{card.id} {card.version}")

    def finish(self, frame: Volume, mean: torch.Tensor, variance: torch.Tensor,
               on_progress: ProgressCallback | None) -> Volume:
        """The mean that belongs to a frame, denoised spatially, in the frame's intensities and final type."""
        if self.noise.sigma <= 0:
            return frame if self.config.keep_type else frame.astype(work_type(frame.data.dtype))
        final = frame.data.dtype if self.config.keep_type else work_type(frame.data.dtype)
        if self.spatial is None:
            made = mean[0, 0].cpu().numpy()
        else:
            left = self.noise.of_mean(mean, variance)
            network = self.spatial

            def predict(part: torch.Tensor, where: tuple[slice, ...]) -> torch.Tensor:
                most = _LARGEST_CORRECTION * left[at(where)]
                change = network(part, left[at(where)]) - part
                return self.noise.signal(part + torch.clamp(change, -most, most))

            made = over_blocks(predict, [network], mean[0, 0].cpu().numpy(), BLOCKING, self.device, "Denoising",
                               on_progress)
        values = self.values.from_unit(made, work_type(frame.data.dtype).type)
        return Volume(as_type(values, final)[None], frame.affine)

    def whole(self, frames: Sequence[Volume], out: np.ndarray, clock: StageClock,
              on_progress: ProgressCallback | None) -> dict:
        """All frames into `out`, and what there is to say of them."""
        config, count, figures = self.config, len(frames), {}
        both = config.passes == "both" and count > 1 and self.noise.sigma > 0
        start, middle = (0.1 if config.seconds else 0.0), (0.3 if both and config.spatial else 0.5 if both else 0.0)
        if config.seconds and count > 1 and self.noise.sigma > 0:
            with clock.stage("fine-tuning"):
                self.follower.network, figures["fine_tuning"] = fine_tune(
                    config.model or MODEL, [frame.scalar_data for frame in frames], self.values, self.noise,
                    config, self.device, span(on_progress, 0.0, start))
        stored: list[tuple[torch.Tensor, torch.Tensor]] = []
        if both:
            with clock.stage("backward"):
                stored = self._backward(frames, span(on_progress, start, middle))
        averaged, memory = [], None
        for number, frame in enumerate(frames):
            part = span(on_progress, middle + (1 - middle) * number / count,
                        middle + (1 - middle) * (number + 1) / count, f"Frame {number + 1} of {count}: ")
            with clock.stage("forward"):
                unit = self.follower.unit(frame)
                memory = self.follower.follow(memory, unit, span(part, 0.0, 0.3))
                mean, variance = memory.mean, memory.variance
                if both:
                    difference, after = (one.to(self.device).float() for one in stored.pop())
                    mean, variance = combine(memory, self.noise.sigma * difference, after, unit)
                averaged.append(round(float((1 / variance).mean()), 2))
            with clock.stage("spatial"):
                out[number] = self.finish(frame, mean, variance, span(part, 0.3, 1.0)).data[0]
        sigma = self.noise.sigma * self.values.width
        reading = (f"Noise of a frame: {sigma:.4g}. Each frame is the mean of {min(averaged):.1f} to "
                   f"{max(averaged):.1f} frames, in terms of its noise.")
        return {**figures, "reading": reading, "passes": config.passes, "noise_sigma": sigma,
                "noise_model": "rician" if self.noise.magnitude else "gaussian", "noise_spread": self.noise.spread,
                "frames_averaged": averaged, "models": self.models, "warnings": self._warnings(count)}

    def _backward(self, frames: Sequence[Volume], on_progress: ProgressCallback | None
                  ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """For each frame, the last one first, the mean of the backward pass less the frame, in units of the noise,
        and its variance: float16 in the memory of the CPU."""
        memory, found = None, []
        for number, frame in enumerate(reversed(frames)):
            part = span(on_progress, number / len(frames), (number + 1) / len(frames), "Backward: ")
            report(part, 0.0, f"Frame {len(frames) - number} of {len(frames)}")
            unit = self.follower.unit(frame)
            memory = self.follower.follow(memory, unit, part)
            found.append((((memory.mean - unit) / self.noise.sigma).half().cpu(), memory.variance.half().cpu()))
        return found

    def _warnings(self, count: int) -> list[str]:
        texts = [NO_NOISE] if self.noise.sigma <= 0 else []
        if count == 1:
            texts.append(ONE_FRAME)
        if not self.config.varying_noise and (self.noise.spread or 1.0) > _VARYING:
            texts.append(f"The noise differs by a factor of {self.noise.spread:.1f} over the volume: choose "
                         "varying_noise for a map of it.")
        return texts


def _by_components(frames: Sequence[Volume], out: np.ndarray, clock: StageClock,
                   on_progress: ProgressCallback | None) -> dict:
    """All frames by local PCA into `out`, and what there is to say of them."""
    with clock.stage("components"):
        made, sigma, components = local_pca(np.stack([frame.scalar_data for frame in frames]), on_progress)
    for number, frame in enumerate(made):
        out[number] = as_type(frame, out.dtype)
    reading = f"Noise of a frame: {sigma:.4g}. Of {len(frames)} components, {components:.1f} stay."
    return {"reading": reading, "noise_sigma": sigma, "components": components, "models": [],
            "warnings": [ONE_FRAME_LEFT] if len(frames) == 1 else []}


def _check_memory(frames: Sequence[Volume], final: np.dtype, config: DenoiseSeriesConfig) -> None:
    voxels = int(np.prod(frames[0].shape, dtype=float))
    if needed_bytes(voxels, len(frames), final.itemsize, config) > free_memory_bytes(torch.device("cpu")):
        raise OutOfMemoryError(_memory_message(frames))


def _memory_message(frames: Sequence[Volume]) -> str:
    size = " x ".join(map(str, (*frames[0].shape, len(frames))))
    return (f"The series of {size} voxels does not fit into memory. Choose the forward pass, take the frames one by "
            "one (`meddl.denoise_frames`), or crop them.")
