"""An angiogram of vessels alone is registered to the tubular structures of another volume, in either role."""

from dataclasses import replace

import numpy as np
import pytest
from vessel_pairs import SHAPE, moved, pair

from meddl.core.config import RegisterConfig
from meddl.core.errors import Cancelled
from meddl.registration import register
from meddl.registration.images.registration_image import prepare_image
from meddl.registration.images.vessels import shows_vessels_alone
from meddl.spatial.volume import Volume

CONFIG = RegisterConfig()


def error_mm(result, known, where: Volume) -> float:
    points = where.grid.points_mm(np.argwhere(where.scalar_data > 0)[::20])
    truth = points @ known[:3, :3].T + known[:3, 3]
    return float(np.linalg.norm(result.points(points) - truth, axis=1).mean())


def test_vessels_alone_are_told_from_other_volumes():
    head, vessels = pair()
    assert shows_vessels_alone(prepare_image("moving", vessels, None))
    assert not shows_vessels_alone(prepare_image("fixed", head, None))
    ball = np.zeros(SHAPE, dtype=np.uint8)
    ball[20:36, 20:36, 20:36] = 1  # as few voxels, but thick
    assert not shows_vessels_alone(prepare_image("fixed", Volume.scalar(ball, head.affine), None))


def test_a_mask_does_not_make_vessels_of_a_head():
    head, vessels = pair()
    thin = np.zeros(head.data.shape, dtype=np.uint8)
    thin[:, 26:28] = 1
    assert not shows_vessels_alone(prepare_image("fixed", head, Volume(thin, head.affine)))


@pytest.mark.parametrize("vessels_are_fixed", [False, True])
def test_a_far_motion_is_found_in_either_role(vessels_are_fixed):
    head, vessels = pair()
    known = moved()
    fixed, moving = (vessels, head) if vessels_are_fixed else (head, vessels)
    result = register(fixed, Volume(moving.data, known @ moving.affine), CONFIG)
    assert result.report["metric"]["name"] == "tubes"
    assert result.report["metric"]["after"] > result.report["metric"]["before"] + 0.5
    assert error_mm(result, known, vessels) < 1
    assert any("vessels alone" in text for text in result.report["warnings"])
    assert np.allclose(result.affine[:3, :3] @ result.affine[:3, :3].T, np.eye(3), atol=1e-6)


def test_a_start_is_refined_without_a_search_and_translations_stay_translations():
    head, vessels = pair()
    known = moved((0, 0, 0), (3, -2, 2))
    near = moved((0, 0, 0), (2, -1, 1))
    result = register(head, Volume(vessels.data, known @ vessels.affine), replace(CONFIG, transform_type="translation"),
                      initial=near)
    assert error_mm(result, known, vessels) < 0.5
    assert np.allclose(result.affine[:3, :3], np.eye(3))


def test_it_can_be_canceled_while_shifts_are_tried():
    def stop(fraction, message):
        if message == "Trying all shifts" and fraction > 0.2:
            raise Cancelled("stop")

    head, vessels = pair()
    with pytest.raises(Cancelled):
        register(head, vessels, CONFIG, on_progress=stop)
