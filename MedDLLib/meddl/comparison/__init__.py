"""Comparison of two results: segmentations, volumes, transforms; single or by folders."""

from meddl.comparison.compare import compare

__all__ = ["compare"]
