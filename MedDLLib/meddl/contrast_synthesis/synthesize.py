"""The verb `meddl.synthesize_contrast`: a head of one contrast of MR as another would show it."""

import numpy as np
import torch

from meddl.contrast_synthesis.contrasts import MODEL, TARGETS, TASK, UNIT, check_contrast, invented_warning
from meddl.contrast_synthesis.detail import guided_coefficients
from meddl.contrast_synthesis.network_input import SPACING_MM, bright_level, to_network_range
from meddl.core.device import describe, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import InputError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report
from meddl.core.stage_clock import StageClock
from meddl.io import VolumeLike, as_volume
from meddl.models.loaded_networks import load_networks
from meddl.networks.inference import between_layers
from meddl.recognition.recognize import recognize
from meddl.recognition.result import UNKNOWN
from meddl.results import ContrastSynthesis
from meddl.segmentation.brain.preprocess import Prepared, prepare
from meddl.segmentation.channels import with_finite_values
from meddl.segmentation.sampling_grids import covering, sample_region
from meddl.spatial.grid import Grid, axis_codes, grid_around
from meddl.spatial.normalize import object_threshold
from meddl.spatial.volume import Volume

_MULTIPLE = 16               # of the voxels that the network takes along each axis
_MARGIN_VOXELS = 4           # about the head
_RADIUS, _REGULARIZATION = 1, 1e-3
_ALIKE = 0.95                # correlation with the input from which a target counts as the input's own contrast
_MEMORY = "This volume needs more memory than is free. Close other programs, or crop or resample the volume."


def synthesize_contrast(volume: VolumeLike, contrast: str = "t2", *, device: str = "auto",
                        on_progress: ProgressCallback | None = None) -> ContrastSynthesis:
    """A head as T1, T2 or FLAIR would show it, from one volume of MR of any contrast.

    A network that has seen rendered heads alone, in voxels of 2 mm, says what the contrast is like; on the volume's
    own grid each neighborhood is a linear function of what was measured (`detail.guided_coefficients`).

    Args:
        volume: one channel, (1, I, J, K), any orientation, spacing and range; or the path of a file.
        contrast: t1, t2 or flair.
        device: auto, cpu, cuda, cuda:N or mps. A GPU that fails hands over to the CPU.

    Returns:
        The volume, float32 on the grid of the input, black is 0 and the brightest tissue about 1000. Its report has
        seconds, device, peak_memory_mb, warnings, model, contrast, invented (True), name_suffix, reading, and
        correlation (of the input with each contrast synthesized from it, by name).

    Raises:
        InputError: another contrast, several channels, no finite value, a constant volume, CT, or a volume that is
            surely no head.
        GeometryError: a field of view that no scanner has.
        ModelNotFoundError, ModelError, IntegrityError: the network cannot be used.
        OutOfMemoryError: the memory is not enough.
        Cancelled: from `on_progress`.
    """
    contrast = check_contrast(contrast)
    clock, warnings = StageClock(), [invented_warning(contrast)]
    with clock.stage("check"):
        report(on_progress, 0.0, "Looking at the volume")
        image, notes = with_finite_values(_checked(as_volume(volume, "volume")))
        warnings += [*notes, *_doubts(image)]
        chosen = select_device(device, warnings)

    def on(where: torch.device) -> tuple[Volume, dict, str]:
        card, networks = load_networks(MODEL, TASK, where)
        with clock.stage("prepare"):
            prepared = prepare(image, where)
            grid, unit, bright = _network_input(prepared)
        with clock.stage("network"):
            report(on_progress, 0.2, "Synthesizing")
            network = networks["network"]
            with torch.no_grad(), between_layers([network], lambda *_: report(on_progress, 0.2, "Synthesizing")):
                found = network(unit)[0]
        with clock.stage("detail"):
            report(on_progress, 0.6, "On the grid of the volume")
            made = _on_volume(image, prepared, (grid, unit[0, 0], bright), found[list(TARGETS).index(contrast)])
        return made, _correlations(unit[0, 0], found), f"{card.id} {card.version}"

    (made, alike, model), used = with_cpu_fallback(on, chosen, warnings, _MEMORY)
    if alike[contrast] >= _ALIKE and alike[contrast] == max(alike.values()):
        warnings.append(f"The volume looks like {TARGETS[contrast]} already: use it as it is.")
    report(on_progress, 1.0, "Done")
    return ContrastSynthesis(made, {
        "seconds": clock.seconds, "device": describe(used), "peak_memory_mb": round(peak_mb(), 1),
        "warnings": warnings, "model": model, "contrast": TARGETS[contrast], "invented": True,
        "name_suffix": f"{TARGETS[contrast]}, invented", "correlation": alike,
        "reading": f"{TARGETS[contrast]} synthesized, not measured; arbitrary units, 0 is black."})


