"""Denoising of a series: a memory that follows the frames, and the spatial denoiser after it."""
