"""A region of interest in the scene, as `meddl.segment` takes it: a box or a mask in world RAS mm."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.nodes import linear_parent_matrix, read_node
from meddl_slicer.mrml.segment_layers import read_layers


def read_roi(roiNode, volumeNode) -> np.ndarray | tuple[Volume, ...]:
    """The region that a node shows, where it is seen.

    Args:
        roiNode: a markups ROI, turned as it may be and under linear transforms; or a segmentation or label map, of
            which everything that is not background counts.
        volumeNode: the volume that is looked at.

    Returns:
        (4, 4), from the cube of -0.5 to 0.5 to world RAS mm; or masks, which together are the region.

    Raises:
        InputError: another kind of node, no size, an empty mask, or a nonlinear transform above a markups ROI.
    """
    if roiNode.IsA("vtkMRMLMarkupsROINode"):
        return _box(roiNode)
    if roiNode.IsA("vtkMRMLSegmentationNode"):
        masks = tuple(Volume.scalar(layer.labels.labels, layer.labels.affine)
                      for layer in read_layers(roiNode, volumeNode))
    elif roiNode.IsA("vtkMRMLLabelMapVolumeNode"):
        masks = (read_node(roiNode)[0],)
    else:
        raise InputError(f"A region of interest is a markups ROI, a segmentation or a label map; "
                         f"'{roiNode.GetName()}' is a {roiNode.GetNodeTagName()}.")
    if not any(mask.data.any() for mask in masks):
        raise InputError(f"The region of interest '{roiNode.GetName()}' is empty. Draw in it, or choose none.")
    return masks


def why_no_box(roiNode) -> str | None:
    """Why a markups ROI is no region yet; None where it is one, or where there is none."""
    if roiNode is not None and (roiNode.GetNumberOfDefinedControlPoints() < 1 or min(roiNode.GetSize()) <= 0):
        return _("The region of interest '{name}' has no size yet. Place it, or choose none.").format(
            name=roiNode.GetName())
    return None


def _box(roiNode) -> np.ndarray:
    reason = why_no_box(roiNode)
    if reason is not None:
        raise InputError(reason)
    size = roiNode.GetSize()
    to_node = slicer.util.arrayFromVTKMatrix(roiNode.GetObjectToNodeMatrix())
    return linear_parent_matrix(roiNode) @ to_node @ np.diag([*size, 1.0])
