"""The discrete search finds large motion, whatever the contrast, and leaves in place what lies in place."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from meddl.core.errors import Cancelled, InputError
from meddl.registration.deformable.metrics.mind import mind_ssc
from meddl.registration.images.smoothing import smooth
from meddl.registration.linear.large_displacement_search import Cells, is_large, search_displacements

SHAPE = (40, 48, 44)
SPACING_MM = 3.0


def ellipsoid(shape) -> torch.Tensor:
    axes = [torch.linspace(-1, 1, n) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0) < 0.9


def texture(shape=SHAPE, spacing_mm=(SPACING_MM,) * 3, seed=0) -> torch.Tensor:
    """A random image with structures of about 10 mm, 0 to 1, inside an ellipsoid."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    image = smooth(noise, spacing_mm, 4.0)
    return torch.sigmoid(1.5 * image / image.std()) * ellipsoid(shape)


def smooth_warp(shape=SHAPE, spacing_mm=(SPACING_MM,) * 3, largest_mm=18.0, seed=1) -> torch.Tensor:
    """A random smooth displacement (3, I, J, K) in voxels; the longest in the object has `largest_mm`."""
    noise = torch.randn((3, *shape), generator=torch.Generator().manual_seed(seed))
    field = smooth(noise, spacing_mm, 25.0)
    field *= largest_mm / field.square().sum(dim=0).sqrt()[ellipsoid(shape)].max()
    return field / torch.tensor(spacing_mm)[:, None, None, None]


