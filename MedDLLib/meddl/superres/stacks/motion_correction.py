"""Motion between slices found and corrected in turn with the volume of all stacks."""

from dataclasses import replace

import numpy as np

from meddl.core.progress import ProgressCallback, span
from meddl.spatial.grid import Grid
from meddl.superres.stacks.combine import combine
from meddl.superres.stacks.slice_motion import SliceMotion, SliceMotionModel
from meddl.superres.stacks.stack import Stack, StackModel, sharpen

ROUNDS = 6
RADIUS_MM = 50.0  # of the ball over which a slice's displacement is averaged
LEAST_MOTION = 0.35  # of a voxel within the slices: median displacement from which a stack counts as moved
_QUICK = "cubic"  # method of all rounds but the last


def correct_motion(stacks: list[Stack], common: Grid, volume: np.ndarray, residuals: list[float],
                   on_progress: ProgressCallback | None = None) -> tuple[np.ndarray, list[float]]:
    """The volume of all stacks, their slices where they should lie; `job` and `fine` of the stacks change with it.

    Where no stack has moved, nothing is changed. `figures` of each stack gets slice_motion_mm: median and largest
    displacement of its slices, and whether that was corrected.

    Args:
        volume, residuals: as `combine` made them, no motion corrected.

    Returns:
        As `combine`.

    Raises:
        Cancelled: from `on_progress`.
    """
    measured = [stack.job.data for stack in stacks]
    motions = [SliceMotion.none(slices.shape[stack.figures["axis"]])
               for stack, slices in zip(stacks, measured, strict=True)]
    for step in range(ROUNDS):
        inner = span(on_progress, step / ROUNDS, (step + 1) / ROUNDS)
        models = [SliceMotionModel(stack, StackModel(stack, common), slices, volume)
                  for stack, slices in zip(stacks, measured, strict=True)]
        motions = [model.register(motion, span(inner, 0.3 * n / len(stacks), 0.3 * (n + 1) / len(stacks)))
                   for n, (model, motion) in enumerate(zip(models, motions, strict=True))]
        moved = _note(stacks, motions)
        if not moved:
            break
        for n, (stack, model, motion) in enumerate(zip(stacks, models, motions, strict=True)):
            last = step == ROUNDS - 1
            part = span(inner, 0.3 + 0.4 * n / len(stacks), 0.3 + 0.4 * (n + 1) / len(stacks))
            stack.job = replace(stack.job, data=model.corrected_slices(motion))
            config = stack.job.config if last else replace(stack.job.config, method=_QUICK, model=None)
            stack.fine = sharpen(replace(stack.job, config=config, figures={}, warnings=[]), part)
        volume, residuals = combine(stacks, common, on_progress=span(inner, 0.7, 1.0))
    return volume, residuals


def _note(stacks: list[Stack], motions: list[SliceMotion]) -> bool:
    """Note the displacements in the figures; whether a stack has moved."""
    any_moved = False
    for stack, motion in zip(stacks, motions, strict=True):
        displacements = motion.displacements_mm(RADIUS_MM)
        across = np.delete(stack.job.grid.spacing_mm, stack.figures["axis"])
        any_moved |= bool(np.median(displacements) > LEAST_MOTION * across.min())
        stack.figures["slice_motion_mm"] = {"median": round(float(np.median(displacements)), 3),
                                            "max": round(float(displacements.max()), 3)}
    for stack in stacks:
        stack.figures["slice_motion_mm"]["corrected"] = any_moved
    return any_moved
