"""PSNR, SSIM and NRMSE against numbers known otherwise."""

import numpy as np
import pytest
import torch
from monai.metrics.regression import SSIMMetric

from meddl.core.errors import InputError
from meddl.measures.image_quality import image_quality, ssim_map
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume
from meddl.superres.comparison import quality_against


def images():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (24, 22, 20))
    return truth + 0.1 * rng.normal(size=truth.shape), truth


def test_psnr_and_nrmse_by_their_definition():
    image, truth = images()
    found = image_quality(image, truth)
    low, high = np.percentile(truth, (0.1, 99.9))
    error = np.sqrt(np.mean((image - truth) ** 2))
    assert found.psnr_db == pytest.approx(20 * np.log10((high - low) / error))
    assert found.nrmse == pytest.approx(error / truth.std())
    shifted = image_quality(1000 * image - 500, 1000 * truth - 500)
    assert shifted.psnr_db == pytest.approx(found.psnr_db)


def test_ssim_is_monai_s_inside():
    image, truth = images()
    metric = SSIMMetric(spatial_dims=3, data_range=1.0, win_size=11, kernel_sigma=1.5)
    expected = float(metric(torch.from_numpy(image)[None, None], torch.from_numpy(truth)[None, None]))
    inside = ssim_map(image, truth, 1.0)[5:-5, 5:-5, 5:-5].mean()
    assert inside == pytest.approx(expected, abs=2e-3)


def test_equal_images_are_perfect():
    truth = images()[1]
    found = image_quality(truth, truth)
    assert found.psnr_db == np.inf
    assert found.as_dict() == {"psnr_db": None, "ssim": pytest.approx(1), "nrmse": 0}


def test_only_the_mask_counts():
    image, truth = images()
    mask = np.zeros(truth.shape, bool)
    mask[:, :, 10:] = True
    image[:, :, :4] = 99
    assert image_quality(image, truth, mask).psnr_db > 15
    assert image_quality(image, truth).psnr_db < 0


def test_what_cannot_be_compared_is_refused():
    image, truth = images()
    for wrong in ((image[1:], truth, None), (image, np.ones_like(truth), None), (image, truth, np.zeros(truth.shape))):
        with pytest.raises(InputError):
            image_quality(*wrong)


def test_a_reference_on_another_grid_is_interpolated_and_one_elsewhere_refused():
    grid = Grid((24, 22, 20), np.diag([1.0, 1, 1, 1]))
    smooth = np.fromfunction(lambda i, j, k: np.sin(i / 4) + np.cos(j / 5) + k / 20, grid.shape)
    result, warnings = Volume.scalar(smooth, grid.affine), []
    assert quality_against(result, result, warnings)["psnr_db"] is None
    assert not warnings
    half = np.fromfunction(lambda i, j, k: np.sin(i / 8 - 0.0625) + np.cos(j / 10 - 0.05) + k / 40 - 0.0125,
                           (48, 44, 40))
    finer = np.diag([0.5, 0.5, 0.5, 1.0])
    finer[:3, 3] = -0.25
    assert quality_against(Volume.scalar(half, finer), result, warnings)["psnr_db"] > 50
    assert "another grid" in warnings[0]
    far = np.array(finer)
    far[:3, 3] = 1000
    with pytest.raises(InputError, match="overlap"):
        quality_against(Volume.scalar(half, far), result, [])
