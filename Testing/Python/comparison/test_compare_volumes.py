"""Two volumes, two transforms and landmarks compared."""

import numpy as np
import pytest
import torch
from monai.losses import LocalNormalizedCrossCorrelationLoss
from monai.metrics import MAEMetric, PSNRMetric, RMSEMetric

import meddl
from meddl.comparison.transforms import landmark_errors
from meddl.core.errors import InputError
from meddl.measures.similarity import normalized_mutual_information, similarity
from meddl.spatial.grid import Grid
from meddl.spatial.points import Points
from meddl.spatial.transform import Transform
from meddl.spatial.volume import Volume

SHAPE = (20, 18, 16)


@pytest.fixture
def pair():
    random = np.random.default_rng(1)
    truth = random.normal(size=SHAPE) * 20 + np.linspace(0, 300, SHAPE[0])[:, None, None]
    return truth + random.normal(size=SHAPE) * 5, truth


def volume(array, affine=None):
    return Volume.scalar(np.asarray(array, np.float64), np.diag([1.0, 1.0, 2.0, 1.0]) if affine is None else affine)


def test_errors_are_those_of_monai(pair):
    found = meddl.compare(volume(pair[0]), volume(pair[1]))
    ours, theirs = (torch.from_numpy(one)[None, None] for one in pair)
    low, high = found.report["data_range"]
    assert found.figures["mae"] == pytest.approx(float(MAEMetric()(ours, theirs)), rel=1e-6)
    assert found.figures["rmse"] == pytest.approx(float(RMSEMetric()(ours, theirs)), rel=1e-6)
    assert found.figures["psnr_db"] == pytest.approx(float(PSNRMetric(high - low)(ours, theirs)), abs=1e-5)
    assert np.allclose(found.difference.scalar_data, pair[0] - pair[1], atol=1e-4)


def test_local_correlation_is_that_of_monai_away_from_the_border(pair):
    inside = np.zeros(SHAPE, bool)
    inside[6:-6, 6:-6, 6:-6] = True
    loss = LocalNormalizedCrossCorrelationLoss(kernel_size=9, reduction="none", smooth_nr=0, smooth_dr=1e-12)
    theirs = -loss(*(torch.from_numpy(one)[None, None] for one in pair))[0, 0].numpy()
    assert similarity(*pair, inside).lncc == pytest.approx(theirs[inside].mean(), abs=1e-6)


def test_mutual_information_of_equal_and_of_independent_images():
    random = np.random.default_rng(2)
    values = random.normal(size=200_000)
    assert normalized_mutual_information(values, 3 * values + 1) == pytest.approx(2)
    assert normalized_mutual_information(values, random.normal(size=values.shape)) == pytest.approx(1, abs=5e-3)
    assert np.isnan(normalized_mutual_information(np.ones(5), np.ones(5)))


def test_equal_volumes(pair):
    found = meddl.compare(volume(pair[0]), volume(pair[0]))
    row = found.rows()[0]
    assert repr(found).startswith("VolumeComparison(mae 0, rmse 0, ") and "\n" not in repr(found)
    assert (row["mae"], row["rmse"], row["psnr_db"]) == (0, 0, None)
    assert row["ssim"] == pytest.approx(1) and row["nmi"] == pytest.approx(2) and row["lncc"] == pytest.approx(1)


def test_another_grid_is_resampled_and_what_it_does_not_cover_left_out(pair):
    truth = volume(pair[1])
    offset = np.eye(4)
    offset[:3, 3] = 4, 0, 2
    part = volume(pair[1][4:, :, 2:], truth.affine @ offset)
    found = meddl.compare(part, truth)
    assert found.report["resampled"] and found.report["voxels"] == 16 * 18 * 14
    assert found.figures["rmse"] == pytest.approx(0, abs=1e-4)
    far = np.eye(4)
    far[0, 3] = 500
    with pytest.raises(InputError, match="no voxel in common"):
        meddl.compare(volume(pair[1], far), truth)


def test_transforms_are_compared_in_mm():
    shift = np.eye(4)
    shift[:3, 3] = 3, 4, 0
    grid = Grid((10, 10, 10), np.eye(4))
    found = meddl.compare(Transform(shift, None, grid), Transform(np.eye(4), None, grid))
    assert found.report["mean_mm"] == pytest.approx(5) and found.report["points"] == 1000
    assert repr(found) == "PointErrors(1000 points, mean 5 mm, largest 5 mm)"
    with pytest.raises(InputError, match="fixed volume"):
        meddl.compare(Transform(shift, None, None), Transform(np.eye(4), None, None))


def test_target_registration_error_by_name():
    shift = np.eye(4)
    shift[0, 3] = 2
    fixed = Points(np.array([[0.0, 0, 0], [1, 1, 1], [5, 5, 5]]), ("a", "b", "c"))
    moving = Points(np.array([[1.0, 1, 1], [3, 0, 0]]), ("b", "a"))
    found = landmark_errors(Transform(shift, None, None), fixed, moving)
    assert [(row["point"], row["distance_mm"]) for row in found.rows()] == [
        ("a", pytest.approx(1)), ("b", pytest.approx(2))]
    assert found.report["mean_mm"] == pytest.approx(1.5) and found.report["before_mm"] == pytest.approx(1.5)
