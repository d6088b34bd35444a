"""Training on volumes and segmentations of the scene: the verb, and the section of the segmentation panel."""
