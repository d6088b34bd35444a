"""The atlas finds its place on a head and gives structures their shapes."""

import numpy as np
import pytest
import torch
from toy_heads import MIRROR, head, image_of, mean_dice, unsure

from meddl.core.errors import Cancelled
from meddl.segmentation.atlas.atlas_registration import affine_to_atlas, centers_mm, fit_affine
from meddl.segmentation.atlas.probabilistic_atlas import Atlas
from meddl.segmentation.atlas.tissues import Tissues
from meddl.segmentation.brain.refine import adapt_to_intensities
from meddl.spatial.grid import grid_around

CLASSES = list(range(1, len(MIRROR)))
TISSUES = Tissues(MIRROR)


@pytest.fixture(scope="module")
def atlas():
    classes, grid = head(None)
    one_hot = torch.nn.functional.one_hot(TISSUES.of_class[classes], TISSUES.count)
    probabilities = one_hot.permute(3, 0, 1, 2).float()[None]
    smooth = torch.nn.functional.avg_pool3d(probabilities, 3, 1, 1, count_include_pad=False)[0]
    return Atlas((smooth + smooth.flip(1)) / 2, grid)


def test_an_affine_is_recovered_from_points():
    points = np.random.default_rng(0).normal(size=(12, 3)) * 30
    truth = np.eye(4)
    truth[:3] += np.random.default_rng(1).normal(size=(3, 4)) * 0.1
    found = fit_affine(points, points @ truth[:3, :3].T + truth[:3, 3], np.ones(12))
    assert np.allclose(found, truth)


def test_centers_and_sizes_are_in_mm_and_ml():
    grid = grid_around(np.array([5.0, 0.0, -3.0]), (20, 20, 20), np.eye(3) * 2.0)
    probabilities = torch.zeros((1, 20, 20, 20))
    probabilities[0, 4:8, 10:12, 5:6] = 1.0
    centers, sizes = centers_mm(probabilities, grid)
    assert np.allclose(centers[0], grid.points_mm([5.5, 10.5, 5]))
    assert np.allclose(sizes, 8 * 0.008)


@pytest.mark.parametrize("seed", [1, 2])
def test_structures_get_better_with_the_atlas_than_without(atlas, seed):
    classes, grid = head(seed)
    scores, image = unsure(classes), image_of(classes, noise=0.1)
    alone = adapt_to_intensities(scores, image, grid, TISSUES, CLASSES).scores.argmax(dim=0)
    with_atlas = adapt_to_intensities(scores, image, grid, TISSUES, CLASSES, atlas).scores.argmax(dim=0)
    assert mean_dice(with_atlas, classes) > mean_dice(alone, classes) + 0.02
    assert mean_dice(with_atlas, classes) > 0.8


def test_what_the_image_shows_clearly_is_not_erased(atlas):
    classes, grid = head(None)
    classes[15:21, 31:40, 26:33] = 11  # a large dark space where the atlas knows of none, seen by the network too
    found = adapt_to_intensities(unsure(classes), image_of(classes), grid, TISSUES, CLASSES,
                                 atlas).scores.argmax(dim=0)
    assert (found[16:20, 32:39, 27:32] == 11).float().mean() > 0.8


def test_in_an_output_unlike_a_head_no_atlas_is_registered(atlas):
    nothing = torch.zeros((len(MIRROR), *atlas.grid.shape))
    nothing[0] = 1
    assert affine_to_atlas(nothing, atlas.grid, atlas, TISSUES, CLASSES) is None
    mirrored = atlas.by_class(TISSUES).flip(1)  # left where right should be
    assert affine_to_atlas(mirrored, atlas.grid, atlas, TISSUES, CLASSES) is None


def test_cancel_passes_through(atlas):
    classes, grid = head(None)
    calls = []

    def cancel(fraction, message):
        calls.append(fraction)
        if len(calls) > 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        adapt_to_intensities(unsure(classes), image_of(classes), grid, TISSUES, CLASSES, atlas, on_progress=cancel)
    assert calls == sorted(calls)