def pulled(image: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """`image` (I, J, K) at x + displacement(x)."""
    axes = torch.meshgrid(*(torch.arange(float(n)) for n in image.shape), indexing="ij")
    size = torch.tensor(image.shape)[:, None, None, None]
    places = ((2 * (torch.stack(axes) + displacement) + 1) / size - 1).flip(0).movedim(0, -1)
    return F.grid_sample(image[None, None], places[None], padding_mode="border", align_corners=False)[0, 0]


def errors_mm(found: torch.Tensor, known: torch.Tensor, inside: torch.Tensor, spacing_mm=(SPACING_MM,) * 3):
    difference = (found - known) * torch.tensor(spacing_mm)[:, None, None, None]
    return difference.square().sum(dim=0).sqrt()[inside]


def smallest_jacobian(displacement: torch.Tensor) -> float:
    slopes = torch.stack(torch.gradient(displacement, dim=(1, 2, 3)), dim=1).permute(2, 3, 4, 0, 1)
    return float(torch.linalg.det(slopes + torch.eye(3)).min())


def test_a_large_smooth_warp_is_found_to_less_than_a_cell_and_without_folds():
    moving, known = texture(), smooth_warp()
    fixed = pulled(moving, known)
    found = search_displacements(mind_ssc(fixed), mind_ssc(moving), (SPACING_MM,) * 3)
    assert found.shape == (3, *SHAPE)
    before, after = (errors_mm(field, known, fixed > 0) for field in (torch.zeros_like(known), found))
    assert before.max() > 15
    assert after.mean() < 2.5 < before.mean() / 2.5
    assert after.quantile(0.95) < 6.0
    assert smallest_jacobian(found) > 0


def test_another_contrast_is_no_hindrance():
    moving, known = texture(), smooth_warp(seed=2)
    fixed = pulled(moving, known)
    other = torch.where(fixed > 0, torch.cos(5 * fixed) + 2, 0)  # rises with the intensity here, falls there
    found = search_displacements(mind_ssc(other), mind_ssc(moving), (SPACING_MM,) * 3)
    assert errors_mm(found, known, fixed > 0).mean() < 0.5 * errors_mm(0 * known, known, fixed > 0).mean()


def test_what_lies_in_place_stays_there():
    features = mind_ssc(texture())
    found = search_displacements(features, features, (SPACING_MM,) * 3, reach_mm=12)
    assert found.abs().max() * SPACING_MM < 0.5


def test_thick_slices_count_in_millimeters():
    shape, spacing_mm = (64, 60, 20), (2.0, 2.0, 6.5)
    moving = texture(shape, spacing_mm)
    known = smooth_warp(shape, spacing_mm, 14.0)
    fixed = pulled(moving, known)
    cells = Cells.over(shape, spacing_mm, 6.0, 15.0)
    assert np.allclose(cells.factors, (3, 3, 1))
    assert cells.reach == (2, 2, 2)
    found = search_displacements(mind_ssc(fixed, 1, (3, 3, 1)), mind_ssc(moving, 1, (3, 3, 1)), spacing_mm, reach_mm=15)
    before = errors_mm(0 * known, known, fixed > 0, spacing_mm).mean()
    assert errors_mm(found, known, fixed > 0, spacing_mm).mean() < 0.4 * before


def test_the_order_of_the_axes_changes_nothing():
    moving = texture()
    fixed = pulled(moving, smooth_warp())
    size = {"cell_mm": 12.0, "reach_mm": 24.0}
    found = search_displacements(mind_ssc(fixed), mind_ssc(moving), (SPACING_MM,) * 3, **size)
    stored = [image.permute(2, 0, 1).flip(0, 2) for image in (fixed, moving)]
    other = search_displacements(*(mind_ssc(image) for image in stored), (SPACING_MM,) * 3, **size)
    back = other.flip(1, 3).permute(0, 2, 3, 1)[[1, 2, 0]]
    back[1] *= -1  # axes 2 and 1 of the upright image were stored from end to end
    back[2] *= -1
    assert (back - found).abs().mean() < 0.01  # what is left are choices between two that are as good


def test_voxels_without_weight_do_not_pull():
    moving, known = texture(), smooth_warp()
    fixed = pulled(moving, known)
    inside = fixed > 0
    disturbed = fixed.clone()
    block = (slice(12, 24), slice(14, 26), slice(14, 26))
    disturbed[block] = texture(seed=9)[block]  # such as a tumor that the other volume lacks
    weights = torch.ones(SHAPE)
    weights[block] = 0
    with_weights, without = (
        errors_mm(search_displacements(mind_ssc(disturbed), mind_ssc(moving), (SPACING_MM,) * 3, weights=given),
                  known, inside)
        for given in (weights, None))
    assert with_weights.mean() < without.mean()


def test_volumes_of_any_size_keep_within_the_bound_of_memory():
    for shape, spacing_mm in (((256,) * 3, (1.0,) * 3), ((512, 512, 300), (0.9, 0.9, 1.5)), ((40, 40, 5), (1, 1, 17))):
        cells = Cells.over(shape, spacing_mm, 6.0, 24.0)
        assert np.prod(cells.counts) * len(cells.displacements) < 50_000_000


def test_tiny_and_featureless_volumes_are_taken():
    found = search_displacements(torch.ones(12, 9, 1, 2), torch.ones(12, 9, 1, 2), (1.0, 5.0, 9.0))
    assert found.shape == (3, 9, 1, 2)
    assert torch.isfinite(found).all()


def test_motion_is_large_where_a_part_of_the_object_goes_far():
    spacing_mm = (2.0, 2.0, 6.0)
    displacement = torch.zeros(3, 10, 10, 10)
    inside = torch.zeros(10, 10, 10, dtype=torch.bool)
    inside[2:8] = True
    assert not is_large(displacement, spacing_mm, inside)
    displacement[2, 2] = 3.0  # a sixth of the object, by 18 mm
    assert is_large(displacement, spacing_mm, inside)
    assert not is_large(displacement[[2, 0, 1]], spacing_mm, inside)  # by 6 mm
    assert not is_large(displacement, spacing_mm, torch.zeros_like(inside))


@pytest.mark.parametrize("limit", [0, 0.04, 0.3, 0.7, 0.96])
def test_it_can_be_cancelled_all_the_way(limit):
    def cancel(fraction, message):
        if fraction >= limit:
            raise Cancelled("enough")

    features = mind_ssc(texture())
    with pytest.raises(Cancelled):
        search_displacements(features, features, (SPACING_MM,) * 3, cell_mm=12, on_progress=cancel)


def test_features_on_different_grids_are_refused():
    with pytest.raises(InputError, match="one grid"):
        search_displacements(torch.ones(12, 5, 5, 5), torch.ones(12, 5, 5, 6), (1, 1, 1))
    with pytest.raises(InputError, match="mm"):
        search_displacements(torch.ones(12, 5, 5, 5), torch.ones(12, 5, 5, 5), (1, 1, 0))
