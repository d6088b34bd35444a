"""The verb `meddl.inpaint`: masked voxels synthesized from those around them, and marked."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from meddl.core.config import check_config
from meddl.core.device import describe, free_memory_bytes, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import OutOfMemoryError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.inpainting.blend import blend_mirror
from meddl.inpainting.config import InpaintConfig, needed_bytes
from meddl.inpainting.laplace import SmoothFill
from meddl.inpainting.mask import EMPTY, check_finite, masked_voxels
from meddl.inpainting.mirror import LEAST_AGREEMENT, Symmetry, find_symmetry
from meddl.io import VolumeLike, as_mask, as_volume
from meddl.results import Inpainting
from meddl.spatial.label_maps import blending_warnings
from meddl.spatial.volume import Volume, as_type
from meddl.superres.acquisition.value_range import work_type

SYNTHESIZED = ("The filled voxels are synthesized, not measured: they stand in for what is not known. Measure nothing "
               "in them; the mask beside the result says where they are.")
NAME_SUFFIX = "inpainted (voxels synthesized)"
_WORDS = {"harmonic": "a harmonic fill", "biharmonic": "a biharmonic fill",
          "mirror": "the other hemisphere, and a biharmonic fill near the boundary of the mask"}


def inpaint(volume: VolumeLike, mask: VolumeLike, config: InpaintConfig | None = None, *, device: str = "auto",
            on_progress: ProgressCallback | None = None) -> Inpainting:
    """Fill the voxels inside a mask (a lesion, an artifact, missing slices) from those around it.

    So that segmentation and registration made for healthy heads find a head without the lesion. All voxels outside of
    the mask stay as they are. Nothing that is filled in was measured: the result names each of these voxels.

    Args:
        volume: (C, I, J, K); channels, or the frames of a series, are filled one by one.
        mask: nonzero counts; one channel for all, or one for each of the volume's; on any grid in the volume's world:
            one of another grid is resampled once, by nearest neighbor, and the report says so.
        config: choices.
        device: auto, cpu, cuda, cuda:N or mps. A GPU that fails hands over to the CPU.

    Returns:
        The volume, and the mask of what was filled. The report has seconds, device, peak_memory_mb, warnings, method
        (that was used), filled_voxels, filled_ml, filled_percent, mask_resampled, name_suffix, reading (a sentence);
        and hemisphere_agreement, the correlation of a head's two hemispheres. An empty mask leaves all as it is, with a
        warning.

    Raises:
        InputError: NaN or infinity outside of the mask (inside they are filled), a mask that covers everything, or one
            of another number of channels.
        GeometryError: a mask that lies outside of the volume.
        OutOfMemoryError: the memory is not enough.
        Cancelled: from `on_progress`.
    """
    config = check_config(config, InpaintConfig)
    clock = StageClock()
    warnings: list[str] = []
    with clock.stage("check"):
        report(on_progress, 0.0, "Reading the mask")
        given, region = as_volume(volume, "volume", "all"), as_mask(mask)
        inside, resampled = masked_voxels(region, given, config.margin_mm)
        for number, channel in enumerate(given.data):
            check_finite(channel, inside[number % len(inside)], "The volume" if given.channels == 1 else
                         f"Channel {number}")
        chosen = select_device(device, warnings)
        _check_memory(given, inside, config)
    warnings += blending_warnings(given.data)
    final = given.data.dtype if config.keep_type else work_type(given.data.dtype)
    where, figures = chosen, {"method": config.method if config.method != "auto" else "biharmonic"}
    out = given.data.astype(final)
    if inside.any():
        (out, figures), where = with_cpu_fallback(
            lambda on: _Run(given, inside, config, on, clock).whole(final, span(on_progress, 0.02, 1.0)), chosen,
            warnings, _memory_message(given))
        warnings += [SYNTHESIZED, *figures.pop("warnings")]
    else:
        warnings.append(EMPTY)
    report(on_progress, 1.0, "Done")
    filled = Volume(inside.astype(np.uint8), given.affine)
    return Inpainting(Volume(out, given.affine), filled, {
        "seconds": clock.seconds, "device": describe(where), "peak_memory_mb": round(peak_mb(), 1),
        "warnings": warnings, **figures, **_counts(inside, given, resampled, figures)})


@dataclass(frozen=True)
class _Fills:
    """The smooth fills of one mask, each made when it is first needed."""

    inside: np.ndarray
    spacing_mm: np.ndarray

    @cached_property
    def harmonic(self) -> SmoothFill:
        return SmoothFill(self.inside, self.spacing_mm)

    @cached_property
    def biharmonic(self) -> SmoothFill:
        return SmoothFill(self.inside, self.spacing_mm, order=2)


@dataclass
class _Run:
    """The channels of a volume, one after another; systems and symmetry are found once for all that share a mask."""

    volume: Volume
    inside: np.ndarray
    config: InpaintConfig
    device: torch.device
    clock: StageClock
    warnings: list[str] = field(default_factory=list)

    def whole(self, final: np.dtype, on_progress: ProgressCallback | None) -> tuple[np.ndarray, dict]:
        """All channels filled, and what there is to say of them."""
        data, method = self.volume.data, self.config.method
        out, fills = data.astype(final), None
        symmetry, begin = None, 0.0
        if method in ("auto", "mirror"):
            with self.clock.stage("symmetry"):
                symmetry, begin = self._symmetry(span(on_progress, 0.0, 0.5)), 0.5
        symmetric = symmetry is not None and symmetry.agreement >= LEAST_AGREEMENT
        used = self._method(symmetric)
        for number in range(len(data)):
            inside = self.inside[number % len(self.inside)]
            if not inside.any():
                continue
            part = span(on_progress, begin + (1 - begin) * number / len(data),
                        begin + (1 - begin) * (number + 1) / len(data))
            with self.clock.stage("fill"):
                if fills is None or len(self.inside) > 1:
                    fills = _Fills(inside, self.volume.spacing_mm)
                values = self._channel(number, fills, used, symmetry if symmetric else None, part)
            out[number][inside] = as_type(values, out.dtype)
        figures: dict[str, Any] = {"method": used, "warnings": self.warnings}
        if symmetry is not None:
            figures["hemisphere_agreement"] = round(symmetry.agreement, 3)
        return out, figures

    def _method(self, symmetric: bool) -> str:
        asked = self.config.method
        if asked == "auto":
            return "mirror" if symmetric else "biharmonic"
        if asked == "mirror" and not symmetric:
            self.warnings.append("The volume is not symmetric as a head is: a biharmonic fill took the place of the "
                                 "other hemisphere.")
            return "biharmonic"
        return asked

    def _symmetry(self, on_progress: ProgressCallback | None) -> Symmetry | None:
        """That of the first channel."""
        inside = np.asarray(self.inside.any(axis=0))
        image = self.volume.data[0].astype(np.float32)
        image[inside] = np.median(image[~inside])
        return find_symmetry(Volume.scalar(image, self.volume.affine), inside, str(self.device), on_progress)

    def _channel(self, number: int, fills: "_Fills", method: str, symmetry: Symmetry | None,
                 on_progress: ProgressCallback | None) -> np.ndarray:
        """What is filled in, (N,) float64, within the range of what is known."""
        inside = fills.inside
        image = self.volume.data[number].astype(np.float32)
        known = image[~inside]
        low, high = float(known.min()), float(known.max())
        image[inside] = values = fills.harmonic.fill(image, span(on_progress, 0.0, 0.1))
        if method != "harmonic":
            values = fills.biharmonic.fill(image, span(on_progress, 0.1, 0.4), start=values)
            image[inside] = values = np.clip(values, low, high)
        if symmetry is not None:
            smooth = Volume.scalar(image, self.volume.affine)
            mirror = symmetry.mirror(smooth, inside, span(on_progress, 0.4, 0.7))
            values = blend_mirror(image, inside, self.volume.spacing_mm, fills.harmonic, mirror,
                                  span(on_progress, 0.7, 1.0))
        return np.clip(values, low, high)


def _counts(inside: np.ndarray, volume: Volume, resampled: bool, figures: dict) -> dict:
    """How much was filled, and a sentence about it."""
    voxels = int(inside.any(axis=0).sum())
    ml, percent = voxels * volume.grid.voxel_volume_ml, 100 * voxels / inside[0].size
    reading = (f"{voxels} voxels ({ml:.3g} ml, {percent:.2g} % of the volume) were synthesized by "
               f"{_WORDS[figures['method']]}; all others are as they were.") if voxels else EMPTY
    if resampled:
        reading += " The mask was resampled to the volume's grid, by nearest neighbor."
    return {"filled_voxels": voxels, "filled_ml": round(ml, 4), "filled_percent": round(percent, 4),
            "mask_resampled": resampled, "name_suffix": NAME_SUFFIX, "reading": reading}


def _check_memory(volume: Volume, inside: np.ndarray, config: InpaintConfig) -> None:
    masked = int(inside.sum(axis=(1, 2, 3)).max())
    if needed_bytes(inside[0].size, masked, config) > free_memory_bytes(torch.device("cpu")):
        raise OutOfMemoryError(_memory_message(volume))


def _memory_message(volume: Volume) -> str:
    size = " x ".join(map(str, volume.shape))
    return (f"Volume and mask of {size} voxels do not fit into memory. Crop them around the mask, or choose the "
            "harmonic fill.")
