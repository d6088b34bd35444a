"""An image seen through a displacement and an affine map: coordinates, edges, slabs, slopes."""

import numpy as np
import pytest
import torch

from meddl.registration.images import warped_image
from meddl.registration.images.warped_image import WarpedImage, sample, slope_of, with_neighbors
from meddl.spatial.grid import Grid


def ramp(shape) -> torch.Tensor:
    """A different linear image in each of three channels: its value tells the place."""
    return torch.stack(torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in shape], indexing="ij"))


def test_a_voxel_sees_the_moving_place_that_matrix_and_displacement_give():
    to_moving = np.array([[0.1, 0.9, 0, 2], [-0.8, 0, 0.2, 9], [0, 0.1, 0.7, 1], [0, 0, 0, 1]])
    warped = WarpedImage(ramp((14, 12, 10)), Grid((6, 7, 8), np.eye(4)), to_moving)
    rng = torch.Generator().manual_seed(0)
    warped.displacement = torch.rand(3, 6, 7, 8, generator=rng, dtype=torch.float64) - 0.5
    coordinates = ramp((6, 7, 8)) + warped.displacement
    expected = torch.einsum("ab,bijk->aijk", torch.from_numpy(to_moving[:3, :3]), coordinates)
    expected += torch.from_numpy(to_moving[:3, 3])[:, None, None, None]
    torch.testing.assert_close(warped.all(), expected)
    torch.testing.assert_close(warped.rows(2, 5), expected[:, 2:5])


def test_beyond_the_moving_volume_its_edge_value_holds_and_is_known_to_be_outside():
    to_moving = np.eye(4)
    to_moving[0, 3] = -3
    warped = WarpedImage(ramp((5, 4, 4)), Grid((10, 4, 4), np.eye(4)), to_moving)
    assert warped.all()[0, :, 0, 0].tolist() == pytest.approx([0, 0, 0, 0, 1, 2, 3, 4, 4, 4])
    assert warped.inside()[:, 0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_slabs_and_threads_change_nothing(monkeypatch, threads):
    rng = torch.Generator().manual_seed(0)
    image, coordinates = torch.rand(2, 9, 8, 7, generator=rng), 2 * torch.rand(3, 7, 5, 4, generator=rng) - 1
    whole = sample(image, coordinates)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert torch.equal(sample(image, coordinates), whole)
    warped = WarpedImage(image, Grid((9, 8, 7), np.eye(4)), np.eye(4))
    before = warped.all()
    monkeypatch.setattr(warped_image, "SLAB_VOXELS", 100)
    pauses = []
    warped = WarpedImage(image, Grid((9, 8, 7), np.eye(4)), np.eye(4), lambda: pauses.append(1))
    torch.testing.assert_close(warped.all(), before)
    assert len(pauses) == 9


def test_slopes_are_central_differences_by_voxel():
    image = 2 * ramp((5, 6, 7))[0] - 3 * ramp((5, 6, 7))[2]
    gradient = torch.full((5, 6, 7), 10.0, dtype=torch.float64)
    slope = slope_of(gradient, image)
    inner = slope[:, 1:-1, 1:-1, 1:-1]
    assert [part.unique().tolist() for part in inner] == [[20], [0], [-30]]
    assert slope_of(gradient[:, :2], image[:, :2]).isfinite().all()


def test_a_voxel_beside_one_that_does_not_count_has_no_sound_slope():
    weight = torch.ones(5, 6, 7)
    weight[2, 3, 4] = 0
    least = with_neighbors(weight)
    assert float((1 - least).sum()) == 7
    assert all(float(least[place]) == 0 for place in ((1, 3, 4), (3, 3, 4), (2, 2, 4), (2, 4, 4), (2, 3, 3), (2, 3, 5)))
