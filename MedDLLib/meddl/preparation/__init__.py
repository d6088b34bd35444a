"""Preparation of volumes: bias field, noise, contrast, intensities, cropping, sampling; a chain, kept as JSON."""

from meddl.preparation.prepare import Prepared, prepare

__all__ = ["Prepared", "prepare"]
