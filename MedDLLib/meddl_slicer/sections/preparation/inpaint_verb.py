"""Inpainting of a volume node or a sequence node inside a mask."""

import slicer
from slicer.i18n import tr as _

from meddl.core.config import check_config
from meddl.core.errors import InputError
from meddl.inpainting.config import InpaintConfig
from meddl_slicer.mrml.nodes import check_node, is_of_class, place_beside, put_volume, read_node, why_not_usable
from meddl_slicer.mrml.roi import read_roi
from meddl_slicer.mrml.sequences import fill_volume_sequence, looks_like_volumes, show_in_step, volumes_from_sequence
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies

INPAINT = "meddl_slicer.sections.preparation.inpaint_remote:inpaint"


def inpaint_node(inputNode, maskNode, config: InpaintConfig | None = None, *, outputNode=None, device: str = "auto",
                 wait: bool = True, onProgress=None, onDone=None):
    """Fill the voxels of a volume or of the frames of a sequence inside a mask: `meddl.inpaint`.

    Args:
        inputNode: a scalar volume node, under any parent transform, or a sequence of volumes on one grid.
        maskNode: a segmentation or label map: everything that is not background is filled.
        config: method, margin.
        outputNode: a node of the input's kind to fill instead of a new one; never the input.
        device, wait, onProgress, onDone: as of `meddl_slicer.runs.verbs`.

    Returns:
        The volume or sequence node, or the Task. Its name says that voxels are synthesized; the label map of these is
        its node reference `verbs.INVENTED_ROLE`. It keeps the report.

    Raises:
        InputError, GeometryError: an input that cannot be used, or a mask that covers everything or lies elsewhere.
        DependencyError: Python packages are missing and were not installed.
        OutOfMemoryError, WorkerError: the run failed.
        Cancelled: it was stopped.
    """
    config = check_config(config, InpaintConfig)
    reason = why_not_inpainted(inputNode, maskNode, outputNode)
    if reason is not None:
        raise InputError(reason)
    sequence = is_of_class(inputNode, "vtkMRMLSequenceNode")
    check_node(outputNode, "outputNode", "vtkMRMLSequenceNode" if sequence else "vtkMRMLVolumeNode",
               (inputNode, maskNode))
    dependencies.ensure()
    if sequence:
        frames, like, placement = volumes_from_sequence(inputNode), inputNode.GetNthDataNode(0), None
    else:
        volume, placement = read_node(inputNode)
        frames, like = [volume], inputNode
    masks = read_roi(maskNode, like)

    def apply(found):
        made, filled, report = found
        name, output = f"{inputNode.GetName()} {report['name_suffix']}", verbs._if_present(outputNode)
        if sequence:
            node = fill_volume_sequence(made, inputNode, name, output)
            show_in_step(inputNode, (node,))
        else:
            node = put_volume(made[0], name, inputNode, inputNode, placement, output)
        _put_mask(node, filled, None if sequence else inputNode, placement)
        verbs.keep_report(node, report)
        return node

    return tasks.run(INPAINT, frames, masks, config, device=device, wait=wait, apply=apply,
                     inputs=(inputNode, maskNode), onProgress=onProgress, onDone=onDone)


def why_not_inpainted(inputNode, maskNode, outputNode=None) -> str | None:
    """Why a node cannot be inpainted; None where it can. Reads no voxels."""
    if inputNode is None:
        return _("Choose a volume or a sequence of volumes.")
    if is_of_class(inputNode, "vtkMRMLSequenceNode"):
        if not looks_like_volumes(inputNode):
            return _("The sequence '{name}' does not hold volumes. Choose another.").format(name=inputNode.GetName())
    elif (reason := why_not_usable(inputNode)) is not None:
        return reason
    if maskNode is None:
        return _("Choose a mask: a segmentation or a label map of what is to be filled.")
    if not any(is_of_class(maskNode, kind) for kind in ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode")):
        return _("A mask is a segmentation or a label map. Choose one of these.")
    if outputNode is not None and outputNode is inputNode:
        return _("The output would overwrite the input. Choose another, or create a new one.")
    if outputNode is not None and is_of_class(outputNode, "vtkMRMLSequenceNode") != is_of_class(
            inputNode, "vtkMRMLSequenceNode"):
        return _("The output is of another kind than the input. Choose another, or create a new one.")
    return None


def _put_mask(node, filled, volumeNode, placement) -> None:
    """The label map of the synthesized voxels beside the result; that of an earlier run is replaced."""
    mask, name = node.GetNodeReference(verbs.INVENTED_ROLE), f"{node.GetName()} mask"
    if mask is None:
        unique = slicer.mrmlScene.GenerateUniqueName(name)
        mask = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", unique)
        node.SetNodeReferenceID(verbs.INVENTED_ROLE, mask.GetID())
    put_volume(filled, name, None, volumeNode, placement, mask)
    if volumeNode is not None:
        place_beside(mask, volumeNode)
