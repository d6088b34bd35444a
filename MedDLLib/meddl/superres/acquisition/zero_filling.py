"""Zero-filled interpolation: voxels that a scanner made smaller without measuring more."""

import numpy as np

_LINES = 4096
_LEAST = 16  # voxels along an axis; fewer hold too few frequencies to tell
_DROP = 4.0  # by which power falls at the edge of what was measured
_WIDTH = 0.03  # of the spectrum on each side of that edge
_LEAK = 2  # frequencies to which the windowed spectrum leaks beyond the edge
_MOST = 3.0  # the largest factor that is looked for


def zero_filling(data: np.ndarray, axis: int) -> float:
    """By what factor an axis was interpolated by zero-filling k-space: 1 for not at all.

    The power of each frequency along the axis, the mean over many lines of voxels, falls slowly in anything measured,
    and at once, at the edge of the measured part, in what was zero-filled.

    Args:
        data: (I, J, K), real.
    """
    count = data.shape[axis]
    if count < _LEAST:
        return 1.0
    power = _power(np.moveaxis(data, axis, -1))
    if power is None:
        return 1.0
    width = max(2, round(_WIDTH * len(power)))
    edges = np.arange(max(2 * width + 2, int(len(power) / _MOST)), len(power) - width - _LEAK)
    if len(edges) == 0:
        return 1.0
    log = np.log(np.maximum(power, 1e-12 * power.max()))
    means = np.convolve(log, np.full(width, 1 / width), mode="valid")  # of `width` frequencies from each one on
    inner, before, outer = means[edges - width], means[edges - 2 * width], means[edges + _LEAK]
    usual = np.maximum(before - inner, 0) * (width + _LEAK) / width  # the fall that the spectrum has anyway
    drops = inner - outer - 2 * usual
    best = int(np.argmax(drops))
    edge = int(edges[best])
    returns = log[edge + _LEAK:].max() > outer[best] + np.log(_DROP)  # power that comes back is no zero-filling
    if drops[best] < np.log(_DROP) or returns:
        return 1.0
    half = (inner[best] + outer[best]) / 2
    below = edge - width + int(np.argmax(log[edge - width:edge + _LEAK + width] < half))
    return float(count / 2 / (below - 1.5))  # back by half the leak


def undo_matrix(count: int, factor: float) -> np.ndarray:
    """Matrix (m, count), m = round(count / factor), to the m voxels that were measured, over the same field of view.

    The samples' trigonometric interpolation, whose lowest frequencies alone remain, at the centers of m voxels.
    """
    fewer = max(2, round(count / factor))
    coordinates = (np.arange(fewer) - (fewer - 1) / 2) * count / fewer + (count - 1) / 2
    frequencies = np.arange(-((fewer - 1) // 2), (fewer - 1) // 2 + 1)
    phases = 2 * np.pi / count * (coordinates[:, None] - np.arange(count)[None])
    return np.cos(phases[..., None] * frequencies).sum(axis=-1) / count


def _power(lines: np.ndarray) -> np.ndarray | None:
    """Mean power of each frequency along the last axis, of lines that cross something; None where there is nothing."""
    step = [max(1, round(n / max(1.0, np.sqrt(4 * _LINES)))) for n in lines.shape[:-1]]
    few = lines[::step[0], ::step[1]].reshape(-1, lines.shape[-1]).astype(np.float64)
    few = few[few.std(axis=1) > 0]
    if len(few) == 0:
        return None
    window = np.hanning(few.shape[1] + 2)[1:-1]
    few = (few - few.mean(axis=1, keepdims=True)) * window
    return (np.abs(np.fft.rfft(few, axis=1)) ** 2).mean(axis=0)
