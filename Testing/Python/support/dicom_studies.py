"""Dicom studies for tests."""

import numpy as np
import slicer

from meddl.results import Segmentation


def hierarchy():
    return slicer.mrmlScene.GetSubjectHierarchyNode()


def item_of(node) -> int:
    return hierarchy().GetItemByDataNode(node)


def segments_of(node) -> list:
    content = node.GetSegmentation()
    return [content.GetNthSegment(index) for index in range(content.GetNumberOfSegments())]


def with_a_voxel_each(segments, model: str) -> Segmentation:
    """A segmentation in which every segment has one voxel."""
    labels = np.zeros((len(segments) + 1, 2, 2), np.uint16)
    labels[:len(segments), 0, 0] = [segment.value for segment in segments]
    return Segmentation(labels, np.eye(4), tuple(segments), None, {"model": model})
