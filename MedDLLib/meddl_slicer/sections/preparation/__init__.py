"""Preparation of volume nodes: the verb, and the section of the super-resolution panel."""
