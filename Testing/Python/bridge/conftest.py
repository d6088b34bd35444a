"""Fixtures of the tests that meet Slicer, real or imitated."""

from bridge_scene import bridge_worker, clean, own_worker  # noqa: F401
