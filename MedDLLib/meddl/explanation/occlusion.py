"""Occlusion sensitivity, coarse to fine: parts of a volume are hidden, and what becomes of a structure is measured.

Method: M. D. Zeiler & R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
doi:10.1007/978-3-319-10590-1_53. Where all parts are of one size, scores are those of MONAI's `OcclusionSensitivity`,
which can neither refine nor stop, and whose mode "mean_patch" multiplies a part by its mean in version 1.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, RunCounter, early_stop_of, preview
from meddl.spatial.volume import Volume

MOST_COARSE = 27  # parts of the coarse grid
Box = tuple[slice, slice, slice]
Score = Callable[[Volume, ProgressCallback | None], float]


@dataclass(frozen=True, eq=False)
class Occluded:
    """What hiding parts of a volume does.

    Attributes:
        drops: (I, J, K) float32, by how much the score drops where this voxel is among those hidden, 0 at least.
        runs: how many runs there were.
        sizes_mm: the largest and the smallest edge of the parts.
        complete: whether all runs that were asked for were made.
    """

    drops: np.ndarray
    runs: int
    sizes_mm: tuple[float, float]
    complete: bool


class _Stopped(Exception):
    """The user wants what there is."""


def occlude(volume: Volume, score: Score, box: Box, runs: int, smallest_mm: float,
            on_progress: ProgressCallback | None = None) -> Occluded:
    """How much of a score depends on every part of a box of voxels.

    A grid of up to 27 parts, about as long along each axis, comes first; then the part that matters most is divided in
    halves along each axis and its parts are hidden one by one, and so on. What is hidden is replaced by its mean,
    channel by channel. After the coarse grid the callback's `should_stop` ends the refinement.

    Args:
        volume: (C, I, J, K).
        score: of a volume with hidden parts; 1 where nothing is lost, 0 where all is.
        box: where parts are hidden.
        runs: the largest number of runs.
        smallest_mm: parts with shorter edges are not divided.

    Raises:
        InputError: not even the coarsest grid of two parts is possible.
        Cancelled: from `on_progress`.
    """
    if runs < 2:
        raise InputError(f"Occlusion takes at least 2 runs; got {runs}.")
    walk = _Walk(volume, score, RunCounter(on_progress, runs), early_stop_of(on_progress))
    parts = walk.over(_split(box, coarse_counts(volume, box, min(runs, MOST_COARSE))))
    drops = np.zeros(volume.shape, dtype=np.float32, order="F")
    _paint(drops, parts)
    preview(on_progress, {"drops": drops.copy(order="K")})
    walk.may_stop = True
    try:
        while True:
            divisible = [(drop, n) for n, (part, drop) in enumerate(parts)
                         if drop > 0 and _halves(volume, part, smallest_mm) is not None]
            if not divisible:
                break
            number = max(divisible)[1]
            inner = _split(parts[number][0], _halves(volume, parts[number][0], smallest_mm))
            if walk.runs + inner.size > runs:
                break
            found = walk.over(inner)
            parts[number:number + 1] = found
            _paint(drops, found)
    except _Stopped:
        pass
    lengths = [_edges_mm(volume, part).max() for part, _ in parts]
    return Occluded(drops, walk.runs, (float(max(lengths)), float(min(lengths))), not walk.stopped)


def coarse_counts(volume: Volume, box: Box, most: int) -> tuple[int, int, int]:
    """Into how many parts a box is divided along each axis: at most `most` together, about as long along each."""
    edges, counts = _edges_mm(volume, box), np.ones(3, dtype=int)
    sizes = np.array([side.stop - side.start for side in box])
    while True:
        lengths = np.where(counts < sizes, edges / counts, 0)
        axis = int(lengths.argmax())
        counts[axis] += 1
        if lengths[axis] == 0 or counts.prod() > most:
            counts[axis] -= 1
            return int(counts[0]), int(counts[1]), int(counts[2])


class _Walk:
    """Runs with hidden parts, one by one."""

    def __init__(self, volume: Volume, score: Score, counter: RunCounter, stop: Callable[[], bool] | None):
        self._volume, self._score, self._counter, self._stop = volume, score, counter, stop
        self.runs, self.may_stop, self.stopped = 0, False, False

    def over(self, parts: np.ndarray) -> list[tuple[Box, float]]:
        """Each part of a grid (a, b, c) of boxes, with what hiding it takes from the score."""
        return [(part, max(0.0, 1.0 - self._hide(part))) for part in parts.flat]

    def _hide(self, part: Box) -> float:
        if self.may_stop and self._stop is not None and self._stop():
            self.stopped = True
            raise _Stopped
        data = np.array(self._volume.data)
        place = (slice(None), *part)
        means = data[place].mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
        data[place] = np.rint(means) if data.dtype.kind in "iu" else means
        found = self._score(Volume(data, self._volume.affine), self._counter.next_run())
        self.runs += 1
        return found


def _split(box: Box, counts: tuple[int, int, int] | None) -> np.ndarray:
    """A box in so many parts along each axis, an array of boxes."""
    counts = counts or (1, 1, 1)
    edges = [np.linspace(side.start, side.stop, count + 1).round().astype(int)
             for side, count in zip(box, counts, strict=True)]
    parts = np.empty(counts, dtype=object)
    for index in np.ndindex(*counts):
        parts[index] = tuple(slice(int(e[n]), int(e[n + 1])) for e, n in zip(edges, index, strict=True))
    return parts


def _halves(volume: Volume, part: Box, smallest_mm: float) -> tuple[int, int, int] | None:
    """How often a part is divided along each axis; None where it is small enough."""
    lengths = _edges_mm(volume, part)
    halves = [2 if side.stop - side.start > 1 and length / 2 >= smallest_mm else 1
              for side, length in zip(part, lengths, strict=True)]
    return None if max(halves) == 1 else (halves[0], halves[1], halves[2])


def _edges_mm(volume: Volume, box: Box) -> np.ndarray:
    return np.array([side.stop - side.start for side in box]) * volume.spacing_mm


def _paint(drops: np.ndarray, parts: list[tuple[Box, float]]) -> None:
    for part, drop in parts:
        drops[part] = drop
