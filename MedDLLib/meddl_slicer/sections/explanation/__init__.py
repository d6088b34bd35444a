"""Uncertainty and explanation of a result: the verbs of the modules' logic, and the section *Explain*."""
