"""From a result to Slicer's Segment Editor."""

import slicer
from slicer.i18n import tr as _

from meddl.core.errors import InputError


def edit(segmentationNode, effect: str | None = None) -> None:
    """Open the Segment Editor with a segmentation, over the volume that it was made from.

    Args:
        effect: the name of the effect to choose.

    Raises:
        InputError: the segmentation has left the scene.
    """
    if segmentationNode is None or not slicer.mrmlScene.IsNodePresent(segmentationNode):
        raise InputError(_("The segmentation is no longer in the scene. Press Apply for a new one."))
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    editor.setSegmentationNode(segmentationNode)
    editor.setSourceVolumeNode(
        segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole()))
    if effect is not None:
        editor.setActiveEffectByName(effect)
