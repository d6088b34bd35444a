"""Selectors of a panel's inputs, and why a choice cannot be used."""
