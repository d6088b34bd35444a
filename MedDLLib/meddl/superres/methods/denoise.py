"""The methods *denoise*, *denoise-autoencoder* and *denoise-self-supervised*: the same voxels with less noise."""

import numpy as np
import torch
from torch import nn

from meddl.core.progress import ProgressCallback, span
from meddl.models.own_models import METHOD_MODELS
from meddl.superres.acquisition.rician import BACKGROUND_MEAN, noise_map, signal_of_mean
from meddl.superres.acquisition.value_range import ValueRange, work_type
from meddl.superres.job import Job, load_network
from meddl.superres.methods.blocks import Blocking, over_blocks
from meddl.superres.methods.neighbor_to_neighbor import train_further

RESIDUAL, AUTOENCODER = METHOD_MODELS["denoise"], METHOD_MODELS["denoise-autoencoder"]
NO_NOISE = "No noise was seen in the volume: nothing was changed. State its standard deviation to remove some."
INDEPENDENT_ONLY = ("The self-supervised method takes all that neighboring voxels do not share for noise. Where the "
                    "noise is smoothed or interpolated it removes little; where detail is as small as a voxel it may "
                    "remove detail.")
ESTIMATE_FRACTION = 0.85  # of noise that was estimated: fine texture counts as noise there, and would be taken away
_REACH = 24  # voxels that a voxel depends on
_LARGEST = 192
BLOCKING = Blocking(1, _REACH, _LARGEST)


def denoise(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Noise of the strength that was found or stated, removed by the residual network."""
    return _by_map(load_network(job, RESIDUAL, "denoise"), job, on_progress)


def denoise_autoencoder(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Noise removed by the autoencoder, which gets no noise level."""
    network = load_network(job, AUTOENCODER, "denoise")
    values = ValueRange.of(job.data)
    made = over_blocks(lambda part, _: network(part), [network], values.to_unit(job.data), BLOCKING,
                       job.device, "Denoising", on_progress)
    return values.from_unit(made, work_type(job.data.dtype).type)


def denoise_self_supervised(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Noise removed by the residual network after it was trained further on this volume alone."""
    network = load_network(job, RESIDUAL, "denoise")
    job.warnings.append(INDEPENDENT_ONLY)
    if job.noise_sigma > 0:
        values = ValueRange.of(job.data)
        network = train_further(network, values.to_unit(job.data), job.noise_sigma / values.width, job.config.seconds,
                          job.device, job.figures, span(on_progress, 0.0, 0.8))
    return _by_map(network, job, span(on_progress, 0.8, 1.0))


def is_magnitude(data: np.ndarray, sigma: float) -> bool:
    """Whether the noise looks like that of a magnitude image: a background of noise alone, its mean well above 0.

    Args:
        data: (I, J, K), real; sigma: standard deviation of the noise where the signal is strong.
    """
    few = data[tuple(slice(None, None, max(1, n // 64)) for n in data.shape)].astype(np.float64)
    if sigma <= 0 or data.min() < 0:
        return False
    background = few[few < 3.5 * sigma]
    if background.size < 0.02 * few.size:
        return False
    return bool(abs(background.mean() / sigma - BACKGROUND_MEAN) < 0.35 and np.mean(background == 0) < 0.2)


def _by_map(network: nn.Module, job: Job, on_progress: ProgressCallback | None) -> np.ndarray:
    """The data through a network that gets the noise at each voxel."""
    final = work_type(job.data.dtype).type
    if job.noise_sigma <= 0:
        job.warnings.append(NO_NOISE)
        return job.data.astype(final)
    magnitude = is_magnitude(job.data, job.noise_sigma)
    job.figures["noise_model"] = "rician" if magnitude else "gaussian"
    values = ValueRange.of(job.data)
    if magnitude:
        values = ValueRange(0.0, values.floor + values.width)  # zero is no signal
    scale = ESTIMATE_FRACTION if job.config.noise_sigma is None else 1.0
    sigma = job.noise_sigma / values.width

    def predict(part: torch.Tensor, _) -> torch.Tensor:
        if magnitude:
            return signal_of_mean(network(part, scale * noise_map(part, sigma)).clamp_min(0), sigma)
        return network(part, scale * sigma)

    made = over_blocks(predict, [network], values.to_unit(job.data), BLOCKING, job.device, "Denoising",
                       on_progress)
    return values.from_unit(made, final)
