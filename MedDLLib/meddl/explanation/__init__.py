"""Explanation: where in a volume a structure of its segmentation depends on."""
