"""Series of volumes: denoising by a recurrent network, and segmentations smoothed in time."""
