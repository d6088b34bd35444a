"""Whether a volume's header seems to be turned by half a turn or mirrored: what linear registration cannot mend.

Registration without a search over rotations ends in the nearest agreement, and no registration mirrors. After it, the
moving volume is turned and mirrored along its own axes, in which wrong headers are wrong, about the center of its
object, and aligned again on coarse levels. Only where that agrees clearly better it is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from meddl.core.config import RegisterConfig
from meddl.core.progress import ProgressCallback, report
from meddl.registration.images.pyramid import Level
from meddl.registration.linear.bfgs import minimize
from meddl.registration.linear.initialization import center_of_object_mm, radius_of_object_mm
from meddl.registration.linear.motion import about, generators, motion_matrix
from meddl.registration.linear.sampled_similarity import SampledSimilarity

_SIDES = ("left and right", "front and back", "top and bottom")
_SAMPLES = 8_000
_ITERATIONS = 20
_SOUND_OVERLAP = 0.05    # of the found alignment; with less there is nothing to compare with
_KEPT_OVERLAP = 0.9      # of that where it began
_LEAST_OVERLAP = 0.9     # of the found alignment's
_PROMISING = 0.6         # of the found alignment's agreement; real headers made wrong have 0.69 before refinement
# Gain of mutual information, normalized or in nats, and by what factor there is more of it: no right answer of
# test_header_check.py comes near.
_TURNED, _MIRRORED = (0.012, 1.2), (0.006, 1.05)


@dataclass(frozen=True)
class Flip:
    """A moving volume turned by half a turn about one of its axes, or mirrored along it, and aligned again.

    Attributes:
        mirrored: False: turned.
        axis: of the moving volume in RAS order, 0 to 2.
        value: the similarity, on a level of about 4 mm.
        found: that of the alignment that was found, there.
        overlap: of the turned or mirrored one, as a fraction of that of the alignment that was found.
    """

    mirrored: bool
    axis: int
    value: float
    found: float
    overlap: float

    @property
    def is_better(self) -> bool:
        """Whether it agrees so much better that the header is doubtful."""
        least = _least(self.found)
        gain, ratio = _MIRRORED if self.mirrored else _TURNED
        return (self.overlap >= _LEAST_OVERLAP and self.value - self.found >= gain
                and self.value - least >= ratio * (self.found - least))


def check_header(fixed: list[Level], moving: list[Level], affine: np.ndarray, config: RegisterConfig,
                 on_progress: ProgressCallback | None = None) -> list[str]:
    """Warnings of a moving volume that agrees clearly better turned by half a turn, or mirrored.

    Args:
        fixed, moving: pyramids, coarse to fine.
        affine: 4x4, the alignment that was found, fixed to moving, RAS mm.
        config: its metric.
    """
    flips = [flip for flip in flips_of(fixed, moving, affine, config, on_progress) if flip.is_better]
    if not flips:
        return []
    best = max(flips, key=lambda flip: flip.value)
    values = f"{'MI' if config.metric == 'mi' else 'NMI'} {best.value:.3f} instead of {best.found:.3f}"
    if best.mirrored:
        return [f"The moving volume agrees better mirrored along its {'RAS'[best.axis]} axis ({values}): the header of "
                f"one of the volumes seems to exchange {_SIDES[best.axis]}, which no registration mends. Check both "
                "before the result is used."]
    return [f"A rotation by about 180° about the {'RAS'[best.axis]} axis agrees better ({values}). Try the preset "
            "Large motion, which searches over rotations."]


def flips_of(fixed: list[Level], moving: list[Level], affine: np.ndarray, config: RegisterConfig,
             on_progress: ProgressCallback | None = None) -> list[Flip]:
    """Of the three half turns and the three mirrorings those that agree better on the coarsest level, once those that
    come near are aligned again; each beside what was found, on the next finer level. None where the found alignment
    has hardly any overlap."""
    coarse = _Rigid(fixed[0], moving[0], config, affine)
    found, overlap, _ = coarse.similarity(affine)
    if overlap < _SOUND_OVERLAP:
        return []
    better = []
    for number, (mirrored, axis) in enumerate((mirrored, axis) for mirrored in (False, True) for axis in range(3)):
        report(on_progress, number / 7, "Checking the headers")
        value, placed = coarse.flip(mirrored, axis)
        if value - _least(found) < _PROMISING * (found - _least(found)):
            continue
        placed = coarse.refine(placed)
        value, there, _ = coarse.similarity(placed)
        if value > found and there >= _LEAST_OVERLAP * overlap:
            better.append((mirrored, axis, placed))
    if not better:
        return []
    level = min(1, len(fixed) - 1)
    fine = _Rigid(fixed[level], moving[level], config, affine)
    found, overlap, _ = fine.similarity(fine.refine(affine))
    flips = []
    for mirrored, axis, placed in better:
        value, there, _ = fine.similarity(fine.refine(placed))
        flips.append(Flip(mirrored, axis, value, found, there / max(overlap, 1e-6)))
    return flips


def _least(similarity: float) -> float:
    """The similarity of volumes that share nothing, of the metric that gives values as this one."""
    return 1.0 if similarity > 1 else 0.0


class _Rigid:
    """Rigid alignment on one level, which gives up no overlap."""

    def __init__(self, fixed: Level, moving: Level, config: RegisterConfig, affine: np.ndarray):
        self.center_mm, self.moving_center_mm = center_of_object_mm(fixed), center_of_object_mm(moving)
        self.affine, self.directions, self.spacing_mm = affine, moving.grid.directions, fixed.spacing_mm
        metric = "mi" if config.metric == "mi" else "nmi"
        self.similarity = SampledSimilarity(fixed, moving, self.center_mm, _SAMPLES, metric, config.bins)
        self.basis = generators("rigid", radius_of_object_mm(fixed))

    def flip(self, mirrored: bool, axis: int) -> tuple[float, np.ndarray]:
        """The found alignment, then the half turn about an axis of the moving volume or the mirroring along it: from
        where it was found, or with the centers of the objects on one another, whichever agrees better, with its
        similarity."""
        signs = np.full(3, 1.0 if mirrored else -1.0)
        signs[axis] *= -1
        matrix = np.eye(4)
        matrix[:3, :3] = self.directions @ np.diag(signs) @ self.directions.T
        centered = np.array(self.affine)
        centered[:3, 3] = self.moving_center_mm - self.affine[:3, :3] @ self.center_mm
        starts = np.stack([about(self.moving_center_mm, matrix) @ one for one in (self.affine, centered)])
        values = self.similarity.values(starts)[0]
        best = int(np.argmax(values))
        return float(values[best]), starts[best]

    def refine(self, placed: np.ndarray) -> np.ndarray:
        """The optimum near by; the place itself where none is better."""
        least = _KEPT_OVERLAP * self.similarity(placed)[1]

        def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            value, overlap, gradient = self.similarity(placed, self.basis, parameters)
            if overlap < least or gradient is None or not np.isfinite(gradient).all():
                return np.inf, np.zeros(len(parameters))
            return -value, -gradient

        best, _ = minimize(cost, len(self.basis), first_step=self.spacing_mm / 2, max_step=2 * self.spacing_mm,
                           tolerance=self.spacing_mm / 50, iterations=_ITERATIONS)
        motion = motion_matrix(torch.from_numpy(best), torch.from_numpy(self.basis)).numpy()
        return placed @ about(self.center_mm, motion)
