"""Segmentation: a volume in, labels on its own grid out."""

from meddl.segmentation.segment import segment
from meddl.segmentation.series import segment_series

__all__ = ["segment", "segment_series"]
