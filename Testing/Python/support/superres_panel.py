"""Superres panel for tests."""

import numpy as np
import pytest
from bridge_scene import (  # noqa: F401
    add_linear_transform,
    add_volume,
    add_warp,
    centered,
    finished,
    opened,
    phantom,
    process_events,
    scene_contents,
    turned,
)

THICK = turned(25)[:3, :3] @ np.diag([-1.0, 1.0, 4.0])


@pytest.fixture
def thick(clean):
    return add_volume(phantom(), centered(THICK), "thick")


@pytest.fixture
def widget(thick):
    widget = opened("MedDLSuperRes").widget
    widget.ui.inputSelector.setCurrentNode(thick)
    yield widget
    widget.ui.advancedCollapsibleButton.collapsed = True
    widget.run.cancel()
    process_events(seconds=0.1)
