"""Changes of an image's intensities that a recipe may ask for, as MONAI and Auto3DSeg define them.

In each, `channels` are those that the step is about, taken together as one array; None: all.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from meddl.core.errors import ModelError
from meddl.segmentation.imported.steps.preprocessing import Image


def scale_range(image: Image, a_min: float, a_max: float, b_min: float | None = None, b_max: float | None = None,
                clip: bool = False, channels=None) -> Image:
    """Intensities from a_min to a_max become b_min to b_max (0 to 1 where None), cut there with `clip`."""
    def change(values: torch.Tensor) -> torch.Tensor:
        if a_max == a_min:
            return values - a_min + (b_min or 0.0)
        values = (values - a_min) / (a_max - a_min)
        if b_min is not None and b_max is not None:
            values = values * (b_max - b_min) + b_min
        return values.clamp(b_min, b_max) if clip and (b_min is not None or b_max is not None) else values

    return _change(image, channels, change)


def scale_extremes(image: Image, lowest: float | None = 0.0, highest: float | None = 1.0, channel_wise: bool = False,
                   channels=None) -> Image:
    """The smallest intensity becomes `lowest`, the largest `highest` (0 to 1 where one of them is None)."""
    def change(values: torch.Tensor) -> torch.Tensor:
        smallest, largest = values.min(), values.max()
        if smallest == largest:
            return values * lowest if lowest is not None else values
        values = (values - smallest) / (largest - smallest)
        return values if lowest is None or highest is None else values * (highest - lowest) + lowest

    return _change(image, channels, change, channel_wise)


def scale_percentiles(image: Image, lower: float, upper: float, b_min: float | None, b_max: float | None,
                      clip: bool = False, channel_wise: bool = False, channels=None) -> Image:
    """Intensities from one percentile to another, 0 to 100, become b_min to b_max; see `scale_range`."""
    def change(values: torch.Tensor) -> torch.Tensor:
        low, high = np.percentile(values.cpu().numpy(), (lower, upper)).tolist()
        part = Image(values, image.affine)
        return scale_range(part, low, high, b_min, b_max, clip).data

    return _change(image, channels, change, channel_wise)


def standardize(image: Image, subtrahend=None, divisor=None, nonzero: bool = False, channel_wise: bool = False,
                channels=None) -> Image:
    """Minus the mean, over the standard deviation; or minus `subtrahend`, over `divisor`.

    Args:
        subtrahend, divisor: a number, or with `channel_wise` one for each channel; measured where None.
        nonzero: only where the intensity is not zero; the rest is left alone.
    """
    def change(values: torch.Tensor, n: int | None = None) -> torch.Tensor:
        inside = values != 0 if nonzero else torch.ones((), dtype=torch.bool, device=values.device).expand(values.shape)
        chosen = values[inside] if nonzero else values
        if not chosen.numel():
            return values
        minus, over = (part if n is None or part is None else part[n] for part in (subtrahend, divisor))
        mean = float(chosen.mean(dtype=_wide(values)))
        minus = mean if minus is None else minus
        over = float((chosen - mean).square_().mean(dtype=_wide(values)).sqrt()) if over is None else over
        return torch.where(inside, (values - minus) / (over or 1.0), values)

    if not channel_wise:
        return _change(image, channels, change)
    data = image.data.clone()
    for place, n in enumerate(range(len(data)) if channels is None else channels):
        data[n] = change(data[n], place)
    return replace(image, data=data)


def squash(image: Image, kind: str, channels=None) -> Image:
    """Auto3DSeg's soft limits: "sigmoid"; "tanh" (that of a third, times three); "pet" (sigmoid of the distance from
    the smallest, in standard deviations).

    Raises:
        ModelError: another kind.
    """
    kinds: dict[str, Callable] = {
        "sigmoid": torch.sigmoid, "tanh": lambda values: 3 * torch.tanh(values / 3),
        "pet": lambda values: torch.sigmoid((values - values.min()) / values.std())}
    if kind not in kinds:
        raise ModelError(f"The step 'squash' is one of {', '.join(kinds)}; the model's recipe says '{kind}'.")
    return _change(image, channels, kinds[kind])


def clip(image: Image, lowest: float | None = None, highest: float | None = None, channels=None) -> Image:
    """Intensities held within limits."""
    return _change(image, channels, lambda values: values.clamp(lowest, highest))


def cut_beyond(image: Image, threshold: float, above: bool = True, value: float = 0.0, channels=None) -> Image:
    """Intensities that are not above the threshold (not below it where `above` is false) become `value`."""
    return _change(image, channels, lambda values: torch.where(
        values > threshold if above else values < threshold, values, torch.full_like(values, value)))


def _change(image: Image, channels, change: Callable[[torch.Tensor], torch.Tensor],
             channel_wise: bool = False) -> Image:
    data = image.data.clone()
    rows = list(range(len(data))) if channels is None else list(channels)
    if channel_wise:
        for n in rows:
            data[n] = change(data[n])
    elif len(rows) == len(data):
        data = change(data)
    else:
        data[rows] = change(data[rows])
    return replace(image, data=data)


def _wide(values: torch.Tensor) -> torch.dtype:
    return torch.float32 if values.device.type == "mps" else torch.float64


INTENSITY_STEPS: dict[str, Callable[..., Image]] = {
    "scale_range": scale_range, "scale_extremes": scale_extremes, "scale_percentiles": scale_percentiles,
    "standardize": standardize, "squash": squash, "clip": clip, "cut_beyond": cut_beyond}
