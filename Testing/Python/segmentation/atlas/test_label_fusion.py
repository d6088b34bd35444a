"""Multi-atlas label fusion: label maps registered to the volume know shapes that the average does not."""

import numpy as np
import pytest
import torch
from toy_heads import INTENSITIES, MIRROR, SPACING_MM, head, image_of, mean_dice, unsure

from meddl.core.errors import Cancelled
from meddl.segmentation.atlas.atlas_label_maps import AtlasLabelMaps, encode, label_map_grid
from meddl.segmentation.atlas.atlas_registration import RegisteredAtlas
from meddl.segmentation.atlas.label_fusion import intensities, nearest_class, select_label_maps
from meddl.segmentation.atlas.probabilistic_atlas import Atlas
from meddl.segmentation.atlas.tissues import Tissues
from meddl.segmentation.brain.refine import adapt_to_intensities
from meddl.spatial.grid import Grid

CLASSES = list(range(1, len(MIRROR)))
TISSUES = Tissues(MIRROR)
SEEDS = (11, 12, 13, 14)


def atlas_of(seeds):
    """An atlas of the plan that all heads are warped from, with some heads."""
    classes, grid = head(None)
    one_hot = torch.nn.functional.one_hot(TISSUES.of_class[classes], TISSUES.count)
    probabilities = one_hot.permute(3, 0, 1, 2).float()[None]
    smooth = torch.nn.functional.avg_pool3d(probabilities, 5, 1, 2, count_include_pad=False)[0]
    own = label_map_grid(grid)
    heads = AtlasLabelMaps(tuple(encode(head(seed, SPACING_MM / 2, own.shape)[0]) for seed in seeds), own)
    return Atlas((smooth + smooth.flip(1)) / 2, grid, heads)


@pytest.fixture(scope="module")
def atlas():
    return atlas_of(SEEDS)


def refined(classes, grid, atlas, heads, on_progress=None):
    return adapt_to_intensities(unsure(classes), image_of(classes, noise=0.1), grid, TISSUES, CLASSES, atlas, heads,
                                on_progress).scores.argmax(dim=0)


@pytest.mark.parametrize("seed", [1, 2])
def test_structures_get_better_with_label_fusion_than_without(atlas, seed):
    classes, grid = head(seed)
    alone, fused = (refined(classes, grid, atlas, heads) for heads in (0, 3))
    assert mean_dice(fused, classes) > mean_dice(alone, classes)
    assert mean_dice(fused, classes) > 0.85


def test_left_and_right_stay_apart(atlas):
    classes, grid = head(3)
    fused = refined(classes, grid, atlas, 2)
    for left in (3, 5, 7, 9):
        here, there = fused == left, classes == MIRROR[left]
        assert not (here & there).any()


def test_the_label_maps_most_like_the_volume_are_chosen(atlas):
    classes, grid = head(13)
    posterior = torch.nn.functional.one_hot(TISSUES.of_class[classes], TISSUES.count).permute(3, 0, 1, 2).float()
    sparse = Grid((24, 24, 24), grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0]))
    registered = RegisteredAtlas(posterior, torch.zeros(0), np.eye(4), torch.zeros((3, 24, 24, 24)), sparse)
    calls = []
    found = select_label_maps(atlas, registered, TISSUES, posterior, 2, lambda: calls.append(1))
    assert found[0] == SEEDS.index(13) and len(set(found)) == 2
    assert len(calls) == len(SEEDS)


def test_more_label_maps_than_there_are_are_all_of_them(atlas):
    classes, grid = head(1)
    assert torch.equal(refined(classes, grid, atlas, 4), refined(classes, grid, atlas, 40))


def test_intensities_are_the_tissues_own_and_of_one_not_seen_the_brains():
    classes, _ = head(None)
    classes[classes == 12] = 11
    probabilities = torch.nn.functional.one_hot(TISSUES.of_class[classes], TISSUES.count).permute(3, 0, 1, 2).float()
    found = intensities(probabilities, torch.tensor(INTENSITIES)[classes], torch.ones(classes.shape))
    known = torch.tensor([INTENSITIES[c] for c in TISSUES.classes])
    torch.testing.assert_close(found[:-1], known[:-1], rtol=2e-3, atol=0)
    assert known[1:].min() < found[-1] < known[1:].max()


def test_beyond_a_label_map_is_background():
    labels = torch.full((3, 4, 5), 7, dtype=torch.uint8)
    coordinates = torch.tensor([[-0.6, 0.4, 2.4, 2.6], [0.0, 3.4, 1.0, 1.0], [0.0, 4.4, 2.0, 2.0]])
    assert nearest_class(labels, coordinates).tolist() == [0, 7, 7, 0]


def test_cancel_passes_through_within_label_fusion(atlas):
    classes, grid = head(1)
    seen = []

    def cancel(fraction, message):
        seen.append(message)
        if "label maps" in message and len(seen) > 400:
            raise Cancelled

    with pytest.raises(Cancelled):
        refined(classes, grid, atlas, 3, cancel)
    assert len(set(seen)) == 2
