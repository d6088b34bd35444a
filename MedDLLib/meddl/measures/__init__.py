"""Figures that compare: overlap and distances of label maps, quality of images, intensities matched."""
