"""The verb `meddl.smooth_labels`: segmentations of the frames of a series, without the flicker of single frames."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike

import numpy as np
import torch

from meddl.core.config import check_config
from meddl.core.device import select_device
from meddl.core.errors import GeometryError, InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.io import as_segmentation
from meddl.io.series import SeriesLike, frames_of
from meddl.results import Segmentation
from meddl.segmentation.structures import volumes_ml
from meddl.series.config import DenoiseSeriesConfig
from meddl.series.follower import Follower, checked_frames
from meddl.series.noise import LEAD_IN
from meddl.spatial.volume import Volume

_LEAST_NOISE = 0.01  # of the range of intensities: below it the frames count as that noisy


def smooth_labels(frames: SeriesLike, segmentations: Sequence[Segmentation | str | PathLike], *,
                  config: DenoiseSeriesConfig | None = None, device: str = "auto",
                  on_progress: ProgressCallback | None = None) -> tuple[Segmentation, ...]:
    """Smooth the segmentations of a series in time, where the temporal filter sees no change in the images.

    The memory of `denoise_series` holds, at each voxel, the probability of each label instead of an intensity, with the
    gains of the images, over both passes. A voxel that has one label in all frames keeps it.

    Args:
        frames: (T, I, J, K), the frames as channels; or volumes of one channel on one grid; or their paths.
        segmentations: as many, on their grid, such as of `segment_series`; or their paths.
        config: of the temporal filter; `spatial`, `seconds` and `keep_type` do not count.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        As many segmentations, their volumes computed anew; their reports have changed_percent, the voxels of other
        labels than before, in percent of those that are labeled. A confidence is that of the labels before.

    Raises:
        InputError: other numbers of frames, no segmentation, NaN or infinity.
        GeometryError: a segmentation on another grid than its frame.
        ModelNotFoundError, ModelError: a model that cannot be used.
        Cancelled: from `on_progress`.
    """
    config = check_config(config, DenoiseSeriesConfig)
    volumes = list(checked_frames(frames_of(frames, "frames")))
    if not isinstance(segmentations, Sequence) or isinstance(segmentations, str):
        raise InputError(f"`segmentations` is a list with one for each frame; got {type(segmentations).__name__}.")
    given = [as_segmentation(one, f"segmentations[{number}]") for number, one in enumerate(segmentations)]
    if len(volumes) != len(given):
        raise InputError(f"There are {len(volumes)} frames and {len(given)} segmentations: give one for each.")
    for number, (volume, one) in enumerate(zip(volumes, given, strict=True)):
        if not one.grid.same_as(volume.grid):
            raise GeometryError(f"The segmentation of frame {number} lies on another grid than the frame: "
                                f"{one.grid.describe()} and {volume.grid.describe()}. Segment this frame.")
    moving = np.zeros(volumes[0].shape, bool) if volumes else np.zeros(0, bool)
    for one in given[1:]:
        moving |= one.labels != given[0].labels
    if not moving.any():
        return tuple(given)
    labels = np.stack([one.labels[moving] for one in given])
    weights = _weights(volumes, moving, config, select_device(device), on_progress)
    smooth = _most_likely(labels, weights)
    return tuple(_with_labels(one, moving, new) for one, new in zip(given, smooth, strict=True))


def _weights(volumes: list[Volume], chosen: np.ndarray, config: DenoiseSeriesConfig, device: torch.device,
             on_progress: ProgressCallback | None) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """For both passes gain and information, (2, T, N) each, at the chosen voxels, in the order of the frames."""
    follower = Follower(volumes[:LEAD_IN], config, device)
    follower.noise = replace(follower.noise, sigma=max(follower.noise.sigma, _LEAST_NOISE))
    where = torch.from_numpy(chosen).to(device)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for number, order in enumerate((volumes, volumes[::-1])):
        memory, gains, sure = None, [], []
        part = span(on_progress, number / 2, (number + 1) / 2)
        for count, volume in enumerate(order):
            report(part, count / len(order), "Smoothing the labels")
            memory = follower.follow(memory, follower.unit(volume))
            gains.append(memory.gain[0, 0][where].cpu().numpy())
            sure.append((1 / memory.variance[0, 0][where]).cpu().numpy())
        step = -1 if number else 1
        found.append((np.stack(gains[::step]), np.stack(sure[::step])))
    return tuple(found)


def _most_likely(labels: np.ndarray, passes: tuple[tuple[np.ndarray, np.ndarray], ...]) -> np.ndarray:
    """The label (T, N) whose memory of both passes, less the frame's own label that is in both, is largest."""
    best, chosen = np.full(labels.shape, -np.inf, np.float32), labels.copy()
    for value in np.unique(labels):
        own = (labels == value).astype(np.float32)
        total = -own
        for (gains, sure), order in zip(passes, (range(len(labels)), range(len(labels) - 1, -1, -1)), strict=True):
            memory = None
            for t in order:
                memory = own[t] if memory is None else memory + gains[t] * (own[t] - memory)
                total[t] += sure[t] * memory
        better = total > best
        best[better], chosen[better] = total[better], value
    return chosen


def _with_labels(given: Segmentation, where: np.ndarray, new: np.ndarray) -> Segmentation:
    labels = given.labels.copy()
    changed = int(np.count_nonzero(labels[where] != new))
    labels[where] = new
    percent = 100 * changed / max(1, int(np.count_nonzero(given.labels)))
    return replace(given, labels=labels, report={
        **given.report, "volumes_ml": volumes_ml(labels, given.segments, given.grid),
        "changed_percent": round(percent, 3)})
