"""Volume folders for tests."""

import pytest
import slicer
from bridge_scene import (  # noqa: F401
    add_linear_transform,
    add_volume,
    centered,
    phantom,
    process_events,
    scene_contents,
    turned,
)
from small_models import EXACT, models  # noqa: F401

from meddl.models.store.store import ModelStore


@pytest.fixture
def networks(clean, own_worker, models):
    """The real segmenter, with small models, in a worker of its own."""
    return ModelStore()


def hierarchy():
    return slicer.mrmlScene.GetSubjectHierarchyNode()


def folder(name, parent=None) -> int:
    return hierarchy().CreateFolderItem(hierarchy().GetSceneItemID() if parent is None else parent, name)


def put(node, item) -> None:
    hierarchy().SetItemParent(hierarchy().GetItemByDataNode(node), item)
