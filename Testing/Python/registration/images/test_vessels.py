"""An angiogram of vessels alone is laid on the tubes of another volume, from far away, in either role."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from meddl.core.config import RegisterConfig
from meddl.core.errors import Cancelled
from meddl.registration import register
from meddl.registration.images.registration_image import prepare_side
from meddl.registration.images.vessels import shows_vessels_alone
from meddl.spatial.volume import Volume

CONFIG = RegisterConfig()
SHAPE = (64, 72, 60)


def tree() -> np.ndarray:
    """A branching vessel in a box of 1.5 mm voxels, as a mask."""
    rng = np.random.default_rng(3)
    mask = np.zeros(SHAPE, dtype=bool)
    for start, way in (((32, 30, 8), (0, 0.2, 1)), ((32, 34, 28), (0.9, 0.3, 0.3)), ((32, 34, 28), (-0.8, 0.5, 0.3)),
                       ((32, 34, 28), (0, -0.9, 0.6))):
        place, way = np.array(start, float), np.array(way) / np.linalg.norm(way)
        for _ in range(44):
            mask[tuple(np.rint(place).astype(int))] = True
            way = way + rng.normal(0, 0.15, 3)
            way /= np.linalg.norm(way)
            place = np.clip(place + 0.6 * way, 4, np.array(SHAPE) - 5)
    return ndimage.binary_dilation(mask)


def pair() -> tuple[Volume, Volume]:
    """A head with flow voids, and the vessels alone."""
    rng = np.random.default_rng(0)
    vessels = tree()
    places = (np.indices(SHAPE) - np.array(SHAPE)[:, None, None, None] / 2) / np.array(SHAPE)[:, None, None, None]
    head = (places ** 2).sum(axis=0) < 0.22
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3)
    image = np.where(head, 100 + 20 * texture / texture.std(), 0) * np.where(vessels, 0.4, 1)
    image = ndimage.gaussian_filter(image, 0.5) + np.abs(rng.normal(0, 2, SHAPE))
    affine = np.diag([1.5, 1.5, 1.5, 1])
    return Volume.scalar(image.astype(np.float32), affine), Volume.scalar(
        np.where(vessels, rng.uniform(50, 200, SHAPE), 0).astype(np.float32), affine)


def moved(degrees=(8, -10, 5), shift_mm=(20, -30, 12)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def error_mm(result, known, where: Volume) -> float:
    points = where.grid.points_mm(np.argwhere(where.scalar_data > 0)[::20])
    truth = points @ known[:3, :3].T + known[:3, 3]
    return float(np.linalg.norm(result.points(points) - truth, axis=1).mean())


def test_vessels_alone_are_told_from_other_volumes():
    head, vessels = pair()
    assert shows_vessels_alone(prepare_side("moving", vessels, None))
    assert not shows_vessels_alone(prepare_side("fixed", head, None))
    ball = np.zeros(SHAPE, dtype=np.uint8)
    ball[20:36, 20:36, 20:36] = 1  # as few voxels, but thick
    assert not shows_vessels_alone(prepare_side("fixed", Volume.scalar(ball, head.affine), None))


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
    result = register(head, Volume(vessels.data, known @ vessels.affine), replace(CONFIG, transform="translation"),
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
