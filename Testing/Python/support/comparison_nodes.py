"""Nodes to compare, for tests: segmentations of two structures, label maps, volumes."""

import numpy as np
import slicer
from bridge_scene import OBLIQUE, add_volume

from meddl.results import Segment, Segmentation
from meddl_slicer.mrml.segmentations import create_segmentation_node

NAMES = {1: "Left kidney", 2: "Liver"}


def two_structures(shift=0):
    """(I, J, K) uint8 with a block 1, moved along i, and a block 2."""
    labels = np.zeros((20, 16, 12), np.uint8)
    labels[4 + shift:10 + shift, 4:10, 4:9] = 1
    labels[14:18, 5:9, 4:8] = 2
    return labels


def add_image(name="CT", affine=OBLIQUE):
    """A volume with a body in it."""
    array = np.full((20, 16, 12), -1000, np.int16)
    array[2:19, 2:14, 2:11] = 40
    return add_volume(array, affine, name)


def add_segmentation(image, name, shift=0, names=None):
    """A segmentation node of two structures over a volume node."""
    from meddl_slicer.mrml.nodes import read_node

    volume, placement = read_node(image)
    segments = tuple(Segment(value, text, (0.2 * value, 0.5, 0.5)) for value, text in (names or NAMES).items())
    found = Segmentation(two_structures(shift), volume.affine, segments)
    return create_segmentation_node(found, image, name, placement=placement)


def add_label_map(name, shift=0):
    """A label map node of the same."""
    node = add_volume(two_structures(shift), OBLIQUE, name, "vtkMRMLLabelMapVolumeNode")
    node.CreateDefaultDisplayNodes()
    return node


def is_shown(widget):
    """Whether a widget is not hidden by itself."""
    return not widget.isHidden()


def column(tableNode, name):
    """The values of a column of a table node; numbers where it holds such."""
    values = tableNode.GetTable().GetColumnByName(name)
    return [values.GetValue(row) for row in range(values.GetNumberOfValues())]


def add_markups(name, points, labels=()):
    """A point list node."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for number, point in enumerate(points):
        node.AddControlPoint(*point)
        if labels:
            node.SetNthControlPointLabel(number, labels[number])
    return node


def put_in_folder(name, *nodes):
    """A folder of the subject hierarchy with these nodes; returns its item."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)
    for node in nodes:
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)
    return folder
