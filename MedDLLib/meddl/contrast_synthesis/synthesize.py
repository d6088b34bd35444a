"""The verb `meddl.synthesize_contrast`: a head of one contrast of MR as another would show it."""

import numpy as np
import torch

from meddl.contrast_synthesis.contrasts import TARGETS, check_contrast, invented_warning
from meddl.contrast_synthesis.detail import guided_filter
from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.io import VolumeLike, as_volume
from meddl.recognition.recognize import recognize
from meddl.recognition.result import UNKNOWN
from meddl.results import ContrastSynthesis, Segmentation
from meddl.segmentation import segment
from meddl.segmentation.channels import with_finite_values
from meddl.spatial.volume import Volume
from meddl.synthesis.contrasts import contrast_of_image, means_by_label

UNIT = 1000.0  # intensity of a mean of 1; the brightest tissue is a little below it
_CSF = 24
_BRIGHT = 0.98  # quantile of the labeled voxels that is 1 in the guide
_RADIUS, _REGULARIZATION = 1, 1e-3


def synthesize_contrast(volume: VolumeLike, contrast: str = "t2", *, device: str = "auto",
                        on_progress: ProgressCallback | None = None) -> ContrastSynthesis:
    """A head as T1, T2 or FLAIR would show it, from one volume of MR of any contrast.

    The model `brain` labels the volume, each label gets the mean intensity that its tissue has in the contrast, and
    each neighborhood of the result is a linear function of what was measured (`detail.guided_filter`). Nothing is
    known beyond the labels, those of brain and CSF: it is black there.

    Args:
        volume: one channel, (1, I, J, K), any orientation, spacing and range; or the path of a file.
        contrast: t1, t2 or flair.
        device: auto, cpu, cuda, cuda:N or mps. A GPU that fails hands over to the CPU.

    Returns:
        The volume, float32 on the grid of the input, black is 0 and the brightest tissue about 1000. Its report is that
        of the segmentation, with contrast, contrast_of_volume (None where it was not seen), invented (True),
        name_suffix and reading.

    Raises:
        InputError: another contrast, several channels, no finite value, a constant volume, CT, or no head.
        GeometryError: a field of view that no scanner has.
        OutOfMemoryError: the memory is not enough.
        Cancelled: from `on_progress`.
    """
    contrast = check_contrast(contrast)
    report(on_progress, 0.0, "Looking at the volume")
    image, notes = with_finite_values(_check_channels(as_volume(volume, "volume")))
    doubts = _doubts(image)
    found = segment(image, "brain", SegmentConfig(modality="MR"), device=device,
                    on_progress=span(on_progress, 0.05, 0.95))
    if not found.labels.any():
        raise InputError("No brain was found in the volume. A contrast is synthesized from a head of MR alone.")
    report(on_progress, 0.95, "Synthesizing")
    made = paint(image, found, contrast)
    seen = contrast_of_image(image.scalar_data.astype(np.float32) - float(image.data.min()), found.labels)
    known = [f"The volume looks like {seen} already: use it as it is."] if seen == TARGETS[contrast] else []
    report(on_progress, 1.0, "Done")
    return ContrastSynthesis(made, {
        **found.report, "warnings": [invented_warning(contrast), *known, *notes, *doubts,
                                     *found.report["warnings"]],
        "contrast": TARGETS[contrast], "contrast_of_volume": seen, "invented": True,
        "name_suffix": f"{TARGETS[contrast]}, invented",
        "reading": f"{TARGETS[contrast]} synthesized, not measured; arbitrary units, 0 is black."})


def paint(volume: Volume, found: Segmentation, contrast: str) -> Volume:
    """The labels of a volume in a contrast, with the detail of the volume, float32.

    Args:
        found: labels of `brain` on the volume's grid.
        contrast: word of `TARGETS`.
    """
    means = means_by_label(TARGETS[contrast])
    table = np.zeros(int(found.labels.max()) + 1, dtype=np.float32)
    for value in np.unique(found.labels[found.labels > 0]):
        table[value] = means.get(int(value), means[_CSF])
    guide = volume.scalar_data.astype(np.float32)
    painted, inside = table[found.labels], found.labels > 0
    low, high = float(guide.min()), float(np.quantile(guide[inside][::7], _BRIGHT))
    guide = (guide - low) / max(high - low, 1e-12)
    of_volume, of_labels, known = (torch.from_numpy(np.ascontiguousarray(one)) for one in (guide, painted, inside))
    made = guided_filter(of_volume, of_labels, known, _RADIUS, _REGULARIZATION)
    return Volume.scalar(made.clamp_(0, 1).mul_(UNIT).numpy(), volume.affine)


def _check_channels(volume: Volume) -> Volume:
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
    unknown = "Whether the volume shows a head was not seen. Look at the result."
    return [unknown] if found.region == UNKNOWN else list(found.warnings())
