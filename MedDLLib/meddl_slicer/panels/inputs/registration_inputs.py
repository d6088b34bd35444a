"""Why the chosen inputs of a registration cannot be used, before it runs. Reads no voxels."""

import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.registration_nodes import MOVED_ROLE, apply_to, take_back
from meddl_slicer.mrml.sequences import looks_like_volumes
from meddl_slicer.mrml.transforms import is_under


def why_not_a_pair(fixedNode, movingNode) -> str | None:
    """Why these two volumes cannot be registered; None where they can."""
    if fixedNode is None:
        return _("Choose a fixed volume.")
    if movingNode is None:
        return _("Choose a moving volume.")
    if fixedNode is movingNode:
        return _("The fixed and the moving volume are the same. Choose two volumes.")
    return None


def why_no_output(chosen, others) -> str | None:
    """Why the chosen outputs cannot be filled; None where they can.

    Args:
        chosen: the parameters of a panel: fixedVolume, movingVolume, initialTransform, outputTransform, warp,
            warpedVolume.
        others: the other nodes that are read.
    """
    transform, volumes = chosen.outputTransform, (chosen.fixedVolume, chosen.movingVolume)
    if chosen.warp and chosen.warpedVolume in volumes:
        return _("The warped volume would overwrite an input. Choose another, or create a new one.")
    if transform is None:
        return None
    if transform is chosen.initialTransform:
        return _("The output would overwrite the initial transform. Choose another, or create a new one.")
    own = transform.GetNodeReference(MOVED_ROLE)  # Apply takes it out of its earlier result first
    own = own if own is chosen.movingVolume else None
    if any(node is not own and is_under(node, transform) for node in (*volumes, *others)):
        return _("The output transform already moves an input. Choose another, or create a new one.")
    return None


def lift_from(transformNode, movingNode, onDone):
    """Take the moving volume out of an earlier result that is to be filled anew; returns the function to call with the
    task that has ended: the volume goes back where the run gave no result, and `onDone` is called."""
    if transformNode is None or transformNode.GetNodeReference(MOVED_ROLE) is not movingNode:
        return onDone

    def onEnd(task) -> None:
        if task.state != "done" and all(map(slicer.mrmlScene.IsNodePresent, (transformNode, movingNode))):
            apply_to(transformNode, movingNode)
        onDone(task)

    take_back(transformNode)
    return onEnd


def why_no_help(chosen) -> str | None:
    """Why the chosen masks, landmarks or segmentations cannot be used; None where they can.

    Args:
        chosen: the parameters of a panel.
    """
    return (why_no_mask(chosen.fixedMask, chosen.fixedVolume, _("fixed"))
            or why_no_mask(chosen.movingMask, chosen.movingVolume, _("moving"))
            or why_no_landmarks(chosen.fixedLandmarks, chosen.movingLandmarks)
            or why_no_segmentations(chosen.fixedSegmentation, chosen.movingSegmentation))


def why_not_a_series(sequenceNode, transformSequence=None, correctedSequence=None) -> str | None:
    """Why the motion of a sequence cannot be found; None where it can.

    Args:
        transformSequence, correctedSequence: the sequences to fill, None for new ones.
    """
    if sequenceNode is None:
        return _("Choose a sequence of volumes.")
    if not looks_like_volumes(sequenceNode):
        return _("The sequence '{name}' does not hold volumes. Choose another.").format(name=sequenceNode.GetName())
    if sequenceNode.GetNumberOfDataNodes() < 2:
        return _("The sequence '{name}' has one frame only; motion is seen between two.").format(
            name=sequenceNode.GetName())
    if sequenceNode in (transformSequence, correctedSequence):
        return _("The output would overwrite the sequence. Choose another, or create a new one.")
    if transformSequence is not None and transformSequence is correctedSequence:
        return _("Both outputs are the same sequence. Choose another for one of them, or create a new one.")
    return None


def why_no_mask(maskNode, volumeNode, name: str) -> str | None:
    """Why a segmentation or label map cannot mask a volume; None where it can, or where there is none.

    Args:
        name: which volume, "fixed" or "moving".
    """
    if maskNode is None:
        return None
    if maskNode is volumeNode:
        return _("The {name} mask is the volume itself. Choose a segmentation or a label map.").format(name=name)
    if _is_empty(maskNode):
        return _("The {name} mask '{mask}' is empty. Draw a segment in it, or choose none.").format(
            name=name, mask=maskNode.GetName())
    if not _overlap(maskNode, volumeNode):
        return _("The {name} mask '{mask}' lies outside the {name} volume. Choose another, or none.").format(
            name=name, mask=maskNode.GetName())
    return None


def why_no_landmarks(fixedNode, movingNode) -> str | None:
    """Why two lists of points cannot be matched; None where they can, or where there are none."""
    if fixedNode is None and movingNode is None:
        return None
    if fixedNode is None or movingNode is None:
        return _("Landmarks come in pairs: choose the points of both volumes, or none.")
    if fixedNode is movingNode:
        return _("The landmarks of both volumes are the same list. Choose one for each volume.")
    counts = [node.GetNumberOfDefinedControlPoints() for node in (fixedNode, movingNode)]
    if not all(counts):
        return _("There are no landmarks in '{name}'. Place points, or choose none.").format(
            name=(fixedNode if not counts[0] else movingNode).GetName())
    labels = [{node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())}
              for node in (fixedNode, movingNode)]
    if counts[0] != counts[1] and not (labels[0] & labels[1] - {""}):
        return _("There are {fixed} fixed and {moving} moving landmarks and no name is in both lists. "
                 "Give both the same points.").format(fixed=counts[0], moving=counts[1])
    return None


def why_no_segmentations(fixedNode, movingNode) -> str | None:
    """Why two segmentations cannot be compared; None where they can, or where there are none."""
    if fixedNode is None and movingNode is None:
        return None
    if fixedNode is None or movingNode is None:
        return _("Overlap is measured between two segmentations: choose those of both volumes, or none.")
    if fixedNode is movingNode:
        return _("The segmentations of both volumes are the same. Choose one for each volume.")
    names = [_segment_names(node) for node in (fixedNode, movingNode)]
    if not names[0] & names[1]:
        return _("The two segmentations have no structure of the same name to compare.")
    return None


def _segment_names(node) -> set[str]:
    content = node.GetSegmentation()
    return {content.GetNthSegment(index).GetName() for index in range(content.GetNumberOfSegments())}


def _is_empty(node) -> bool:
    if node.IsA("vtkMRMLSegmentationNode"):
        return node.GetSegmentation().GetNumberOfSegments() == 0
    return node.GetImageData() is None


def _overlap(one, other) -> bool:
    """Whether the boxes around two nodes, where they are seen, have a part in common."""
    boxes = []
    for node in (one, other):
        box = [0.0] * 6
        node.GetRASBounds(box)
        boxes.append(box)
    return all(max(boxes[0][2 * axis], boxes[1][2 * axis]) < min(boxes[0][2 * axis + 1], boxes[1][2 * axis + 1])
               for axis in range(3))
