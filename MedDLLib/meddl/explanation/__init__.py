"""Explanation: where in a volume a structure of its segmentation depends on."""

from meddl.explanation.explain import explain

__all__ = ["explain"]
