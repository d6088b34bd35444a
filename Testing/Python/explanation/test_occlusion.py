"""Occlusion finds what a score depends on, coarse to fine, within the runs that it may take."""

import numpy as np
import pytest

from meddl.core.errors import Cancelled, InputError
from meddl.explanation.occlusion import coarse_counts, occlude
from meddl.spatial.volume import Volume

SHAPE = (48, 40, 36)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
WHOLE = tuple(slice(0, n) for n in SHAPE)
PLACE = (slice(33, 38), slice(6, 11), slice(20, 25))  # all that matters


def volume() -> Volume:
    data = np.random.default_rng(0).integers(0, 50, (1, *SHAPE)).astype(np.int16)
    data[(0, *PLACE)] = np.random.default_rng(1).integers(100, 1000, (5, 5, 5))
    return Volume(data, AFFINE)


class Score:
    """The fraction of the voxels that matter which are as they were."""

    def __init__(self, given: Volume):
        self.given, self.count = np.array(given.data), 0

    def __call__(self, hidden: Volume, _on_progress) -> float:
        self.count += 1
        return float((hidden.data == self.given)[(0, *PLACE)].mean())


def test_the_one_region_that_matters_is_pointed_at_and_more_runs_enclose_it_closer():
    given, sizes = volume(), []
    for runs in (29, 60, 100):
        score = Score(given)
        found = occlude(given, score, WHOLE, runs, 4.0)
        assert found.runs == score.count <= runs and found.complete
        strongest = np.argwhere(found.drops == found.drops.max())
        assert (np.abs(strongest.mean(axis=0) - [35, 8, 22]) < 9).all()
        assert (found.drops[PLACE] > 0).all()
        sizes.append((found.drops > 0).sum())
    assert 0.2 * np.prod(SHAPE) > sizes[0] > sizes[1] > sizes[2] >= 125
    assert sizes[0] > 3 * sizes[2]


def test_the_volume_itself_is_as_it_was_and_what_is_hidden_has_its_mean():
    given = volume()
    before, seen = np.array(given.data), []

    def score(hidden: Volume, _on_progress) -> float:
        changed = hidden.data[0] != before[0]
        seen.append(np.unique(hidden.data[0][changed]))
        return 1.0

    found = occlude(given, score, WHOLE, 8, 4.0)
    assert (given.data == before).all() and not found.drops.any() and found.runs == 8
    assert all(len(values) == 1 and 0 < values[0] < 500 for values in seen)


@pytest.mark.parametrize(("shape", "spacing", "counts"), [
    ((48, 48, 48), (1, 1, 1), (3, 3, 3)), ((60, 60, 5), (1, 1, 4), (4, 4, 1)), ((1, 9, 9), (1, 1, 1), (1, 5, 5)),
    ((2, 1, 1), (1, 1, 1), (2, 1, 1)), ((300, 10, 10), (1, 1, 1), (27, 1, 1))])
def test_parts_of_the_coarse_grid_are_about_as_long_along_each_axis(shape, spacing, counts):
    given = Volume(np.zeros((1, *shape), dtype=np.float32), np.diag([*spacing, 1.0]))
    assert coarse_counts(given, tuple(slice(0, n) for n in shape), 27) == counts


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_scores_of_parts_of_one_size_are_those_of_monai():
    import torch
    from monai.visualize import OcclusionSensitivity

    parts = np.random.default_rng(0).normal(size=(3, 4, 3, 4, 3, 4))
    parts -= parts.mean(axis=(1, 3, 5), keepdims=True)  # so that the mean of a part is that of the image
    data = parts.reshape(1, 12, 12, 12).astype(np.float32)
    weights = torch.from_numpy(np.random.default_rng(1).random((12, 12, 12), dtype=np.float32))

    class Classifier(torch.nn.Module):
        def forward(self, image):
            return (torch.sigmoid(image) * weights).flatten(1).sum(dim=1, keepdim=True) / weights.sum()

    network = Classifier()
    occlusion = OcclusionSensitivity(network, mask_size=4, n_batch=1, verbose=False, mode="mean_img", overlap=0.0,
                                     activate=False)
    try:
        expected = np.asarray(occlusion(torch.from_numpy(data)[None])[0])[0, 0]
    except (IndexError, TypeError) as error:
        pytest.skip(f"MONAI's own occlusion does not run with this version of torch: {error}")
    found = occlude(Volume(data, np.eye(4)), lambda hidden, _: float(network(torch.from_numpy(hidden.data)[None])),
                    (slice(0, 12),) * 3, 27, 8.0)
    np.testing.assert_allclose(1 - found.drops, expected, atol=1e-5)


def test_the_refinement_ends_when_asked_to_and_keeps_the_coarse_grid():
    given = volume()
    whole = occlude(given, Score(given), WHOLE, 27, 4.0)

    class Progress:
        stop = False

        def __call__(self, fraction, message):
            assert 0 <= fraction <= 1 and "of 60" in message

        def should_stop(self):
            return True

    found = occlude(given, Score(given), WHOLE, 60, 4.0, Progress())
    assert not found.complete and found.runs == 27
    np.testing.assert_array_equal(found.drops, whole.drops)


def test_a_cancelled_occlusion_passes_the_error_on():
    def score(_hidden, _on_progress):
        raise Cancelled

    with pytest.raises(Cancelled):
        occlude(volume(), score, WHOLE, 27, 4.0)


def test_too_few_runs_are_refused():
    with pytest.raises(InputError, match="at least 2"):
        occlude(volume(), lambda *_: 1.0, WHOLE, 1, 4.0)
