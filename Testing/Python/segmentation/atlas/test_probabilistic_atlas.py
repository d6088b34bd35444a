"""The atlas: small among the weights, and the same when it comes back."""

import numpy as np
import pytest
import torch
from toy_heads import MIRROR, SHAPE, SPACING_MM, VALUES, head

from meddl.core.errors import ModelError
from meddl.models.cards import AtlasSpec
from meddl.segmentation.atlas.probabilistic_atlas import Atlas, pack, unpack
from meddl.segmentation.atlas.tissues import Tissues
from meddl.spatial.grid import grid_around

SPEC = AtlasSpec(tuple(VALUES[n] for n in Tissues(MIRROR).classes), SPACING_MM, SHAPE, "toy heads", "none", "test")


@pytest.fixture(scope="module")
def atlas():
    classes, grid = head(None)
    tissue = Tissues(MIRROR).of_class[classes]
    probabilities = torch.nn.functional.one_hot(tissue, len(SPEC.structures)).permute(3, 0, 1, 2)
    smooth = torch.nn.functional.avg_pool3d(probabilities.float()[None], 3, 1, 1, count_include_pad=False)[0]
    return Atlas((smooth + smooth.flip(1)) / 2, grid)


def test_packed_and_unpacked_it_is_the_same_to_a_rounding(atlas):
    back = unpack(pack(atlas), SPEC, len(MIRROR))
    assert back.grid.same_as(atlas.grid)
    torch.testing.assert_close(back.probabilities, atlas.probabilities, atol=0.01, rtol=0)
    torch.testing.assert_close(back.probabilities.sum(dim=0), torch.ones(back.grid.shape))


def test_packed_it_takes_less_than_a_byte_a_voxel(atlas):
    size = sum(tensor.numel() * tensor.element_size() for tensor in pack(atlas).values())
    assert size < np.prod(atlas.grid.shape)


@pytest.mark.parametrize("spoil", [lambda t: {}, lambda t: t | {"atlas.values": t["atlas.values"][:-1]},
                                   lambda t: t | {"atlas.present": t["atlas.present"][:-9]}])
def test_a_damaged_one_is_refused_with_the_remedy(atlas, spoil):
    with pytest.raises(ModelError, match="Install the model again"):
        unpack(spoil(pack(atlas)), SPEC, len(MIRROR))


def test_classes_of_both_sides_make_up_their_tissue(atlas):
    tissues = Tissues(MIRROR)
    by_class = atlas.by_class(tissues)
    torch.testing.assert_close(tissues.merge(by_class), atlas.probabilities)
    left, right = by_class[3], by_class[4]
    torch.testing.assert_close(left, right.flip(0))
    assert left[:21].sum() > 100 * left[27:].sum()


def test_coarser_it_lies_in_the_same_place(atlas):
    coarse = atlas.coarse(2)
    assert coarse.grid.shape == (24, 24, 24)
    assert np.allclose(coarse.grid.center_mm, atlas.grid.center_mm)
    grid = grid_around(np.array([0, SPACING_MM / 2, 0]), (48, 47, 48), np.eye(3) * SPACING_MM)
    odd = Atlas(atlas.probabilities[:, :, 1:], grid).coarse(2)
    points = odd.grid.points_mm(np.zeros(3))
    fine = atlas.grid.indices(points)  # the middle of eight voxels
    assert np.allclose(fine % 1, 0.5)
    assert torch.allclose(odd.probabilities[:, 0, 0, 0], atlas.probabilities[(slice(None), *[
        slice(int(f), int(f) + 2) for f in fine])].mean(dim=(1, 2, 3)))
