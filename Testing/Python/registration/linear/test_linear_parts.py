"""What a linear registration is made of: histograms, optimizer, motions, intensities, levels."""

import numpy as np
import pytest
import torch
from registration_phantoms import box, rigid, rotation
from registration_pictures import picture

from meddl.registration.images.intensity import foreground_mask, normalize
from meddl.registration.images.pyramid import reduce_to, triangle_weights
from meddl.registration.images.registration_image import RegistrationImage
from meddl.registration.linear.align import fitted_levels_mm
from meddl.registration.linear.bfgs import minimize
from meddl.registration.linear.initialization import initial_alignments
from meddl.registration.linear.motion import generators, motion_matrix, rotation_angle_deg, spread_rotations
from meddl.registration.linear.mutual_information import fixed_rows, joint_histogram, similarity
from meddl.registration.linear.sampled_similarity import SampledSimilarity


def test_histogram_gradients_are_those_of_finite_differences():
    rng = torch.Generator().manual_seed(0)
    values = torch.rand(40, generator=rng, dtype=torch.float64) * 0.9 + 0.05
    weights = torch.rand(40, generator=rng, dtype=torch.float64) + 0.2
    rows = fixed_rows(torch.rand(40, generator=rng), 8)
    for metric in ("nmi", "mi"):
        assert torch.autograd.gradcheck(lambda v, w, m=metric: similarity(joint_histogram(rows, v, w, 8), m),
                                        (values.requires_grad_(), weights.requires_grad_()), atol=1e-6)


def test_histogram_counts_each_sample_by_its_weight():
    values, weights = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 2.0, 0.5])
    counts = joint_histogram(fixed_rows(torch.tensor([0.0, 0.5, 1.0]), 16), values, weights, 16)
    torch.testing.assert_close(counts.sum(dim=1)[[0, 8, 15]], weights.double(), atol=1e-6, rtol=0)


def test_information_is_that_of_a_numpy_histogram_where_windows_do_not_matter():
    rng = np.random.default_rng(0)
    fixed = rng.random(20_000)
    noisy = np.clip(fixed + rng.normal(0, 0.1, fixed.size), 0, 1)
    ours = similarity(joint_histogram(fixed_rows(torch.from_numpy(fixed), 64), torch.from_numpy(noisy),
                                      torch.ones(fixed.size), 64), "mi")
    joint = np.histogram2d(fixed, noisy, bins=64, range=((0, 1), (0, 1)))[0] / fixed.size
    apart = joint.sum(axis=0, keepdims=True) * joint.sum(axis=1, keepdims=True)
    expected = (joint[joint > 0] * np.log(joint[joint > 0] / apart[joint > 0])).sum()
    assert float(ours) == pytest.approx(expected, rel=0.1)


def test_independent_volumes_share_nothing():
    rng = np.random.default_rng(0)
    rows = fixed_rows(torch.from_numpy(rng.random(100_000)), 16)
    other = torch.from_numpy(rng.random(100_000))
    counts = joint_histogram(rows, other, torch.ones(100_000), 16)
    assert float(similarity(counts, "nmi")) == pytest.approx(1, abs=2e-3)
    assert float(similarity(counts, "mi")) == pytest.approx(0, abs=2e-3)


def test_optimizer_finds_a_curved_valley_s_floor():
    start = np.array([-1.2, 1.0])

    def rosenbrock(p):
        a, b = p + start
        return (1 - a) ** 2 + 100 * (b - a * a) ** 2, np.array(
            [-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])

    best, value = minimize(rosenbrock, 2, first_step=0.1, max_step=1.0, tolerance=1e-9, iterations=200)
    np.testing.assert_allclose(best + start, (1, 1), atol=1e-4)
    assert value < 1e-8


def test_optimizer_never_steps_farther_than_allowed():
    places = [np.zeros(1)]

    def slope(p):
        places.append(p.copy())
        return -float(p[0]), np.array([-1.0])

    minimize(slope, 1, first_step=1.0, max_step=3.0, tolerance=1e-3, iterations=10)
    assert np.diff(np.concatenate(places)).max() <= 3 + 1e-9


def test_optimizer_keeps_out_of_forbidden_places():
    def walled(p):
        return (np.inf if p[0] > 1 else (p[0] - 3) ** 2), 2 * (p - 3)

    best, _ = minimize(walled, 1, first_step=1.0, max_step=4.0, tolerance=1e-4, iterations=30)
    assert 0 < best[0] <= 1


