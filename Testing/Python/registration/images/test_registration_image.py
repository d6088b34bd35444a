"""The two sides of a registration: what of a volume counts."""

import numpy as np

from meddl.registration.images.registration_image import crop_to_object, prepare_image
from meddl.spatial.volume import Volume


def test_the_crop_keeps_the_object_and_its_place():
    data = np.zeros((60, 50, 70), np.float32)
    data[20:30, 22:28, 30:40] = 5
    side = prepare_image("fixed", Volume.scalar(data, np.diag([2.0, 2.0, 2.0, 1.0])), None)
    smaller = crop_to_object(side)
    assert smaller.volume.shape == (26, 22, 26)
    place = np.argwhere(smaller.volume.data[0] == 5)[0]
    np.testing.assert_allclose(smaller.volume.grid.points_mm(place), 2.0 * np.array([20, 22, 30]))
