"""Sequence nodes of volumes and of transforms: frames read, results filled in, and both shown in step.

The volumes of a sequence lie in a space of its own. They are read there, whatever transform the node lies under in
which the browser shows them; results belong under the same one.
"""

from collections.abc import Sequence

import slicer

from meddl.core.errors import InputError
from meddl.results import Segmentation
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.nodes import is_of_class, read_node, update_volume_node, why_not_usable
from meddl_slicer.mrml.segmentations import segmentation_content
from meddl_slicer.mrml.transforms import fill_transform_node


def volumes_from_sequence(sequenceNode) -> list[Volume]:
    """The frames of a volume sequence, in its order.

    Returns:
        Volumes of shape (1, I, J, K), views of the nodes' voxels: do not write into them.

    Raises:
        InputError: not a sequence, nothing in it, or a frame that is no volume of one component.
    """
    if not is_of_class(sequenceNode, "vtkMRMLSequenceNode"):
        found = "none is selected" if sequenceNode is None else \
            f"'{sequenceNode.GetName()}' is a {sequenceNode.GetNodeTagName()}" if hasattr(sequenceNode, "IsA") else \
            f"got {type(sequenceNode).__name__}"
        raise InputError(f"A sequence of volumes was expected; {found}.")
    if sequenceNode.GetNumberOfDataNodes() == 0:
        raise InputError(f"The sequence '{sequenceNode.GetName()}' is empty. Load or record one.")
    frames = []
    for number in range(sequenceNode.GetNumberOfDataNodes()):
        try:
            frames.append(read_node(sequenceNode.GetNthDataNode(number))[0])
        except InputError as error:
            raise InputError(f"Frame {number} of '{sequenceNode.GetName()}' cannot be used. {error}") from error
    return frames


def looks_like_volumes(sequenceNode) -> bool:
    """Whether the first frame is a scalar volume. Reads no voxels."""
    if not is_of_class(sequenceNode, "vtkMRMLSequenceNode") or sequenceNode.GetNumberOfDataNodes() == 0:
        return False
    return why_not_usable(sequenceNode.GetNthDataNode(0)) is None


def fill_volume_sequence(frames: Sequence[Volume], like, name: str, node=None):
    """A sequence of scalar volumes with the index values of the sequence `like`; in `node`, or a new one."""
    def frame_node(number: int):
        made = slicer.vtkMRMLScalarVolumeNode()
        update_volume_node(made, frames[number])
        return made

    return _fill(len(frames), frame_node, like, name, node)


def fill_transform_sequence(maps: Sequence[tuple], like, name: str, node=None):
    """A sequence of transforms with the index values of the sequence `like`; in `node`, or a new one.

    Args:
        maps: for each frame (field, matrix), see `transforms.fill_transform_node`.
    """
    def frame_node(number: int):
        return fill_transform_node(*maps[number], name, slicer.vtkMRMLTransformNode())

    return _fill(len(maps), frame_node, like, name, node)


def fill_segmentation_sequence(segmentations: Sequence[Segmentation], like, name: str, node=None):
    """A sequence of segmentations with the index values of the sequence `like`; in `node`, or a new one."""
    def frame_node(number: int):
        found = segmentations[number]
        made = slicer.vtkMRMLSegmentationNode()
        made.SetAndObserveSegmentation(segmentation_content(found, found.affine))
        return made

    return _fill(len(segmentations), frame_node, like, name, node)


def fill_label_map_sequence(segmentations: Sequence[Segmentation], like, name: str, node=None):
    """A sequence of label maps with the index values of the sequence `like`; in `node`, or a new one."""
    def frame_node(number: int):
        made = slicer.vtkMRMLLabelMapVolumeNode()
        update_volume_node(made, Volume.scalar(segmentations[number].labels, segmentations[number].affine))
        return made

    return _fill(len(segmentations), frame_node, like, name, node)


def browser_of(sequenceNode):
    """The first browser that shows the sequence, or None."""
    scene = slicer.mrmlScene
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        if browser.IsSynchronizedSequenceNode(sequenceNode, True):
            return browser
    return None


def node_in_browser(sequenceNode):
    """The node that shows the browser's present frame of the sequence in the scene, or None."""
    browser = None if sequenceNode is None else browser_of(sequenceNode)
    return None if browser is None else browser.GetProxyNode(sequenceNode)


def show_in_step(sequenceNode, others: Sequence):
    """Show other sequences in step with this one: in its browser, or a new one. Returns the browser."""
    browser = browser_of(sequenceNode)
    if browser is None:
        name = slicer.mrmlScene.GenerateUniqueName(f"{sequenceNode.GetName()} browser")
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", name)
        browser.SetAndObserveMasterSequenceNodeID(sequenceNode.GetID())
    for other in others:
        if not browser.IsSynchronizedSequenceNode(other, True):
            browser.AddSynchronizedSequenceNode(other)
    return browser


def _fill(count: int, frame_node, like, name: str, node):
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", slicer.mrmlScene.GenerateUniqueName(name))
    with slicer.util.NodeModify(node):
        node.RemoveAllDataNodes()
        node.SetIndexName(like.GetIndexName())
        node.SetIndexUnit(like.GetIndexUnit())
        node.SetIndexType(like.GetIndexType())
        for number in range(count):
            value = like.GetNthIndexValue(number)
            made = frame_node(number)
            made.SetName(f"{name} {value}")
            node.SetDataNodeAtValue(made, value)  # a copy
    return node
