"""What a registration can do: map points both ways, warp, invert, join, flatten; and that results can be sent."""

import pickle

import numpy as np
import pytest
from displacements import GRIDS, inside, oblique, smooth, turned

from meddl.core.errors import InputError
from meddl.results import Registration, Segment, Segmentation
from meddl.spatial.grid import Grid, centered_grid, is_orthonormal
from meddl.spatial.resample import sample_at
from meddl.spatial.volume import Volume


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def grid(request):
    return request.param


def bent(grid, seed=0, **more) -> Registration:
    return Registration(turned(), smooth(grid, 5, 14, seed), grid, {"seconds": {"total": 1.0}}, **more)


def blob(center, grid) -> Volume:
    points = grid.points_mm(np.indices(grid.shape).reshape(3, -1).T)
    values = 100 * np.exp(-((points - center) ** 2).sum(axis=1) / (2 * 6.0 ** 2))
    return Volume.scalar(values.reshape(grid.shape).astype(np.float32), grid.affine)


def center_of(volume) -> np.ndarray:
    data = volume.scalar_data.astype(np.float64)
    places = np.argwhere(data > 0.2 * data.max())
    return np.average(volume.grid.points_mm(places), axis=0, weights=data[tuple(places.T)])


# --- points and warping ---


def test_points_go_there_and_back(grid):
    registration, points = bent(grid), inside(grid)
    assert np.abs(registration.inverse_points(registration.points(points)) - points).max() < 0.01
    linear = Registration(turned(), None, grid)
    assert np.abs(linear.inverse_points(linear.points(points)) - points).max() < 1e-9


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "lanczos"])
def test_a_warped_blob_is_where_its_center_came_from(interpolation):
    grid = oblique((2, 2, 2), shape=(44, 44, 44))
    registration = bent(grid)
    fixed_point = grid.center_mm
    moving_grid = Grid((60, 60, 60), np.array([[1.5, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 1.5, 0], [0, 0, 0, 1.0]]))
    moving_point = registration.points(fixed_point[None])[0]
    shifted = np.array(moving_grid.affine)
    shifted[:3, 3] = moving_point - 45
    warped = registration.warp(blob(moving_point, Grid((60, 60, 60), shifted)), interpolation)
    assert warped.grid.same_as(grid)
    assert np.linalg.norm(grid.points_mm(np.unravel_index(warped.scalar_data.argmax(), grid.shape)) - fixed_point) < 3


def test_a_displacement_on_a_coarse_grid_warps_as_its_points_say():
    grid = oblique((1, 1, 1), shape=(50, 50, 50))
    registration = Registration(np.eye(4), smooth(centered_grid(grid, 3), 4, 9), grid)
    target = grid.points_mm([30, 20, 25])
    source = registration.points(target[None])[0]
    assert np.linalg.norm(center_of(registration.warp(blob(source, grid))) - target) < 1.0


def test_a_segmentation_is_warped_label_for_label():
    grid = oblique((2, 2, 2), shape=(40, 40, 40))
    shift = np.eye(4)
    shift[:3, 3] = grid.affine[:3, 0] * 3  # three voxels along i
    labels = np.zeros(grid.shape, np.uint16)
    labels[10:20, 10:20, 10:20], labels[22:28, 10:20, 10:20] = 300, 7
    segments = (Segment(300, "a", (1, 0, 0)), Segment(7, "b", (0, 1, 0)))
    confidence = np.full(grid.shape, 0.5, np.float32)
    found = Registration(shift, None, grid).warp_segmentation(Segmentation(labels, grid.affine, segments, confidence))
    assert found.labels.dtype == np.uint16
    assert np.array_equal(found.labels[7:25], labels[10:28])
    assert found.segments == segments
    assert found.confidence[10, 10, 10] == pytest.approx(0.5)


def test_without_a_grid_one_has_to_be_given():
    registration = Registration(turned(), None, None)
    volume = blob((0, 0, 0), oblique())
    with pytest.raises(InputError, match="Give the grid"):
        registration.warp(volume)
    assert registration.warp(volume, grid=oblique()).shape == oblique().shape
    with pytest.raises(InputError, match="Give the grid"):
        registration.jacobian()


# --- inverse ---


def test_the_inverse_undoes_the_map_within_a_tenth_of_a_millimeter(grid):
    registration = bent(grid, moving_grid=oblique((3, 3, 3)))
    inverse, points = registration.invert(), inside(grid)
    missed = np.linalg.norm(inverse.points(registration.points(points)) - points, axis=1)
    assert missed.max() < 0.1
    assert inverse.report["inverse_error_mm"]["percentile_99_9"] == pytest.approx(np.percentile(missed, 99.9), abs=0.02)
    assert inverse.report["unsolved_percent"] == 0
    assert inverse.grid.same_as(registration.moving_grid)
    assert inverse.moving_grid.same_as(grid)
    assert is_orthonormal(inverse.displacement.grid)


