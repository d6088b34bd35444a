"""Left and right of a structure are one tissue."""

import torch

from meddl.segmentation.atlas.tissues import Tissues

MIRROR = (0, 3, 2, 1, 5, 4)  # background, left, middle, right, and another pair


def test_pairs_share_a_tissue_and_the_middle_is_its_own():
    tissues = Tissues(MIRROR)
    assert tissues.of_class.tolist() == [0, 1, 2, 1, 3, 3]
    assert tissues.classes == (0, 1, 2, 4)
    assert tissues.lateral.tolist() == [1, 3]


def test_merging_loses_nothing():
    probabilities = torch.rand(6, 4, 5).softmax(dim=0)
    merged = Tissues(MIRROR).merge(probabilities)
    torch.testing.assert_close(merged.sum(dim=0), torch.ones(4, 5))
    torch.testing.assert_close(merged[1], probabilities[1] + probabilities[3])


def test_the_lower_class_of_a_pair_is_the_left_one():
    probabilities = torch.tensor([0.0, 0.5, 0.1, 0.2, 0.2, 0.0])
    assert abs(float(Tissues(MIRROR).left_minus_right(probabilities[:, None])) - 0.5) < 1e-6
