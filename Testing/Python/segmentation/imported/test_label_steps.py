"""Labels are cleaned up as a recipe says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from meddl.core.errors import ModelError
from meddl.models.recipes import Step
from meddl.segmentation.imported.steps.label_steps import run_label_steps


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros((20, 12, 10), dtype=np.uint8)
    labels[1:6, 1:6, 1:6] = 1
    labels[8:10, 8:10, 8:10] = 1
    labels[12:14, 2:8, 2:8] = 2
    labels[14:16, 8:10, 2:4] = 2  # touches only over a corner
    labels[18, 1, 1] = 2
    return labels


def kept(labels, **arguments) -> np.ndarray:
    return run_label_steps(labels.copy(), (Step("keep_largest_components", arguments),))


def test_only_the_largest_part_of_each_label_stays(labels):
    found = kept(labels)
    assert [ndimage.label(found == value, np.ones((3, 3, 3)))[1] for value in (1, 2)] == [1, 1]
    assert (found == 1).sum() == 125
    assert found[18, 1, 1] == 0 and found[15, 9, 3] == 2


def test_what_is_connected_depends_on_the_neighbors(labels):
    assert kept(labels, neighbors=1)[15, 9, 3] == 0


def test_some_labels_some_parts_or_all_as_one(labels):
    assert (kept(labels, values=[2]) == 1).sum() == 133
    assert (kept(labels, count=2) == 1).sum() == 133
    together = kept(labels, together=True)
    assert set(np.unique(together)) == {0, 1}


def test_unknown_steps_are_named(labels):
    with pytest.raises(ModelError, match="'polish'"):
        run_label_steps(labels, (Step("polish"),))
    with pytest.raises(ModelError, match="strength"):
        kept(labels, strength=2)
