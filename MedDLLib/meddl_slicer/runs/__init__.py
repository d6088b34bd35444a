"""Verbs on nodes: packages ensured, run in the worker, results put into the scene."""
