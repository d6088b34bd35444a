"""Translation, rigid and affine registration."""
