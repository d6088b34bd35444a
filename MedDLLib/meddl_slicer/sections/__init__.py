"""Sections of the panels with a run of their own: how sure a result is, and why."""
