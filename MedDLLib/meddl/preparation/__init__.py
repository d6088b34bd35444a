"""Preparation of volumes: bias field, noise, contrast, intensities, cropping, sampling; a chain, kept as JSON."""
