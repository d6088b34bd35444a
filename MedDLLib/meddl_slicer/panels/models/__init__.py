"""Choosing, installing and removing models in a panel."""
