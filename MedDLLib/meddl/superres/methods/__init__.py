"""The methods of super-resolution and denoising, and what they share."""
