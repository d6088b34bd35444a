"""Sections of the panels with a run of their own: comparison, explanation, preparation of volumes, training."""