def test_the_other_way_round_too(grid):
    registration = bent(grid)
    inverse, points = registration.invert(), registration.points(inside(grid, margin=3))
    assert np.linalg.norm(registration.points(inverse.points(points)) - points, axis=1).max() < 0.15


def test_a_linear_inverse_is_the_inverse_matrix(grid):
    inverse = Registration(turned(), None, grid, moving_grid=oblique((3, 3, 3))).invert()
    np.testing.assert_allclose(inverse.affine @ turned(), np.eye(4), atol=1e-12)
    assert inverse.grid.same_as(oblique((3, 3, 3)))
    assert inverse.moving_grid is grid


def test_the_inverse_of_a_field_on_a_coarse_grid_is_made_finer_where_needed():
    grid = oblique((1, 1, 1), shape=(60, 60, 60))
    registration = Registration(np.eye(4), smooth(centered_grid(grid, 5), 9, 12), grid)
    inverse, points = registration.invert(), inside(grid)
    assert inverse.displacement.spacing_mm.max() < 5
    assert np.percentile(np.linalg.norm(inverse.points(registration.points(points)) - points, axis=1), 99.9) < 0.1


def test_on_a_given_grid_the_inverse_is_exact_at_the_voxels():
    registration, grid = bent(oblique()), oblique((4, 5, 6), shape=(15, 12, 10))
    inverse = registration.invert(grid=grid)
    assert inverse.displacement.grid.same_as(grid)
    points = grid.points_mm(np.argwhere(np.ones(grid.shape)))
    assert np.abs(inverse.points(points) - registration.inverse_points(points)).max() < 0.02


def test_an_inversion_tells_its_progress():
    told = []
    bent(oblique()).invert(lambda fraction, message: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1


# --- joining, Jacobian, flattening ---


def test_one_map_and_then_another():
    grid = oblique()
    first, second = bent(grid), Registration(np.linalg.inv(turned()), smooth(grid, 3, 14, 4), grid,
                                             moving_grid=oblique((3, 3, 3)))
    joined, points = first.then(second), inside(grid, margin=2)
    expected = second.points(first.points(points))
    assert np.linalg.norm(joined.points(points) - expected, axis=1).max() < 0.1
    assert joined.grid is grid
    assert joined.moving_grid is second.moving_grid


def test_a_map_and_its_inverse_joined_move_nothing():
    registration = bent(oblique())
    points = inside(oblique())
    joined = registration.then(registration.invert())
    assert np.linalg.norm(joined.points(points) - points, axis=1).max() < 0.15


def test_the_jacobian_is_on_the_fixed_grid_and_holds_the_affine(grid):
    coarse = Registration(turned(), smooth(centered_grid(grid, grid.spacing_mm * 2), 5), grid)
    assert coarse.jacobian().grid.same_as(grid)
    linear = Registration(turned(), None, grid).jacobian()
    np.testing.assert_allclose(linear.data, np.linalg.det(turned()[:3, :3]), rtol=1e-6)
    assert coarse.jacobian().data.mean() == pytest.approx(linear.data.mean(), rel=0.1)


def test_flattened_is_the_whole_map_as_one_field(grid):
    registration, points = bent(grid), inside(grid)
    field = registration.flatten()
    assert np.abs(points + sample_at(field, points) - registration.points(points)).max() < 1e-4
    field, matrix = registration.as_field()
    assert matrix is None


def test_a_map_that_turns_too_far_keeps_its_matrix_beside_the_field():
    grid = oblique()
    half_turn = np.diag([-1.0, -1, 1, 1])
    registration, points = Registration(half_turn, smooth(grid, 3, 14), grid), inside(grid)
    field, matrix = registration.as_field()
    np.testing.assert_array_equal(matrix, half_turn)
    moved = (points + sample_at(field, points)) @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(moved - registration.points(points)).max() < 1e-4


# --- being sent ---


def test_a_registration_travels():
    sent = pickle.loads(pickle.dumps(bent(oblique(), moving_grid=oblique((3, 3, 3)))))
    points = inside(oblique())
    np.testing.assert_array_equal(sent.points(points), bent(oblique()).points(points))
    assert sent.moving_grid.same_as(oblique((3, 3, 3)))
    assert sent.report == {"seconds": {"total": 1.0}}


def test_a_displacement_has_three_channels():
    grid = oblique()
    with pytest.raises(InputError, match="three channels"):
        Registration(np.eye(4), blob((0, 0, 0), grid), grid)
