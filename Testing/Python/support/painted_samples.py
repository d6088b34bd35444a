"""Paint on the samples of the Sample Data module, taken from what is known about them."""

import numpy as np
import slicer

from meddl import samples
from meddl_slicer.runs import sample_data

LATERAL_VENTRICLES = (4, 43)


def ventricles_of(volumeNode) -> np.ndarray:
    """The true lateral ventricles of a sample, (I, J, K) uint8 on its grid."""
    truth = samples.head(**sample_data.LOOKS[volumeNode.GetName()])[1]
    return np.isin(truth.labels, LATERAL_VENTRICLES).astype(np.uint8)


def paint_three_slices(segmentationNode, volumeNode, name: str) -> None:
    """Paint the lateral ventricles of a sample into a segment, in three axial slices."""
    true = ventricles_of(volumeNode)
    there = np.flatnonzero(true.any(axis=(0, 1)))
    slices = np.rint(np.quantile(there, (0.3, 0.55, 0.8))).astype(int)
    paint = np.zeros_like(true)
    paint[..., slices] = true[..., slices]
    _put(paint, segmentationNode, volumeNode, name)


def paint_all(segmentationNode, volumeNode, name: str) -> None:
    """Correct a segment: the lateral ventricles of a sample as they are."""
    _put(ventricles_of(volumeNode), segmentationNode, volumeNode, name)


def _put(labels: np.ndarray, segmentationNode, volumeNode, name: str) -> None:
    identifier = segmentationNode.GetSegmentation().GetSegmentIdBySegmentName(name)
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels.transpose(2, 1, 0), segmentationNode, identifier,
                                                     volumeNode)
