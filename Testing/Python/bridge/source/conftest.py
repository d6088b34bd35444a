"""Tests against Slicer's own source: they skip where SLICER_SOURCE does not name it."""

from pathlib import Path

import pytest

import host
from host import slicer_python

HERE = Path(__file__).parent

host.install()


def pytest_collection_modifyitems(items):
    if slicer_python.source() is None:
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="SLICER_SOURCE names no work tree of Slicer's source"))


@pytest.fixture(autouse=True)
def application():
    """The host with an empty scene."""
    host.clear_scene()
