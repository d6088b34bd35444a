"""Uncertainty: how much a result varies over repeated runs on perturbed copies of its input."""

from meddl.uncertainty.registration import register_with_uncertainty
from meddl.uncertainty.segmentation import segment_with_uncertainty
from meddl.uncertainty.superres import super_resolve_with_uncertainty

__all__ = ["register_with_uncertainty", "segment_with_uncertainty", "super_resolve_with_uncertainty"]
