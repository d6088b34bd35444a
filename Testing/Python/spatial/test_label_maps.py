"""Boxes and values of label maps, against the plain way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from meddl.core.errors import InputError
from meddl.spatial.label_maps import check_labels, label_boxes, present_values


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.uint16, st.tuples(*[st.integers(1, 6)] * 3), elements=st.sampled_from([0, 1, 7, 300, 65535])))
def test_boxes_are_the_smallest_that_hold_a_label(labels):
    boxes = label_boxes(labels, [1, 7, 300, 65535, 12])
    for value, box in boxes.items():
        places = np.argwhere(labels == value)
        if not len(places):
            assert box is None
        else:
            assert [s.start for s in box] == places.min(axis=0).tolist()
            assert [s.stop for s in box] == (places.max(axis=0) + 1).tolist()
    assert present_values(labels).tolist() == sorted({*np.unique(labels).tolist()} - {0})


def test_strides_do_not_matter():
    labels = np.random.default_rng(0).integers(0, 5, (7, 8, 9), dtype=np.uint8)
    view = labels.transpose(2, 0, 1)[::-1, ::2]
    assert label_boxes(view, range(1, 5)) == label_boxes(view.copy(), range(1, 5))


@pytest.mark.parametrize("labels", [np.zeros((2, 3)), np.zeros((0, 2, 2), int), np.full((2, 2, 2), 0.5),
                                    np.full((2, 2, 2), -1), np.full((2, 2, 2), 65536)])
def test_what_is_no_label_map_is_refused(labels):
    with pytest.raises(InputError):
        check_labels(labels)
