"""Points of two lists find each other by name or by order."""

import pickle

import numpy as np
import pytest

from meddl.core.errors import InputError
from meddl.spatial.points import Points, match_points


def points(*labels, shift=0.0) -> Points:
    return Points(np.arange(3.0 * len(labels)).reshape(-1, 3) + shift, labels)


def test_the_same_names_match_in_any_order():
    fixed, moving = match_points(points("nose", "left ear", "right ear"),
                                 points("right ear", "nose", "left ear", shift=9))
    np.testing.assert_array_equal(fixed, points("a", "b", "c").positions)
    np.testing.assert_array_equal(moving, np.array([[3, 4, 5], [6, 7, 8], [0, 1, 2.0]]) + 9)


def test_points_that_the_other_list_lacks_are_left_out():
    fixed, moving = match_points(points("a", "b", "c"), points("c", "a"))
    assert len(fixed) == len(moving) == 2
    np.testing.assert_array_equal(moving[0], [3, 4, 5])


@pytest.mark.parametrize("names", [(("F-1", "F-2"), ("G-1", "G-2")), (("", ""), ("", "")), (("p", "p"), ("p", "p"))])
def test_without_names_in_common_the_order_counts(names):
    fixed, moving = match_points(points(*names[0]), points(*names[1], shift=1))
    np.testing.assert_array_equal(moving - fixed, 1)


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(InputError, match="2 fixed and 3 moving"):
        match_points(points("a", "b"), points("c", "d", "e"))
    with pytest.raises(InputError, match="no points"):
        match_points(points(), points())


@pytest.mark.parametrize(("positions", "labels"), [(np.zeros((2, 2)), ("a", "b")), (np.zeros(3), ("a",)),
                                                   (np.full((1, 3), np.nan), ("a",)), (np.zeros((2, 3)), ("a",))])
def test_what_is_no_list_of_points_is_refused(positions, labels):
    with pytest.raises(InputError):
        Points(positions, labels)


def test_points_travel():
    sent = pickle.loads(pickle.dumps(points("a", "b")))
    assert sent.labels == ("a", "b")
    np.testing.assert_array_equal(sent.positions, points("a", "b").positions)
