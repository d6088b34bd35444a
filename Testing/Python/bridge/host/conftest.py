"""Fixtures of the tests of the stand-in."""

import pytest


@pytest.fixture
def volume(host):
    """A volume node without an image."""
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "head")
