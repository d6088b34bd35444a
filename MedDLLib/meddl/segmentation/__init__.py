"""Segmentation: a volume in, labels on its own grid out."""

from meddl.segmentation.pipeline import segment

__all__ = ["segment"]
