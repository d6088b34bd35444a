"""Super-resolution: thick slices to small voxels, on a grid with the same field of view."""

from meddl.superres.super_resolve import super_resolve

__all__ = ["super_resolve"]
