"""Labels from coarse scores: the cheap way gives what full interpolation gives."""

import numpy as np
import pytest
import torch
from rotations import rotation
from scipy.ndimage import map_coordinates

from meddl.segmentation.atlas.likelihood import IntensityModel
from meddl.segmentation.atlas.mixture import BINS
from meddl.segmentation.brain.exact_labels import labels_on_grid
from meddl.spatial.grid import Grid, centered_grid, grid_around


def blobs(classes, shape, seed=0, smooth=2):
    rng = torch.Generator().manual_seed(seed)
    scores = torch.randn((1, classes, *shape), generator=rng)
    for _ in range(smooth):
        scores = torch.nn.functional.avg_pool3d(scores, 5, stride=1, padding=2)
    return (scores[0] * 20).log_softmax(dim=0)




def full_interpolation(scores, source, target):
    """Every class at every voxel by SciPy, float64; 0 beyond half a voxel outside."""
    indices = np.stack(np.meshgrid(*[np.arange(n) for n in target.shape], indexing="ij"), -1)
    places = source.indices(target.points_mm(indices))
    size = np.array(source.shape)
    inside = ((places >= -0.5) & (places <= size - 0.5)).all(-1)
    clamped = np.moveaxis(np.clip(places, 0, size - 1), -1, 0)
    values = np.stack([map_coordinates(s.numpy().astype(np.float64), clamped, order=1) for s in scores])
    return values, np.where(inside, values.argmax(0), 0)


SOURCE = grid_around(np.array([3.0, -5.0, 8.0]), (18, 22, 20), np.eye(3) * 2)
TARGETS = {
    "label_map_grid, aligned": centered_grid(SOURCE, 0.9),
    "thick slices": centered_grid(SOURCE, (0.7, 0.7, 5.0)),
    "larger than the source": grid_around(np.array([0.0, 0.0, 0.0]), (70, 60, 64), np.eye(3) * 1.1),
    "only a part of the source": grid_around(np.array([10.0, 5.0, 8.0]), (14, 12, 9), np.eye(3) * 1.3),
    "oblique": grid_around(np.array([3.0, -4.0, 8.0]), (40, 44, 38), rotation(25, 2) @ rotation(10, 0)),
    "left-handed": Grid((30, 40, 36), np.diag([-1.2, 1.2, 1.2, 1.0]) + np.array(
        [[0, 0, 0, 20], [0, 0, 0, -28], [0, 0, 0, -12], [0, 0, 0, 0.0]])),
}


@pytest.mark.parametrize("name", TARGETS)
def test_it_equals_full_interpolation_wherever_that_is_not_a_tie(name):
    scores = blobs(7, SOURCE.shape)
    found = labels_on_grid(scores, SOURCE, TARGETS[name]).numpy()
    values, expected = full_interpolation(scores, SOURCE, TARGETS[name])
    ordered = np.sort(values, axis=0)
    tie = ordered[-1] - ordered[-2] < 1e-4
    assert tie.mean() < 0.01
    assert (found == expected)[~tie].all()
    assert len(np.unique(found)) >= 6


def test_a_class_that_is_best_at_no_corner_still_wins_between_them():
    scores = torch.full((3, 2, 2, 2), -10.0)
    scores[0, 0], scores[1, 1], scores[2] = 1.0, 1.0, 0.5
    source = Grid((2, 2, 2), np.eye(4))
    target = Grid((3, 2, 2), np.diag([0.5, 1, 1, 1.0]))
    assert labels_on_grid(scores, source, target)[:, 0, 0].tolist() == [0, 2, 1]


def test_a_target_elsewhere_is_background():
    far = grid_around(np.array([900.0, 0, 0]), (5, 5, 5), np.eye(3))
    assert not labels_on_grid(blobs(4, SOURCE.shape), SOURCE, far).any()


def two_classes_at(edge, source):
    """A vague prior of two classes along i, whose edge lies somewhere about the middle."""
    along = torch.linspace(-1, 1, source.shape[0])[:, None, None].expand(source.shape)
    prior = torch.stack([-along, along]).log_softmax(dim=0)
    fine = centered_grid(source, 0.5)
    places = torch.from_numpy(fine.points_mm(np.arange(fine.shape[0])[:, None] * np.eye(3)[0])[:, 0])
    image = torch.where(places[:, None, None] < edge, 20.0, 70.0).expand(fine.shape).float().contiguous()
    return prior, fine, image


def evidence_for(prior, image, strength=1.0):
    half = torch.arange(BINS) < BINS // 2
    likelihood = strength * torch.stack([half, ~half]).float().add(1e-3).log()
    return IntensityModel(prior, torch.full(prior.shape[1:], 2.0), likelihood, image, 10.0, 100.0)


@pytest.mark.parametrize("edge", [2.5, 3.6])
def test_an_edge_lies_where_the_fine_image_has_it(edge):
    prior, fine, image = two_classes_at(edge, SOURCE)
    evidence = evidence_for(prior, image)
    scores = prior.clone()
    found = labels_on_grid(scores, SOURCE, fine, evidence)
    middle = slice(fine.shape[0] // 2 - 2, fine.shape[0] // 2 + 2)  # the cell in which the prior changes its mind
    assert torch.equal(found[middle].bool(), (image > 50)[middle])
    assert not torch.equal(labels_on_grid(scores, SOURCE, fine)[middle].bool(), (image > 50)[middle])


def test_evidence_that_says_nothing_changes_nothing():
    scores = blobs(2, SOURCE.shape)
    fine = centered_grid(SOURCE, 0.9)
    image = torch.rand(fine.shape, generator=torch.Generator().manual_seed(0)) * 100
    assert torch.equal(labels_on_grid(scores, SOURCE, fine, evidence_for(scores, image, 0.0)),
                       labels_on_grid(scores, SOURCE, fine))
