"""The levels of a deformation: spacings and steps that suit a grid, images that keep their contrast."""

import numpy as np
import pytest
import torch

from meddl.registration.deformable.levels import deformation_levels_mm, deformation_pyramid, iterations_by_level
from meddl.registration.images.registration_image import prepare_image
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume


def test_levels_follow_the_voxels_and_never_go_below_one():
    head, thick = Grid((256, 256, 256), np.eye(4)), Grid((200, 200, 20), np.diag([1.0, 1.0, 6.0, 1.0]))
    assert deformation_levels_mm(head, (), 1 << 24) == (4.0, 2.0, 1.0)
    coarser = deformation_levels_mm(head, (), 1 << 21)
    assert coarser[-1] == pytest.approx(2.0, rel=0.1) and coarser[0] == pytest.approx(4 * coarser[-1])
    assert deformation_levels_mm(thick, (), 1 << 24) == (4.0, 2.0, 1.0)
    assert deformation_levels_mm(head, (6.0, 0.5), 1 << 24) == (6.0, 1.0)
    assert deformation_levels_mm(Grid((10, 10, 10), np.eye(4)), (), 1 << 24) == (1.0,)


def test_the_last_numbers_of_steps_belong_to_the_finest_levels():
    assert iterations_by_level((60, 40, 10), 3) == (60, 40, 10)
    assert iterations_by_level((60, 40, 10), 2) == (40, 10)
    assert iterations_by_level((60, 40, 10), 5) == (60, 60, 60, 40, 10)


def test_a_side_is_seen_at_each_spacing_and_its_few_bright_voxels_do_not_count():
    data = np.random.default_rng(0).random((24, 30, 20)).astype(np.float32)
    data[3, 4, 5], data[6, 7, 8] = 1e6, np.nan
    mask = Volume(np.ones((1, 24, 30, 20), np.uint8), np.eye(4))
    mask.data[:, :8] = 0
    coarse, fine = deformation_pyramid(prepare_image("fixed", Volume.scalar(data, np.eye(4)), mask), (2.0, 1.0),
                                       torch.device("cpu"), lambda: None)
    assert tuple(fine.image.shape) == (24, 30, 20) and tuple(coarse.image.shape) == (12, 15, 10)
    assert float(fine.image.min()) >= 0 and float(fine.image.max()) <= 1
    assert 0.4 < float(fine.image[8:].mean()) < 0.6 and float(fine.image[:8].max()) < 0.01
    assert float(fine.region.sum()) == 16 * 30 * 20
    assert not coarse.region[:4].any() and coarse.region[5:].all()
