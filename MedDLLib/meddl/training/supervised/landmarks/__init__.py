"""Training of a model that finds landmarks and boxes, on volumes with Slicer's markups."""
