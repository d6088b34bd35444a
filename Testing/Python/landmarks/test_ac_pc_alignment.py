"""AC-PC alignment from three directions, and commissures mapped by the centers of structures."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meddl.core.errors import InputError
from meddl.landmarks.alignment import ac_pc_matrix, lateral_direction
from meddl.landmarks.commissures import map_by_centers
from meddl.landmarks.result import Landmarks
from meddl.spatial.points import Points

AC, PC = np.array([3.0, 12.0, -7.0]), np.array([2.0, -14.0, -9.0])


def test_the_commissures_lie_on_the_axis_and_the_plane_is_upright():
    matrix = ac_pc_matrix(AC, PC, np.array([1.0, 0.1, 0.2]))
    there = matrix[:3, :3] @ np.stack([AC, PC], axis=1) + matrix[:3, 3:]
    np.testing.assert_allclose(there[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(there[:, 1], (0, -np.linalg.norm(AC - PC), 0), atol=1e-12)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    across = matrix[:3, :3] @ (1.0, 0.1, 0.2)
    assert across[2] == pytest.approx(0, abs=1e-12) and across[0] > 0


def test_a_turned_head_comes_to_the_same_place():
    turn = Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix()
    across = np.array([1.0, 0.0, 0.0])
    upright, turned = ac_pc_matrix(AC, PC, across), ac_pc_matrix(turn @ AC + 5, turn @ PC + 5, turn @ across)
    point = np.array([40.0, 20.0, 60.0])
    np.testing.assert_allclose(turned[:3, :3] @ (turn @ point + 5) + turned[:3, 3],
                               upright[:3, :3] @ point + upright[:3, 3], atol=1e-9)


@pytest.mark.parametrize(("posterior", "across", "words"), [
    (AC + 1, (1, 0, 0), "they give no direction"), (PC, AC - PC, "along the line between the commissures")])
def test_what_gives_no_direction_is_refused(posterior, across, words):
    with pytest.raises(InputError, match=words):
        ac_pc_matrix(AC, posterior, np.array(across))


def test_the_direction_across_is_that_of_the_pairs():
    pairs = [(np.array([-20.0, 3, 0]), np.array([20.0, 1, 0])), (np.zeros(3), np.array([10.0, -3, 1]))]
    found = lateral_direction(pairs)
    np.testing.assert_allclose(found, np.array([50.0, -5, 1]) / np.linalg.norm([50, -5, 1]))
    assert lateral_direction([]) is None


def test_a_point_is_mapped_exactly_by_an_affine_map():
    random = np.random.default_rng(3)
    reference, linear = 30 * random.standard_normal((12, 3)), np.eye(3) + 0.1 * random.standard_normal((3, 3))
    position, weights = map_by_centers(AC, reference, reference @ linear.T + (4, 5, 6))
    np.testing.assert_allclose(position, linear @ AC + (4, 5, 6), atol=1e-9)
    assert weights.sum() == pytest.approx(1) and weights.argmax() == np.linalg.norm(reference - AC, axis=1).argmin()


def test_landmarks_are_found_by_name():
    found = Landmarks(Points(np.stack([AC, PC]), ("AC", "PC")), (0.9, 0.8), np.array([1.0, 0, 0]))
    np.testing.assert_array_equal(found["PC"], PC)
    np.testing.assert_allclose(found.alignment.points(np.zeros((1, 3)))[0], AC, atol=1e-9)
    with pytest.raises(InputError, match="no mid-sagittal plane"):
        _ = Landmarks(found.points, found.confidence, None).alignment
    with pytest.raises(InputError, match="no landmark 'Left thalamus'. Found: AC, PC"):
        found["Left thalamus"]