def _checked(volume: Volume) -> Volume:
    """The volume, which has one channel."""
    if volume.channels != 1:
        raise InputError(f"One channel was expected; this volume has {volume.channels}. Choose one of them: a contrast "
                         "is synthesized from one volume.")
    return volume


def _doubts(volume: Volume) -> list[str]:
    """What speaks against the volume, for the user.

    Raises:
        InputError: CT, or surely no head.
    """
    found = recognize(volume)
    if found.contrast == "CT":
        raise InputError("The volume is CT. A contrast of MR is synthesized from a head of MR alone.")
    if found.known_region not in (None, "head"):
        raise InputError("The volume shows no head. A contrast is synthesized from a head of MR alone.")
    if found.region == UNKNOWN:
        return ["Whether the volume shows a head was not seen. The network knows heads alone: look at the result."]
    return list(found.warnings())


def _network_input(prepared: Prepared) -> tuple[Grid, torch.Tensor, float]:
    """A grid of 2 mm about the head, the image on it (1, 1, I, J, K) in the network's range, and the intensity that is
    1 there."""
    whole = covering(prepared.grid, SPACING_MM, _MULTIPLE, _MULTIPLE)
    coarse = sample_region(prepared.image, prepared.grid, whole)
    seen = torch.nonzero(coarse > object_threshold(coarse.cpu().double().numpy()))
    first, last = (seen.amin(0), seen.amax(0)) if len(seen) else (torch.zeros(3), torch.tensor(coarse.shape) - 1)
    size = np.maximum(np.ceil((last - first + 1 + 2 * _MARGIN_VOXELS).cpu().numpy() / _MULTIPLE), 2) * _MULTIPLE
    middle = whole.points_mm([((first + last) / 2).cpu().numpy()])[0]
    grid = grid_around(middle, size.astype(int), whole.affine[:3, :3])
    image = sample_region(prepared.image, prepared.grid, grid)
    bright = bright_level(image)
    return grid, to_network_range(image, bright)[None, None], bright


def _on_volume(volume: Volume, prepared: Prepared, coarse: tuple[Grid, torch.Tensor, float],
               found: torch.Tensor) -> Volume:
    """A synthesized image (I, J, K) of the coarse grid on the volume's own, float32.

    Args:
        coarse: grid, network input (I, J, K) and the intensity that is 1 in it.
    """
    grid, unit, bright = coarse
    slope, offset = (sample_region(one, grid, prepared.grid)
                     for one in guided_coefficients(unit, found.float(), _RADIUS, _REGULARIZATION))
    made = slope.mul_(to_network_range(prepared.image, bright)).add_(offset).clamp_(0, 1).mul_(UNIT)
    oriented = Volume.scalar(made.cpu().numpy(), prepared.grid.affine)
    return Volume(np.ascontiguousarray(oriented.reorient(axis_codes(volume.affine)).data), volume.affine)


def _correlations(unit: torch.Tensor, found: torch.Tensor) -> dict[str, float]:
    """Correlation of the input with each contrast where the head is."""
    head = unit > 0.05
    if int(head.sum()) < 2:
        return dict.fromkeys(TARGETS, 0.0)
    rows = torch.stack([unit[head], *(one[head] for one in found)]).double()
    return {word: round(float(value), 3) for word, value in
            zip(TARGETS, torch.nan_to_num(torch.corrcoef(rows))[0, 1:], strict=True)}
