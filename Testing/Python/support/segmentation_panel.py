"""Segmentation panel for tests."""

import numpy as np
import pytest
import slicer
from bridge_cards import install_card
from bridge_scene import (  # noqa: F401
    add_linear_transform,
    add_volume,
    centered,
    finished,
    longest_pause,
    opened,
    phantom,
    process_events,
    running,
    scene_contents,
    turned,
)

from meddl.models.store.store import ModelStore
from meddl_slicer.panels.inputs import expected_runs, recognitions
from meddl_slicer.panels.models import choices, model_installer
from meddl_slicer.runs import verbs


@pytest.fixture(autouse=True)
def thresholding(clean, monkeypatch, tmp_path):
    """A small segmenter in place of the network; everything around it is real."""
    import qt

    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    monkeypatch.setattr(expected_runs, "EXPECT", "bridge_targets:quick_estimate")
    monkeypatch.setattr(recognitions, "RECOGNIZE", "bridge_targets:unrecognized")
    monkeypatch.setattr(model_installer, "INSTALL", "bridge_targets:quick_install")
    monkeypatch.setattr(model_installer, "IMPORT", "bridge_targets:quick_install")
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    if not choices.list_installed("segmentation"):
        install_card(tmp_path, "brain")
    ModelStore().accept_license("brain")
    qt.QSettings().remove("MedDL/Estimates")
    yield tmp_path
    qt.QSettings().remove("MedDL/Estimates")


@pytest.fixture
def head(thresholding):
    return add_volume(phantom(), centered(np.eye(3)))


@pytest.fixture
def widget(head):
    widget = opened("MedDLSeg").widget
    widget.updateModels()  # of this test's folder
    widget.ui.inputSelector.setCurrentNode(head)
    yield widget
    widget = opened("MedDLSeg").widget
    widget.ui.advancedCollapsibleButton.collapsed = True
    widget.run.cancel()
    process_events(seconds=0.1)


def segmentations():
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:slow_threshold")


def choose(widget, identifier):
    """Click a model in the list."""
    widget.ui.modelTree.setCurrentItem(widget._list._items[identifier])
