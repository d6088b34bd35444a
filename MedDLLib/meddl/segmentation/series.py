"""Segmentation of every time point of a series."""

from collections.abc import Sequence

import numpy as np

from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span
from meddl.io import VolumeLike
from meddl.io.series import SeriesLike, frames_of
from meddl.results import Segmentation
from meddl.segmentation.segment import segment


def segment_series(frames: SeriesLike, model: str = "brain",
                   config: SegmentConfig | None = None, *, others: Sequence[SeriesLike] = (),
                   roi: VolumeLike | np.ndarray | None = None,
                   device: str = "auto", on_progress: ProgressCallback | None = None) -> tuple[Segmentation, ...]:
    """Label the structures in each frame by itself; the model is loaded once.

    Args:
        frames: a volume whose channels are time points, or a sequence of volumes; or the paths of files.
        others: series of further channels, each with as many frames; as in `segment`.
        model, config, roi, device, on_progress: as in `segment`.

    Returns:
        A segmentation for each frame, on its own grid.

    Raises:
        InputError: no frame, or series of different numbers of frames; and all that `segment` raises.
        Cancelled: from `on_progress`.
    """
    series = [frames_of(one, "frames") for one in (frames, *others)]
    counts = [len(one) for one in series]
    if counts[0] == 0:
        raise InputError("The series has no frames.")
    if len(set(counts)) > 1:
        raise InputError(f"The series of all channels have as many frames as the first one, {counts[0]}; these have "
                         f"{', '.join(map(str, counts[1:]))}.")
    found = []
    for number, (frame, *more) in enumerate(zip(*series, strict=True)):
        part = span(on_progress, number / counts[0], (number + 1) / counts[0], f"Frame {number + 1} of {counts[0]}: ")
        found.append(segment(frame, model, config, others=more, roi=roi, device=device, on_progress=part))
    return tuple(found)
