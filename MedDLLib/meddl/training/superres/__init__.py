"""Training of super-resolution and denoising networks."""