@pytest.mark.parametrize(("transform", "count"), [("translation", 3), ("rigid", 6), ("affine", 12)])
def test_motions_move_by_about_the_millimeters_that_their_parameters_say(transform, count):
    basis = generators(transform, 50.0)
    assert len(basis) == count
    for k in range(count):
        motion = motion_matrix(torch.eye(count, dtype=torch.float64)[k], torch.from_numpy(basis)).numpy()
        points = np.array([[50, 0, 0], [0, 50, 0], [0, 0, 50.0]])
        moved = np.linalg.norm(points @ motion[:3, :3].T + motion[:3, 3] - points, axis=1).max()
        assert moved == pytest.approx(1, abs=0.02)
        if transform != "affine":
            np.testing.assert_allclose(motion[:3, :3] @ motion[:3, :3].T, np.eye(3), atol=1e-12)


def test_a_motion_about_a_center_leaves_a_turn_s_center_in_place():
    np.testing.assert_allclose(rigid(30, (1, 1, 0), (0, 0, 0), (5, 6, 7)) @ (5, 6, 7, 1), (5, 6, 7, 1), atol=1e-12)
    assert rotation_angle_deg(rigid(30, (1, 1, 0), (1, 2, 3))) == pytest.approx(30)
    assert rotation_angle_deg(np.eye(4)) == 0
    assert rotation_angle_deg(rotation(180, (0, 1, 0))) == pytest.approx(180)


def test_spread_rotations_leave_no_rotation_far_away():
    spread = spread_rotations(100)
    np.testing.assert_allclose(spread @ spread.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (100, 3, 3)), atol=1e-12)
    rng = np.random.default_rng(0)
    for _ in range(50):
        some = rotation(rng.uniform(0, 180), rng.normal(size=3))
        assert min(rotation_angle_deg(some.T @ one) for one in spread) < 45


def test_normalized_intensities_keep_their_order_and_fill_the_range():
    values = np.concatenate([np.full(500, -1000.0), np.random.default_rng(0).normal(40, 20, 500), [3000.0, 9000.0]])
    mask = foreground_mask(values)
    assert not mask[:500].any()
    assert mask[500:].all()
    result = normalize(values, mask)
    order = np.argsort(values)
    assert (np.diff(result[order]) >= 0).all()
    assert result.min() == 0
    assert result.max() == 1
    assert np.ptp(result[500:1000]) > 0.4  # soft tissue, though only a small part of the range


def test_a_coarser_level_keeps_means_and_places():
    np.testing.assert_allclose(triangle_weights(9, 9, 1.0), np.eye(9))
    weights = triangle_weights(40, 13, 3.0)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    inner = (weights @ np.arange(40))[1:-1]
    np.testing.assert_allclose(inner, (np.arange(13) * 3 + 1.5)[1:-1])
    grid = box(2.0, (30, 31, 32))
    coarse = box(5.0, (12, 12, 13))
    flat = reduce_to(torch.full(grid.shape, 7.0), grid, coarse)
    torch.testing.assert_close(flat, torch.full(coarse.shape, 7.0))


def test_levels_shrink_for_small_objects_only():
    large, small = (picture(box(s, (20, 20, 20))) for s in (9.0, 1.0))
    assert fitted_levels_mm(large, large, (2.0, 8.0, 4.0)) == (8, 4, 2)
    assert fitted_levels_mm(large, small, (8.0, 4.0))[0] == pytest.approx(20 / 12)


def test_many_starts_at_once_are_scored_as_one_by_one():
    fixed, moving = (RegistrationImage("fixed", picture(box(), m), 0.0, 0, None).levels((8.0,), torch.device("cpu"))[0]
                     for m in (np.eye(4), rigid(9, (0, 1, 2), (8, -5, 4))))
    similarity = SampledSimilarity(fixed, moving, np.zeros(3), 2000, "nmi", 32)
    affines = np.stack([rigid(30 * k, (1, k, 0), (10 * k, 0, 0)) for k in range(7)])
    values, overlaps = similarity.values(affines)
    alone = [similarity(affine)[:2] for affine in affines]
    np.testing.assert_allclose(np.c_[values, overlaps], alone, atol=1e-5)


def test_second_moments_give_a_turned_object_s_axes_up_to_their_signs():
    truth = rigid(100, (1, 2, 3), (10, 20, 30))
    grids = box(), box(3.0, (60, 60, 60), shift_mm=truth[:3, 3])
    fixed, moving = (RegistrationImage("fixed", picture(grid, m), 0.0, 0, None).levels(
                         (8.0, 4.0), torch.device("cpu"))[-1]
                     for grid, m in zip(grids, (np.eye(4), np.linalg.inv(truth)), strict=True))
    turns = [start.affine for start in initial_alignments(fixed, moving, 1) if start.name == "the second moments"]
    assert len(turns) == 4
    assert all(np.linalg.det(turn[:3, :3]) == pytest.approx(1) for turn in turns)
    assert min(rotation_angle_deg(np.linalg.inv(truth) @ turn) for turn in turns) < 8
