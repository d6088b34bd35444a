"""Contrast synthesis: a head as another contrast of MR would show it."""
