"""Boxes, values, volumes and components of label maps, against the plain way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from meddl.core.errors import InputError
from meddl.spatial.label_maps import (
    check_labels,
    label_boxes,
    largest_components,
    looks_like_labels,
    present_values,
    structure_volumes_ml,
)


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


def test_volumes_are_counts_times_the_voxel():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3, 1:4, 2] = 9
    assert structure_volumes_ml(labels, [3, 9], 0.25).tolist() == [0, 1.5]


def test_the_largest_components_of_a_mask_are_kept_and_of_equal_ones_the_first():
    mask = np.zeros((12, 4, 4), dtype=bool)
    mask[0:2], mask[4:7], mask[9:11] = True, True, True
    assert np.flatnonzero(largest_components(mask).any(axis=(1, 2))).tolist() == [4, 5, 6]
    assert np.flatnonzero(largest_components(mask, 2).any(axis=(1, 2))).tolist() == [0, 1, 4, 5, 6]
    assert np.array_equal(largest_components(mask, 3), mask)
    assert not largest_components(np.zeros((3, 3, 3), dtype=bool)).any()


def test_components_may_hang_together_by_faces_edges_or_corners():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[0, 0, 0], mask[1, 1, 0], mask[2, 2, 1] = True, True, True  # by an edge, then by a corner
    assert [int(largest_components(mask, neighbors=n).sum()) for n in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize("labels", [np.zeros((2, 3)), np.zeros((0, 2, 2), int), np.full((2, 2, 2), 0.5),
                                    np.full((2, 2, 2), -1), np.full((2, 2, 2), 65536)])
def test_what_is_no_label_map_is_refused(labels):
    with pytest.raises(InputError):
        check_labels(labels)


def test_label_maps_are_told_from_images():
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.choice([0, 2, 17, 300], (6, 6, 6)), np.ones((5, 5, 5)))
    assert looks_like_labels(blocks.astype(np.uint16))
    assert looks_like_labels(blocks.astype(np.float32))  # as some tools save them
    assert looks_like_labels(blocks > 0)
    noisy = np.clip(blocks + rng.normal(0, 3, blocks.shape), 0, None)
    for image in (noisy, np.rint(noisy).astype(np.uint8), blocks + 0.5, blocks - 1000, np.zeros((5, 5, 5), np.uint8)):
        assert not looks_like_labels(image)
