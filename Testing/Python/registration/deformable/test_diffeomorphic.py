"""Diffeomorphic refinement: known warps are found, nothing folds, and the grid's make-up does not matter."""

import numpy as np
import pytest
import torch
from deformations import bend, box, least_jacobian, places, tissue, turned, unbent

from meddl.core.errors import Cancelled
from meddl.registration.deformable.diffeomorphic import Stage, Steps, compose, on_grid, refine
from meddl.registration.deformable.metrics.local_correlation import LocalCorrelation
from meddl.registration.images.warped_image import WarpedImage
from meddl.spatial.grid import Grid, centered_grid

STEPS = Steps(gradient_smoothing_voxels=3.0, field_smoothing_voxels=1.0, step_voxels=0.25)












def stages(fixed_grid: Grid, moving_grid: Grid, spacing_mm: float, levels=((2, 30), (1, 15)), moved=unbent, pause=None):
    """The picture on one grid, and on the other so that fixed x lies at x + bend(x)."""
    for factor, most in levels:
        grids = [centered_grid(grid, np.maximum(grid.spacing_mm, factor * spacing_mm))
                 for grid in (fixed_grid, moving_grid)]
        fixed, moving = (torch.from_numpy(tissue(points)).float()
                         for points in (places(grids[0]), moved(places(grids[1]))))
        to_moving = np.linalg.inv(grids[1].affine) @ grids[0].affine
        warped = WarpedImage(moving[None], grids[0], to_moving, pause or (lambda: None))
        radius = np.maximum(1, np.rint(2 * factor * spacing_mm / grids[0].spacing_mm)).astype(int)
        yield Stage(LocalCorrelation(fixed, tuple(int(r) for r in radius)), warped, factor * spacing_mm, most)


def in_mm(displacement: torch.Tensor, grid: Grid) -> np.ndarray:
    return np.einsum("ab,bijk->ijka", grid.affine[:3, :3], displacement.numpy())


def error_mm(displacement, grid: Grid) -> tuple[float, float]:
    """Mean distance from the truth in the picture, now and without any displacement."""
    points = places(grid)
    inside = np.linalg.norm(points, axis=-1) < 32
    truth = bend(points)[inside]
    return (float(np.linalg.norm(in_mm(displacement, grid)[inside] - truth, axis=-1).mean()),
            float(np.linalg.norm(truth, axis=-1).mean()))






GRIDS = {
    "upright": (box(), box(), 3.0),
    "thick slices": (box((2.5, 2.5, 6.0)), box(), 2.5),
    "oblique and left-handed": (box(3.0, turned(0.5) * [1, -1, 1]), box((3.0, 2.5, 3.5), turned(-0.3)), 3.0),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_known_warp_is_found_without_folding(name):
    displacement, grid, reports = refine(stages(*GRIDS[name]), STEPS)
    found, before = error_mm(displacement, grid)
    assert before > 2
    assert found < 0.2 * before
    assert least_jacobian(displacement) > 0.2
    assert [report.steps for report in reports] == [30, 15]
    assert all(report.values[-1] > report.values[0] for report in reports)


def test_identity_stays_identity():
    displacement, _, _ = refine(stages(box(), box(), 3.0, moved=lambda points: points), STEPS)
    assert float(displacement.abs().max()) < 0.05


def test_the_order_and_direction_of_axes_change_nothing():
    upright, _, _ = refine(stages(box(), box(), 3.0, levels=((2, 10),)), STEPS)
    swapped = np.eye(3)[:, [2, 0, 1]] * [-1, 1, -1]
    found, grid, _ = refine(stages(box(3.0, swapped), box(), 3.0, levels=((2, 10),)), STEPS)
    coarse = centered_grid(box(), 6.0)
    here = np.rint(grid.indices(places(coarse))).astype(int)
    np.testing.assert_allclose(in_mm(found, grid)[tuple(np.moveaxis(here, -1, 0))], in_mm(upright, coarse), atol=0.02)


def test_the_same_input_gives_the_same_answer():
    one, other = (refine(stages(*GRIDS["upright"], levels=((2, 8),)), STEPS)[0] for _ in range(2))
    assert torch.equal(one, other)


def test_no_voxel_moves_further_in_a_step_than_allowed():
    for spacing in (3.0, (2.0, 2.0, 8.0)):
        fixed = box(spacing)
        nominal = float(fixed.spacing_mm.min())
        steps = Steps(3.0, 0.0, 0.25)
        displacement, grid, _ = refine(stages(fixed, box(), nominal, levels=((1, 1),)), steps)
        longest = np.linalg.norm(in_mm(displacement, grid), axis=-1).max()
        assert longest <= 0.25 * nominal * 1.001
        assert longest > 0.1 * nominal


def test_a_start_is_taken_over():
    grid = centered_grid(box(), 6.0)
    truth = np.einsum("ab,ijkb->aijk", np.linalg.inv(grid.affine[:3, :3]), bend(places(grid)))
    start = torch.from_numpy(truth).float()
    displacement, fine, _ = refine(stages(*GRIDS["upright"], levels=((1, 0),)), STEPS, start, grid)
    found, before = error_mm(displacement, fine)
    assert found < 0.1 * before


def test_cancelling_ends_the_run_at_any_place():
    for after in (0, 3, 40):
        calls = []

        def stop(*_, limit=after, calls=calls):
            calls.append(1)
            if len(calls) > limit:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            refine(stages(*GRIDS["upright"]), STEPS, on_step=stop)
        calls.clear()
        with pytest.raises(Cancelled):
            refine(stages(*GRIDS["upright"], pause=stop), STEPS)


def test_a_level_ends_early_when_nothing_grows():
    steps = Steps(3.0, 1.0, 0.25, convergence_threshold=1e-3)
    _, _, reports = refine(stages(*GRIDS["upright"], levels=((2, 100),)), steps)
    assert 10 <= reports[0].steps < 100


def test_every_level_is_shown():
    shown = []
    refine(stages(*GRIDS["upright"], levels=((4, 1), (2, 1))), STEPS, on_level=lambda u, grid: shown.append(grid))
    assert [grid.shape for grid in shown] == [(8, 8, 8), (16, 16, 16)]


def test_composition_is_one_map_after_the_other():
    shift, ramp = torch.zeros(2, 3, 6, 7, 8, dtype=torch.float64)
    shift[0] = 0.5
    ramp[1] = 0.2 * torch.arange(6.0)[:, None, None]
    composed = compose(ramp, shift)
    assert composed[0].unique().tolist() == [0.5]
    torch.testing.assert_close(composed[1, :-1, 0, 0], 0.2 * torch.arange(5, dtype=torch.float64) + 0.1)
    assert float(composed[1, -1, 0, 0]) == pytest.approx(1.0)  # the edge value beyond the grid


def test_a_displacement_on_another_grid_moves_points_by_the_same_millimeters():
    grid, fine = box(6.0), centered_grid(box(6.0), (3.0, 2.0, 4.0))
    field = torch.from_numpy(np.moveaxis(bend(places(grid)), -1, 0) / 6.0)
    error = in_mm(on_grid(field, grid, fine), fine) - bend(places(fine))
    assert np.abs(error)[4:-4, 4:-4, 4:-4].max() < 0.5
    assert on_grid(field, grid, grid) is field
