"""The pairs of the registration benchmark: their known maps hold, and the figures tell a good map from a bad one."""

import dataclasses
import sys

import numpy as np
import pytest
from places import BENCHMARKS
from scipy import ndimage

from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume


@pytest.fixture(scope="module", autouse=True)
def beside():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def cases():
    """The module, with the middle of each brain for the brain: the same at a tenth of the time."""
    import register_cases

    def middle(name):
        volumes = whole(name)
        low = np.array(volumes[0].shape) // 2 - 40
        pick = tuple(slice(n, n + 80) for n in low)
        affine = np.array(volumes[0].affine)
        affine[:3, 3] = volumes[0].grid.points_mm(low - 5)
        return tuple(Volume.scalar(np.pad(volume.scalar_data[pick], 5), affine) for volume in volumes)

    whole, register_cases.brain = register_cases.brain, middle
    register_cases._spoiled_brain.cache_clear()
    yield register_cases
    register_cases.brain = whole
    register_cases._spoiled_brain.cache_clear()


@pytest.fixture(scope="module")
def figures():
    import register_figures

    return register_figures


@pytest.fixture(scope="module")
def warped(cases, data_folder):
    found = cases.case("b/5/2")
    present = tuple(value for value in found.structures if (found.fixed_labels.scalar_data == value).sum() > 500)
    assert len(present) > 15
    return dataclasses.replace(found, structures=present)


class Known:
    """A map as the figures take it."""

    def __init__(self, function):
        self.function = function

    def __call__(self, points):
        return self.function(points)


def box(size, spacing=1.0):
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = 20, -30, 40
    return Grid((size,) * 3, affine)


def test_a_smooth_map_is_undone_by_its_inverse_and_moves_by_what_it_should(cases):
    grid = box(48, 2.0)
    known = cases.smooth_map(np.random.default_rng(3), grid)
    points = grid.points_mm(np.random.default_rng(0).uniform(0, 47, (3000, 3)))
    assert np.abs(known.inverse(known(points)) - points).max() < 0.05
    assert np.linalg.norm(known.forward, axis=0).max() == pytest.approx(9, rel=0.2)
    assert np.linalg.norm(known(points) - points, axis=1).mean() > 2


def test_the_same_seed_gives_the_same_map_and_another_seed_another(cases):
    points = box(10).points_mm(np.random.default_rng(0).uniform(0, 9, (20, 3)))
    first, again, other = (cases.smooth_map(np.random.default_rng(seed), box(10))(points) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and np.abs(first - other).max() > 0.5


def test_rigid_maps_are_rigid_and_small_where_asked_for(cases):
    center = np.array([10.0, 20.0, 30.0])
    for seed in range(20):
        matrix = cases.rigid(np.random.default_rng(seed), 15.0, 20.0, center)
        assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3)) and np.linalg.det(matrix) == pytest.approx(1)
        assert np.trace(matrix[:3, :3]) >= 1 + 2 * np.cos(np.radians(15.01))
        assert np.abs(matrix[:3, :3] @ center + matrix[:3, 3] - center).max() <= 20


def test_the_known_map_carries_the_labels_onto_each_other(cases, warped, figures):
    good = figures.figures(warped, Known(warped.truth))
    assert good["dice"] > 0.95 and good["tre_mm"] == 0 and good["folding_percent"] == 0
    affine_alone = Known(lambda points: cases.transformed(points, warped.truth.affine))
    bad = figures.figures(warped, affine_alone)
    assert bad["dice"] < 0.8 and bad["tre_mm"] > 1.5
    assert good["sd_log_jacobian"] > 0.1 > bad["sd_log_jacobian"]


def test_the_moved_image_is_where_its_labels_are(warped):
    grid, labels = warped.moving.grid, warped.moving_labels
    where = labels.grid.points_mm(np.argwhere(ndimage.binary_erosion(labels.scalar_data > 0, iterations=3))[::50])
    air = ndimage.binary_erosion(warped.moving_mask.scalar_data == 0, iterations=2)
    outside = grid.points_mm(np.argwhere(air)[::50])
    bright, dark = (ndimage.map_coordinates(warped.moving.scalar_data, grid.indices(points).T, order=1)
                    for points in (where, outside))
    assert np.percentile(bright, 5) > np.percentile(dark, 99)
    assert warped.moving_mask.shape == warped.moving.shape and warped.fixed_mask.shape == warped.fixed.shape


@pytest.mark.parametrize("name", ["d/sts03-ct-mr/4", "f/chest-oblique", "f/oblique-chest", "g/7"])
def test_rigid_truths_agree_with_the_volumes(cases, figures, data_folder, name):
    case = cases.case(name)
    assert np.allclose(case.truth(case.points), cases.transformed(case.points, case.matrix))
    found = figures.figures(case, Known(case.truth))
    assert found["recovered"] and found["rigid_deg"] < 1e-4
    assert not figures.figures(case, Known(lambda points: points))["recovered"]
    if case.unmoved is not None:  # an engine that answers `shift` for the pair as it is must answer the sum of both
        shift = np.array([3.0, -4.0, 5.0])
        relative = case.relative_to(lambda points: points + shift)
        assert figures.figures(relative, Known(lambda points: case.truth(points + shift)))["tre_mm"] < 1e-9
        assert np.allclose(case.moving.affine, case.matrix @ case.unmoved.affine)
    indices = case.moving.grid.indices(case.truth(case.points))
    assert ((indices >= -1) & (indices <= np.array(case.moving.shape))).all(axis=1).mean() > 0.95
    if case.modalities == "same":
        there = ndimage.map_coordinates(case.moving.scalar_data.astype(float), indices.T, order=1, mode="nearest")
        here = ndimage.map_coordinates(case.fixed.scalar_data.astype(float),
                                       case.fixed.grid.indices(case.points).T, order=1, mode="nearest")
        assert np.corrcoef(here, there)[0, 1] > 0.7  # bias, gamma and noise leave as much


def test_twenty_degrees_of_the_chest_are_twenty_degrees(cases, figures, data_folder):
    assert figures.rotation_between_deg(cases.case("f/chest-oblique").matrix[:3, :3], np.eye(3)) == pytest.approx(20)


def test_every_name_makes_a_pair_of_that_name(cases, data_folder):
    names = cases.names("cdef", both_ways=True)
    assert len(names) == 6 + 6 + 3 + 2 and len(cases.names("g")) == 40
    for name in (names[1], names[8], names[-3], names[-1]):
        assert cases.case(name).name == name
    with pytest.raises(ValueError):
        cases.case("z/1")


def test_coarser_images_keep_their_place(cases):
    grid = box(40)
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    blob = np.exp(-0.5 * ((points - (38, -12, 61)) ** 2).sum(-1) / 36)
    coarse = cases.at_spacing(Volume.scalar(blob, grid.affine), 2.0)
    places = coarse.grid.points_mm(np.moveaxis(np.indices(coarse.shape), 0, -1).reshape(-1, 3))
    weights = coarse.scalar_data.reshape(-1, 1)
    assert np.allclose((places * weights).sum(0) / weights.sum(), (38, -12, 61), atol=0.02)


def test_folding_is_noticed(figures):
    grid = box(12)

    def fold(points):
        offset = points - grid.center_mm
        return points - np.outer(2 * np.exp(-0.5 * (offset**2).sum(1) / 4) * offset[:, 0], [1.0, 0, 0])

    assert (figures.jacobian_determinants(grid, fold) <= 0).any()
    assert np.allclose(figures.jacobian_determinants(grid, lambda points: 2 * points), 8)
