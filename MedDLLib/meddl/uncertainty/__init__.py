"""Uncertainty: how much a result varies over repeated runs on perturbed copies of its input."""
