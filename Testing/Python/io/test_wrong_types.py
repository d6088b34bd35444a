"""What is no volume, segmentation, path or identifier is refused with what to give instead."""

import numpy as np
import pytest

import meddl
from meddl.core.errors import InputError

AFFINE = np.eye(4)
VOLUME = meddl.Volume.scalar(np.zeros((4, 5, 6), np.uint8), AFFINE)
LABELS = meddl.Segmentation(np.zeros((4, 5, 6), np.uint8), AFFINE, ())


@pytest.mark.parametrize(("call", "said"), [
    (lambda path: meddl.load(3), "path of a file is expected; got int"),
    (lambda path: meddl.save(np.zeros((4, 5, 6)), path), "Make one of an array"),
    (lambda path: meddl.save(meddl.SuperResolution(VOLUME, {}), path), "got SuperResolution. Give its `volume`."),
    (lambda path: meddl.save(LABELS, path), "`volume` is a meddl.Volume; got Segmentation."),
    (lambda path: meddl.save_segmentation(VOLUME, path), "`segmentation` is a meddl.Segmentation; got Volume."),
    (lambda path: meddl.segment(VOLUME, meddl.SegmentConfig()), "given as config="),
    (lambda path: meddl.view(LABELS), "shown on its volume"),
    (lambda path: meddl.view(VOLUME, 3), "`other` is a meddl.Volume or the path of a file; got int.")])
def test_a_wrong_type_is_told(call, said, tmp_path):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        call(tmp_path / "a.nii.gz")
    assert not list(tmp_path.iterdir())
