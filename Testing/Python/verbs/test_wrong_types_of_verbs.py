"""A verb that gets something else than it takes says what it takes; a path stands for what lies there."""

import numpy as np
import pytest
from shell import blobs

import meddl
from meddl.core.errors import GeometryError, InputError, MedDLError
from meddl.painting.config import PaintConfig
from meddl.preparation.steps import Normalize
from meddl.spatial.volume import Volume

HEAD = blobs(shape=(20, 18, 16))
LABELS = np.zeros(HEAD.shape, np.uint8)
LABELS[6:12, 6:12, ::4] = 1
PAINTED = meddl.Segmentation(LABELS, HEAD.affine, (meddl.Segment(1, "A", (1, 0, 0)),))
STILL = meddl.Registration(np.eye(4), None, HEAD.grid)
TWICE = meddl.UncertaintyConfig(runs=2)
STEPS = PaintConfig(steps=2)
PATHS = {  # what takes paths
    "deidentify": lambda wrong: meddl.deidentify(wrong, "never.nii.gz"),
    "deidentify to": lambda wrong: meddl.deidentify("never.nii.gz", wrong),
    "train": lambda wrong: meddl.train(wrong, wrong, out="never", name="a"),
    "train a classifier": lambda wrong: meddl.train_classifier(wrong, out="never", name="a"),
    "train landmarks": lambda wrong: meddl.train_landmarks(wrong, wrong, out="never", name="a"),
    "train super-resolution": lambda wrong: meddl.train_superres(wrong, out="never"),
    "segment many": lambda wrong: meddl.segment_many([wrong], "never"),
}
VALUES = {
    "series": lambda wrong: meddl.denoise_series(wrong, device="cpu"),
    "frames": lambda wrong: list(meddl.denoise_frames(wrong, device="cpu")),
    "a frame": lambda wrong: list(meddl.denoise_frames([wrong], device="cpu")),
    "series to smooth": lambda wrong: meddl.smooth_labels(wrong, [PAINTED], device="cpu"),
    "labels to smooth": lambda wrong: meddl.smooth_labels(HEAD, wrong, device="cpu"),
    "a segmentation to smooth": lambda wrong: meddl.smooth_labels(HEAD, [wrong], device="cpu"),
    "paint on": lambda wrong: meddl.segment_from_paint(wrong, PAINTED, STEPS),
    "painted": lambda wrong: meddl.segment_from_paint(HEAD, wrong, STEPS),
    "paint config": lambda wrong: meddl.segment_from_paint(HEAD, PAINTED, wrong or 1),
    "match": lambda wrong: meddl.match_intensities(wrong, HEAD),
    "match to": lambda wrong: meddl.match_intensities(HEAD, wrong),
    "match mask": lambda wrong: meddl.match_intensities(HEAD, HEAD, wrong or 1),
    "compare mask": lambda wrong: meddl.compare(HEAD, HEAD, mask=wrong or 1),
    "change labels": lambda wrong: meddl.change(HEAD, HEAD, registration=STILL, segmentations=wrong or 1, device="cpu"),
    "change config": lambda wrong: meddl.change(HEAD, HEAD, wrong or 1, registration=STILL, device="cpu"),
    "uncertainty": lambda wrong: meddl.register_with_uncertainty(HEAD, wrong, uncertainty=TWICE, device="cpu"),
    "uncertainty config": lambda wrong: meddl.segment_with_uncertainty(HEAD, uncertainty=wrong or 1, device="cpu"),
    "uncertain super-resolution": lambda wrong: meddl.super_resolve_with_uncertainty(wrong, device="cpu"),
    "explain": lambda wrong: meddl.explain(wrong, "brain", "Brain stem", device="cpu"),
    "explain config": lambda wrong: meddl.explain(HEAD, "brain", "Brain stem", wrong or 1, device="cpu"),
    "prepare": lambda wrong: meddl.prepare(wrong, [Normalize()]),
    "steps": lambda wrong: meddl.prepare(HEAD, wrong),
    "a step": lambda wrong: meddl.prepare(HEAD, [wrong]),
}


@pytest.mark.parametrize("wrong", [None, 3], ids=str)
@pytest.mark.parametrize("verb", [*PATHS, *VALUES])
def test_what_a_verb_does_not_take_is_told(verb, wrong):
    if verb == "train super-resolution" and wrong is None:
        pytest.skip("None is: no volumes.")
    with pytest.raises(MedDLError, match="expected|got |is a |takes|no frames|segmentations"):
        {**PATHS, **VALUES}[verb](wrong)


@pytest.mark.parametrize("verb", PATHS)
def test_a_volume_is_no_path(verb):
    with pytest.raises(InputError, match="expected; got Volume"):
        PATHS[verb](HEAD)


def test_paths_stand_for_volumes_and_segmentations(tmp_path):
    head, painted = tmp_path / "голова.nii.gz", str(tmp_path / "標識.seg.nrrd")
    meddl.save(HEAD, head)
    meddl.save_segmentation(PAINTED, painted)
    found = meddl.segment_from_paint(head, painted, STEPS)
    np.testing.assert_array_equal(found.labels, meddl.segment_from_paint(HEAD, PAINTED, STEPS).labels)
    assert [segment.name for segment in found.segments] == ["A"]
    assert len(list(meddl.denoise_frames(head, device="cpu"))) == 1
    (smooth,) = meddl.smooth_labels(str(head), [painted], device="cpu")
    np.testing.assert_array_equal(smooth.labels, LABELS)
    changed = meddl.change(head, HEAD, registration=STILL, segmentations=(painted, PAINTED), device="cpu")
    assert changed.structures[0]["structure"] == "A"
    assert meddl.prepare(str(head), [Normalize()]).volume.grid.same_as(HEAD.grid)


def test_labels_of_another_grid_of_the_same_size_are_not_smoothed():
    away = HEAD.affine.copy()
    away[0, 3] += 7
    with pytest.raises(GeometryError, match="segmentation of frame 0 lies on another grid"):
        meddl.smooth_labels(Volume(HEAD.data, HEAD.affine), [meddl.Segmentation(LABELS, away, PAINTED.segments)],
                            device="cpu")
