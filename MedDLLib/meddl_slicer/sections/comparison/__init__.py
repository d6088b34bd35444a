"""Comparison of nodes: the verb, its nodes and plots, and the section of the panels."""
