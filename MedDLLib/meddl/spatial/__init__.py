"""Volumes and the space that they lie in: grids, transforms, interpolation, in RAS mm. Nothing else knows axes."""
