"""Inpainting: the voxels inside a mask (lesions, artifacts, missing slices) synthesized from those around it."""
