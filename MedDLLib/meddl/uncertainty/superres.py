"""Uncertainty of super-resolution and denoising: intensities of repeated runs on noisy, mirrored copies."""

from dataclasses import asdict, replace

import numpy as np

from meddl.core.config import SuperResolveConfig, check_config
from meddl.core.progress import ProgressCallback, RunCounter, report, span
from meddl.io import VolumeLike, as_volume
from meddl.results import SuperResolution, Uncertainty
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve
from meddl.superres.acquisition.detect import detect
from meddl.superres.job import value_limits
from meddl.uncertainty.config import UncertaintyConfig
from meddl.uncertainty.moments import RunningMoments
from meddl.uncertainty.perturbation import Perturbation, draw_perturbations, restore_values, reverse, without_shift


def super_resolve_with_uncertainty(
        volume: VolumeLike, config: SuperResolveConfig | None = None, uncertainty: UncertaintyConfig | None = None, *,
        reference: VolumeLike | None = None, device: str = "auto",
        on_progress: ProgressCallback | None = None) -> tuple[SuperResolution, Uncertainty]:
    """Super-resolve or denoise a volume, and say how far its intensities would change with other noise.

    Copies get noise as strong as that which was found in the volume (where none was found, as of `uncertainty`), and
    every second one is mirrored; they are neither shifted nor changed in contrast, which would change the result's
    grid and unit.

    Args:
        volume, config, reference, device: as of `meddl.super_resolve`.
        uncertainty: number of runs, noise, seed.

    Returns:
        The result for the volume as it is, with its consistency residual as a map, and its uncertainty: the standard
        deviation over all runs at each voxel of the result, in its intensities. The report has runs, perturbations,
        noise_sigma (by channel, of the noise that was added) and spread (mean and p95).

    Raises:
        InputError, OutOfMemoryError: as `meddl.super_resolve`, or an impossible perturbation.
        Cancelled: from `on_progress`.
    """
    config, uncertainty = check_config(config, SuperResolveConfig), check_config(uncertainty, UncertaintyConfig)
    volume = as_volume(volume)
    value_limits(volume.data)
    changes = [without_shift(change) for change in draw_perturbations(uncertainty, uncertainty.mirror)]
    counter = RunCounter(span(on_progress, 0.0, 0.97), uncertainty.runs)
    detection = detect(volume, config)
    settled = detection.apply_to(config)  # copies are taken to have been acquired alike
    first = super_resolve(volume, settled, reference=reference, residual=True, device=device,
                          on_progress=counter.next_run())
    sigma = _noise_sigma(volume, detection.noise_sigma, uncertainty)
    exact = replace(settled, keep_type=False)
    moments = RunningMoments()
    moments.add(first.volume.data)
    for change in changes[1:]:
        found = super_resolve(_noisy_copy(volume, change, sigma), exact, device=device, on_progress=counter.next_run())
        moments.add(restore_values(found.volume.data, change, found.volume.affine))
    report(on_progress, 0.97, "Comparing the runs")
    spread = np.sqrt(moments.variance)
    figures = {"mean": float(spread.mean()), "p95": float(np.percentile(spread, 95))}
    report(on_progress, 1.0, "Done")
    reading = f"Standard deviation over {uncertainty.runs} runs, in the volume's intensities."
    return first, Uncertainty(Volume(spread, first.volume.affine), reading, {
        "runs": uncertainty.runs, "perturbations": [asdict(change) for change in changes],
        "noise_sigma": sigma, "spread": figures})


def _noise_sigma(volume: Volume, found: tuple[float, ...], uncertainty: UncertaintyConfig) -> list[float]:
    """Of each channel: the noise that was found; where none was, a fraction of the intensities' range."""
    return [float(own) or uncertainty.noise * float(np.subtract(*np.percentile(channel.astype(float), (99.5, 0.5))))
            for own, channel in zip(found, volume.data, strict=True)]


def _noisy_copy(volume: Volume, change: Perturbation, sigma: list[float]) -> Volume:
    random = np.random.default_rng(change.seed)
    data = volume.data.astype(np.float32)
    for channel, strength in zip(data, sigma, strict=True):
        channel += np.float32(strength) * random.standard_normal(channel.shape, dtype=np.float32)
    return Volume(reverse(data, volume.affine) if change.mirror else data, volume.affine)
