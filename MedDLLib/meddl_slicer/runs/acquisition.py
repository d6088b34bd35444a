"""Detection of a volume's acquisition in the worker, shown before a run."""

from collections.abc import Callable

import numpy as np
from slicer.i18n import tr as _

from meddl.core.config import SuperResolveConfig
from meddl.spatial.grid import axis_codes
from meddl_slicer.mrml.nodes import affine_of_node, volume_from_node
from meddl_slicer.runs import tasks
from meddl_slicer.runs.packages import dependencies

DETECT = "meddl_slicer.runs.remote:detect_acquisition"
# Methods that halve the voxels along every axis, unless stated otherwise, and those that keep them.
VOLUMETRIC = ("edsr3d", "srcnn", "srresnet", "srgan")
_SAME = 1.01  # voxel sizes closer than this are equal
DENOISING = ("denoise", "denoise-autoencoder", "denoise-self-supervised")

_DIRECTIONS = {"R": _("left to right"), "L": _("left to right"), "A": _("back to front"), "P": _("back to front"),
               "S": _("bottom to top"), "I": _("bottom to top")}


class Detector:
    """Keeps what the worker says of the chosen volume; one question at a time, asked anew where the volume changes.

    Args:
        onResult: called without arguments when `detection` has something new.
    """

    def __init__(self, onResult: Callable[[], None]):
        self.detection: dict | None = None
        self._onResult = onResult
        self._key = None
        self._asked = None
        self._question = None
        self._closed = False

    def ask(self, volumeNode, axis: int | None) -> None:
        """Look at this volume, sharpened along `axis` (None: the thickest). The same question is asked once."""
        key = None if volumeNode is None else (volumeNode.GetID(), volumeNode.GetImageData().GetMTime(), axis)
        if key == self._key:
            self._next()  # it may be answered now
            return
        self._key, self.detection = key, None
        self._question = None if key is None else (volumeNode, axis)
        self._next()

    def close(self) -> None:
        """Take no more results, ask nothing more."""
        self._closed, self._question = True, None

    def _next(self) -> None:
        if self._question is None or self._asked is not None or not tasks.may_ask() or dependencies.missing():
            return
        (node, axis), self._question = self._question, None
        key = self._asked = self._key

        def on_done(task) -> None:
            self._asked = None
            if self._closed:
                return
            if key == self._key:
                if task.state == "done":
                    self.detection = task.result()
                    self._onResult()
            else:
                self._next()

        tasks.run(DETECT, volume_from_node(node), SuperResolveConfig(axis=axis), inputs=(node,), wait=False,
                  onDone=on_done)


def thickest_axis(volumeNode) -> int:
    """The axis (0, 1, 2 for i, j, k) with the largest voxels, by the header."""
    return int(np.argmax(volumeNode.GetSpacing()))


def why_not_finer(volumeNode, config: SuperResolveConfig) -> str | None:
    """Why the voxels of a volume node would not become smaller, by the header; None where they do or are to stay."""
    if config.method in DENOISING:
        return None
    spacing = volumeNode.GetSpacing()
    if config.factor is not None:
        return None if config.factor > 1 else _("The factor must be above 1: voxels become that many times smaller.")
    if config.target_spacing_mm is not None:
        changed = spacing if config.axis is None else (spacing[config.axis],)
        return None if max(changed) > config.target_spacing_mm else _(
            "The voxels are already as small as {size:.2f} mm. Choose a smaller voxel size.").format(
                size=config.target_spacing_mm)
    axis = thickest_axis(volumeNode) if config.axis is None else config.axis
    if config.method in VOLUMETRIC or spacing[axis] > _SAME * min(spacing):
        return None
    return _("The voxels are as small along axis {axis} as along the others, {size:.2f} mm: nothing would change. "
             "Choose a voxel size, or a method that makes all axes finer, such as 3D isotropic (EDSR).").format(
                 axis="ijk"[axis], size=min(spacing))


def detection_text(volumeNode, detection: dict | None) -> str:
    """The volume's slices in words; from its header alone until the worker has looked at its intensities.

    Args:
        detection: as `meddl_slicer.runs.remote.detect_acquisition` returns them.
    """
    if volumeNode is None:
        return ""
    axis = thickest_axis(volumeNode) if detection is None else detection["axis"]
    spacing = volumeNode.GetSpacing()
    distance = spacing[axis] if detection is None else detection["slice_distance_mm"]
    factor = distance / min(spacing)
    direction = _DIRECTIONS[axis_codes(affine_of_node(volumeNode))[axis]]
    sentence = _("Axis {axis} ({direction}): slices {distance:.2f} mm apart, {factor:.1f} × the smallest voxel size.")
    parts = [sentence.format(axis="ijk"[axis], direction=direction, distance=distance, factor=factor)]
    if detection is not None:
        parts.append(_("Noise (SD) about {noise:.3g}.").format(noise=detection["noise_sigma"][0]))
        if detection["zero_filling"][axis] > 1:
            sentence = _("The scanner interpolated it by {factor:.2f} (zero-filled): the measured slices are used.")
            parts.append(sentence.format(factor=detection["zero_filling"][axis]))
    return " ".join(parts)
