"""Metrics of a deformation: local correlation and features, each with its slope, and the choice among them."""
