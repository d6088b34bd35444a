"""Segmentation: a volume in, labels on its own grid out."""

from meddl.segmentation.segment import segment

__all__ = ["segment"]
