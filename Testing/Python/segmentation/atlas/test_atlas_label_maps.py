"""Label maps of an atlas: small among the weights, the same when they come back, refused when damaged."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_heads import MIRROR, SHAPE, SPACING_MM, VALUES, head

from meddl.core.errors import ModelError
from meddl.models.cards import AtlasSpec
from meddl.segmentation.atlas.atlas_label_maps import CODES, SIZES, AtlasLabelMaps, encode, label_map_grid
from meddl.segmentation.atlas.probabilistic_atlas import Atlas, pack, unpack
from meddl.segmentation.atlas.tissues import Tissues

SPEC = AtlasSpec(tuple(VALUES[n] for n in Tissues(MIRROR).classes), SPACING_MM, SHAPE, "toy heads", "none", "test", 2)
COUNT = len(MIRROR)


@pytest.fixture(scope="module")
def atlas():
    classes, grid = head(None)
    tissue = Tissues(MIRROR).of_class[classes]
    probabilities = torch.nn.functional.one_hot(tissue, len(SPEC.structures)).permute(3, 0, 1, 2)
    own = label_map_grid(grid)
    heads = AtlasLabelMaps(tuple(encode(head(seed, SPACING_MM / 2, own.shape)[0]) for seed in (1, 2)), own)
    return Atlas((probabilities + probabilities.flip(1)).float() / 2, grid, heads)


def test_two_voxels_of_a_label_map_fill_one_of_the_atlas_along_each_axis(atlas):
    own = atlas.label_maps.grid
    assert own.shape == tuple(2 * n for n in SHAPE)
    assert np.allclose(own.points_mm(np.full(3, 0.5)), atlas.grid.points_mm(np.zeros(3)))
    assert np.allclose(own.center_mm, atlas.grid.center_mm)


def test_packed_and_unpacked_the_label_maps_are_the_same(atlas):
    back = unpack(pack(atlas), SPEC, COUNT).label_maps
    assert back.grid.same_as(atlas.label_maps.grid)
    for number, seed in enumerate((1, 2)):
        torch.testing.assert_close(back.classes(number).long(), head(seed, SPACING_MM / 2, back.grid.shape)[0])


def test_packed_a_label_map_takes_little_room(atlas):
    assert pack(atlas)[CODES].numel() < 0.03 * 2 * np.prod(atlas.label_maps.grid.shape)


def test_an_atlas_without_label_maps_has_none(atlas):
    assert unpack(pack(replace(atlas, label_maps=None)), replace(SPEC, heads=0), COUNT).label_maps is None


def spoiled(tensors, code):
    return tensors | {CODES: torch.from_numpy(np.frombuffer(code, dtype=np.uint8).copy()),
                      SIZES: torch.tensor([len(code) // 2, len(code) - len(code) // 2])}


@pytest.mark.parametrize("spoil", [
    lambda t: {name: value for name, value in t.items() if name != SIZES},
    lambda t: t | {CODES: t[CODES][:-1]},
    lambda t: t | {SIZES: t[SIZES].flip(0) + torch.tensor([1, -1])},
    lambda t: spoiled(t, zlib.compress(bytes(100)) * 2),
    lambda t: spoiled(t, zlib.compress(bytes(10 ** 8)) * 2),
    lambda t: spoiled(t, zlib.compress(bytes([COUNT]) * int(np.prod(SHAPE) * 8)) * 2)],
    ids=["sizes missing", "cut off", "cut elsewhere", "too short", "too long", "unknown classes"])
def test_damaged_ones_are_refused_with_the_remedy(atlas, spoil):
    with pytest.raises(ModelError, match="Install the model again"):
        unpack(spoil(pack(atlas)), SPEC, COUNT)
