"""Segmentation nodes as the bridge makes them."""

import bridge_targets

from meddl.core.config import SegmentConfig
from meddl_slicer.mrml import nodes, segmentations


def segmented(source, surfaces=False, confidence=False, **more):
    """The node that the bridge makes of the phantom's segmentation, and the segmentation."""
    volume, placement = nodes.read_node(source)
    found, made = bridge_targets.threshold(volume, config=SegmentConfig(confidence=confidence),
                                           surfaces=placement.local_affine if surfaces else None)
    return segmentations.create_segmentation_node(found, source, placement=placement, surfaces=made, **more), found
