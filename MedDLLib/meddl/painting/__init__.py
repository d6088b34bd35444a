"""Interactive segmentation: a structure painted in a few slices of a volume, found in the rest of it."""
