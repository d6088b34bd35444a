"""Volume folders for tests."""

import pytest
import slicer
from bridge_scene import (  # noqa: F401
    add_linear_transform,
    add_volume,
    bridge_worker,
    centered,
    clean,
    phantom,
    process_events,
    scene_contents,
    turned,
)
from small_models import EXACT, models  # noqa: F401

from meddl.models.store.store import ModelStore
from meddl_slicer.runs import tasks


@pytest.fixture
def networks(clean, models):
    """The real segmenter, with small models, in a worker of its own."""
    usual = slicer.modules.meddlWorker
    slicer.modules.meddlWorker = None
    yield ModelStore()
    tasks.close_worker()
    slicer.modules.meddlWorker = usual


def hierarchy():
    return slicer.mrmlScene.GetSubjectHierarchyNode()


def folder(name, parent=None) -> int:
    return hierarchy().CreateFolderItem(hierarchy().GetSceneItemID() if parent is None else parent, name)


def put(node, item) -> None:
    hierarchy().SetItemParent(hierarchy().GetItemByDataNode(node), item)
