"""A probabilistic atlas registered to a volume, mixture models of its tissues, and multi-atlas label fusion."""
