"""Further volumes for a model that takes several: checked, read, and distinguished by their names."""

import re
from collections.abc import Mapping, Sequence

import slicer

from meddl.core.errors import GeometryError, InputError
from meddl_slicer.mrml.nodes import read_node


def other_nodes(otherNodes) -> tuple:
    """The nodes of a sequence, or of a mapping by the name of the channel; () for None."""
    if not otherNodes:
        return ()
    return tuple(otherNodes.values()) if isinstance(otherNodes, Mapping) else tuple(otherNodes)


def read_others(volumeNode, otherNodes):
    """The further channels in world space: as `meddl.segment` takes them in `others`.

    Args:
        volumeNode: the first volume.
        otherNodes: volume nodes in the model's order after it, or by the name of their channel.

    Raises:
        InputError: a node that is no volume, or one that is given twice.
        GeometryError: DICOM volumes of different frames of reference.
    """
    nodes = other_nodes(otherNodes)
    if len({id(node) for node in (volumeNode, *nodes)}) < 1 + len(nodes):
        raise InputError("The same volume was given for two channels. Choose another one for each.")
    volumes = [read_node(node)[0] for node in nodes]
    for node in nodes:
        check_frame(volumeNode, node)
    return dict(zip(otherNodes, volumes)) if isinstance(otherNodes, Mapping) else volumes


def check_frame(volumeNode, other) -> None:
    """See that two volumes can be compared where they lie: nothing is known of it, or the frame of reference is one.

    A volume under a transform was laid where it is on purpose.

    Raises:
        GeometryError: DICOM says that they lie in different frames of reference.
    """
    if volumeNode.GetParentTransformNode() is not None or other.GetParentTransformNode() is not None:
        return
    frames = [frame_of_reference(node) for node in (volumeNode, other)]
    if all(frames) and frames[0] != frames[1]:
        raise GeometryError(f"'{volumeNode.GetName()}' and '{other.GetName()}' lie in different frames of reference "
                            "(DICOM): their voxels cannot be compared. Register one to the other before.")


def frame_of_reference(volumeNode) -> str:
    """The UID of the space in which DICOM says that the volume lies; "" where it is not known."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = 0 if hierarchy is None else hierarchy.GetItemByDataNode(volumeNode)
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMFrameOfReferenceUIDAttributeName()
    return (hierarchy.GetItemAttribute(item, name) or "") if item else ""


def nodes_by_channel(nodes: Sequence, names: Sequence[str]) -> list:
    """The nodes in the order of a model's channels: each channel's name is a word of one node's name.

    Raises:
        InputError: another number of nodes, or names that do not tell which is which.
    """
    listed = ", ".join(node.GetName() for node in nodes) or "none"
    if len(nodes) != len(names):
        raise InputError(f"The model takes {len(names)} volumes ({', '.join(names)}); found: {listed}.")
    if len(names) == 1:
        return list(nodes)
    row = []
    for name in names:
        found = nodes_named_for(nodes, name)
        if len(found) != 1 or found[0] in row:
            raise InputError(f"Which volume is {name}? One of them is named so, as in 'head {name}'; found: {listed}.")
        row.append(found[0])
    return row


def nodes_named_for(nodes: Sequence, channel: str) -> list:
    """The nodes whose name has a channel's name as a word, in capitals or not."""
    word = re.compile(rf"(?<![^\W_]){re.escape(channel)}(?![^\W_])", re.IGNORECASE)
    return [node for node in nodes if word.search(node.GetName())]
