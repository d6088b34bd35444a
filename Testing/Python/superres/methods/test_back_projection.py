"""Back-projection: the residual falls, noise is left alone, what is consistent stays."""

import numpy as np
import pytest
import torch
from superres_phantoms import affine, textured, thick_slices

from meddl.core.config import SuperResolveConfig
from meddl.measures.image_quality import image_quality
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume
from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.job import Job
from meddl.superres.methods.back_projection import back_projection, consistent, correction, slices_of
from meddl.superres.methods.cubic import cubic
from meddl.superres.plan import plan_resolution


def job_for(volume: Volume, noise: float = 0.0, **choices) -> Job:
    """A job whose slices are stated to touch."""
    config = SuperResolveConfig(thickness_mm=float(volume.spacing_mm.max()), **choices)
    plan = plan_resolution(volume.grid, config)
    made = tuple(Acquisition(plan.factors[axis], axis) for axis in plan.axes)
    return Job(volume.data[0], volume.grid, plan, made, noise, config, torch.device("cpu"))


def residual(fine: np.ndarray, job: Job) -> float:
    return float(np.sqrt(np.mean((slices_of(fine, job) - job.data) ** 2)))


def test_the_slices_of_a_volume_are_those_of_an_independent_simulation():
    truth = textured((30, 28, 48))
    thick = thick_slices(truth, 4)
    seen = slices_of(truth.astype(np.float32), job_for(thick))
    np.testing.assert_allclose(seen, thick.data[0], atol=0.02)


def test_without_noise_the_residual_vanishes_and_detail_comes_back():
    truth = textured((40, 36, 48))
    job = job_for(thick_slices(truth, 3), iterations=20)
    plain, sharp = cubic(job), back_projection(job)
    assert residual(sharp, job) < 0.02 * residual(plain, job)
    assert image_quality(sharp, truth).psnr_db > image_quality(plain, truth).psnr_db + 0.5
    assert job.figures["iterations"] >= 10


def test_the_steps_among_the_slices_are_those_on_the_volume():
    job = job_for(thick_slices(textured((20, 18, 32)), 2), iterations=4)
    x = cubic(job)
    for _ in range(4):
        lacking = job.data - slices_of(x, job)
        x = x + cubic(Job(lacking, job.grid, job.plan, job.acquisitions, 0.0, job.config, job.device))
    np.testing.assert_allclose(back_projection(job), x, atol=1e-4)


@pytest.mark.parametrize("noise", [0.05, 0.1])
def test_noise_is_not_sharpened(noise):
    truth = textured((48, 44, 64))
    volume = thick_slices(truth, 2, noise)
    plain = image_quality(cubic(job_for(volume)), truth).psnr_db
    told = image_quality(back_projection(job_for(volume, noise)), truth).psnr_db
    blind = image_quality(back_projection(job_for(volume)), truth).psnr_db
    assert told > plain - 0.02
    assert told > blind + 0.4


def test_a_result_that_explains_the_slices_up_to_noise_is_left_alone():
    truth = textured((48, 44, 64)).astype(np.float32)
    job = job_for(thick_slices(truth, 4, 0.05), 0.05)
    kept = consistent(truth.copy(), job)
    assert np.abs(kept - truth).mean() < 0.005
    wrong = consistent(truth + 0.5, job)
    assert abs(float((wrong - truth).mean())) < 0.01


def test_steps_that_do_not_help_are_not_kept():
    job = job_for(thick_slices(textured((20, 18, 32)), 2))
    assert correction(np.zeros_like(job.data), job, 3, job.data)[1] == 0


def test_all_axes_at_once():
    truth = textured((40, 40, 40))
    volume = Volume.scalar(truth[::2, ::2, ::2].astype(np.float32), affine((2, 2, 2)))
    job = job_for(volume, target_spacing_mm=1.0, iterations=10)
    assert len(job.acquisitions) == 3
    assert residual(back_projection(job), job) < 0.1 * residual(cubic(job), job)
    quiet = job_for(volume, 0.02, target_spacing_mm=1.0)
    assert residual(back_projection(quiet), quiet) < residual(cubic(quiet), quiet)


def test_a_grid_whose_sizes_do_not_divide():
    volume = Volume.scalar(textured((21, 20, 13)).astype(np.float32), affine((1, 1, 3.7)))
    job = job_for(volume)
    assert job.plan.grid.shape == (21, 20, 48)
    assert isinstance(job.grid, Grid)
    assert residual(back_projection(job), job) < 0.3 * residual(cubic(job), job)


def test_a_small_lesion_that_a_network_took_for_noise_comes_back():
    """What the slices show far beyond noise is in the result, though every frequency as a whole shows noise alone."""
    truth = textured((40, 36, 48))
    truth[20, 18, 25] += 2.0
    volume = thick_slices(truth, 3, 0.02)
    job = job_for(volume, 0.02)
    without = textured((40, 36, 48)).astype(np.float32)
    made = consistent(without.copy(), job)
    gain = made - without
    assert 0 < job.figures["beyond_noise"] < 0.2
    assert gain[20, 18, 25] > 0.3
    away = np.ones(truth.shape, bool)
    away[17:24, 15:22] = False
    assert np.sqrt(np.square(gain[away]).mean()) < 0.02
    assert image_quality(made, truth).psnr_db > image_quality(without, truth).psnr_db


def test_noise_alone_is_not_carried_back():
    truth = textured((40, 36, 48))
    job = job_for(thick_slices(truth, 3, 0.05), 0.05)
    made = consistent(truth.astype(np.float32), job)
    assert job.figures["beyond_noise"] < 0.06
    assert np.sqrt(np.square(made - truth).mean()) < 0.02
