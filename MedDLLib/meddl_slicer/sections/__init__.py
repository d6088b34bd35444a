"""Sections of the panels with a run of their own: comparison with a reference, explanation, preparation of volumes."""
