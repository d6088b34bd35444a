"""Labels keep their shares when their grid changes, as interpolating each of them says."""

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from meddl.segmentation.imported.resize import resize_labels


@pytest.mark.parametrize("shape", [(11, 20, 9), (5, 7, 24), (8, 10, 12)])
def test_the_label_with_the_largest_share_wins(shape):
    random = np.random.default_rng(0)
    labels = np.kron(random.integers(-1, 4, (4, 5, 6)), np.ones((2, 2, 2), int)).astype(np.int32)
    found = resize_labels(torch.from_numpy(labels), shape)
    factors = np.divide(shape, labels.shape)
    shares = np.stack([zoom((labels == value).astype(float), factors, order=1, mode="nearest", grid_mode=True)
                       for value in range(-1, 4)])
    best = shares.max(axis=0)
    sure = (shares == best).sum(axis=0) == 1
    assert (found.numpy() == shares.argmax(axis=0) - 1)[sure].all()
    nearest = zoom(labels.astype(float), factors, order=0, mode="nearest", grid_mode=True)
    among = np.take_along_axis(shares, (nearest.astype(int) + 1)[None], axis=0)[0] == best
    assert (found.numpy() == nearest)[~sure & among].all()


def test_thick_slices_are_not_mixed():
    labels = torch.from_numpy(np.random.default_rng(1).integers(0, 3, (6, 8, 3)).astype(np.int32))
    found = resize_labels(labels, (9, 4, 6), nearest_axis=2)
    assert torch.equal(found[..., 0::2], found[..., 1::2])
    assert torch.equal(found[..., 0::2], resize_labels(labels, (9, 4, 3)))
