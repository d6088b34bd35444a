"""The combination of registered stacks by the acquisition model, with what networks made of each as the prior.

Minimized is the sum over the stacks of |D x - y|^2, y the slices and D their acquisition, and of the distance to the
prior. What a stack holds of a spatial frequency falls along its thick axis with the Fourier transform P of its slice
profile. So the prior is the mean of the stacks, each sharpened alone, weighted by P^2 at every frequency; and a step
x += F^-1 sum(P F U (y - D x)) / (sum P^2 + weight), U the interpolation, is Newton's for what aliasing leaves out.

That thick slices in several directions give one isotropic volume: H. Greenspan et al., "MRI inter-slice reconstruction
using super-resolution", Magnetic Resonance Imaging 20(5), 2002, doi:10.1016/S0730-725X(02)00511-8; with registration
and a prior: A. Gholipour et al., IEEE Transactions on Medical Imaging 29(10), 2010, doi:10.1109/TMI.2010.2051680.
"""

import numpy as np
from scipy.fft import irfftn, rfftn

from meddl.core.progress import ProgressCallback, report, span
from meddl.spatial.grid import Grid
from meddl.superres.stacks.stack import Stack, StackModel

ROUNDS = 2
_LEAST_KNOWN = 0.02  # weight of what a network made where a stack holds nothing
_PRIOR_WEIGHT = 0.1
_MESSAGE = "Combining the stacks"


def combine(stacks: list[Stack], common: Grid, rounds: int = ROUNDS,
            on_progress: ProgressCallback | None = None) -> tuple[np.ndarray, list[float]]:
    """One volume of all stacks, and each one's residual.

    Args:
        common: the isotropic grid to make, in the space of the first stack.

    Returns:
        `(volume, residuals)`: (I, J, K) float32, and the root mean square of D x - y of each stack, in intensities.

    Raises:
        Cancelled: from `on_progress`.
    """
    report(on_progress, 0.0, _MESSAGE)
    models = [StackModel(stack, common) for stack in stacks]
    volume = _prior(stacks, models, common, span(on_progress, 0.05, 0.25))
    size = np.inf
    for step in range(rounds + 1):
        inner = span(on_progress, 0.25 + 0.75 * step / (rounds + 1), 0.25 + 0.75 * (step + 1) / (rounds + 1))
        residuals = [model.residual(volume, span(inner, 0.5 * n / len(models), 0.5 * (n + 1) / len(models)))
                     for n, model in enumerate(models)]
        found = [float(np.sqrt(np.square(one).mean(dtype=np.float64))) for one in residuals]
        if step == rounds or not sum(found) < size:
            break
        size = sum(found)
        volume += _step(models, residuals, common, span(inner, 0.5, 1.0))
    report(on_progress, 1.0, _MESSAGE)
    return volume, found


def _prior(stacks: list[Stack], models: list[StackModel], common: Grid,
           on_progress: ProgressCallback | None) -> np.ndarray:
    """The mean of the sharpened stacks, each frequency weighted by what the stacks hold of it."""
    plain, count = np.zeros(common.shape, np.float32), np.zeros(common.shape, np.float32)
    each = []
    for n, (stack, model) in enumerate(zip(stacks, models, strict=True)):
        made = model.on_common(stack.fine, span(on_progress, 0.6 * n / len(models), 0.6 * (n + 1) / len(models)))
        plain += np.where(model.covered, made, 0)
        count += model.covered
        each.append(made)
    beyond = min(float(stack.fine.min()) for stack in stacks)
    plain = np.where(count > 0, plain / np.maximum(count, 1), np.float32(beyond))
    total, weights = np.zeros((1, 1, 1), np.complex64), np.zeros((1, 1, 1), np.float32)
    for n, model in enumerate(models):
        report(on_progress, 0.6 + 0.4 * n / len(models), _MESSAGE)
        weight = model.response(common.shape, common) ** 2 + np.float32(_LEAST_KNOWN)
        total = total + weight * rfftn(np.where(model.covered, each.pop(0), plain), workers=-1)
        weights = weights + weight
    return irfftn(total / weights, common.shape, workers=-1).astype(np.float32, copy=False)


def _step(models: list[StackModel], residuals: list[np.ndarray], common: Grid,
          on_progress: ProgressCallback | None) -> np.ndarray:
    """What to add to the volume so that the residuals become smaller."""
    total, weights = np.zeros((1, 1, 1), np.complex64), np.full((1, 1, 1), _PRIOR_WEIGHT, np.float32)
    for n, (model, residual) in enumerate(zip(models, residuals, strict=True)):
        inner = span(on_progress, n / (len(models) + 1), (n + 1) / (len(models) + 1))
        response = model.response(common.shape, common)
        total = total + response * rfftn(model.back_project(residual, inner), workers=-1)
        weights = weights + response ** 2
    return irfftn(total / weights, common.shape, workers=-1).astype(np.float32, copy=False)
