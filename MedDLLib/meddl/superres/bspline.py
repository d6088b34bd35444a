"""Cubic B-splines live in `meddl.bspline`, where networks find them too."""

from meddl.bspline import apply_along, cubic_weights

__all__ = ["apply_along", "cubic_weights"]
