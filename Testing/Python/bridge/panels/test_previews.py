"""A picture of the result so far appears in a label and vanishes. The alignment's is in test_module_register."""

import numpy as np
import pytest

from meddl_slicer.panels.views.previews import PicturePreview


@pytest.fixture
def label(clean):
    import qt

    label = qt.QLabel()
    label.visible = False
    yield label
    label.delete()


def test_a_slice_is_drawn_with_its_rows_from_the_top_and_its_pixels_proportions(label):
    picture = np.zeros((20, 30))
    picture[:10] = 1000
    PicturePreview(label, 300).show({"image": picture, "spacing_mm": (2.0, 1.0)})
    drawn = label.pixmap
    drawn = (drawn() if callable(drawn) else drawn).toImage()
    assert (drawn.width(), drawn.height()) == (300, 400)
    assert drawn.pixelColor(150, 100).lightness() > 250 and drawn.pixelColor(150, 300).lightness() < 5
    assert not label.isHidden()


def test_a_constant_slice_and_one_with_nan_are_drawn_too(label):
    preview = PicturePreview(label)
    for image in (np.full((4, 4), 7.0), np.array([[np.nan, 1.0], [2.0, 3.0]])):
        preview.show({"image": image})
        drawn = label.pixmap() if callable(label.pixmap) else label.pixmap
        assert not drawn.isNull() and not label.isHidden()


def test_nothing_of_it_remains(label):
    preview = PicturePreview(label)
    preview.show({"image": np.eye(5)})
    preview.close()
    assert label.isHidden() and (label.pixmap() if callable(label.pixmap) else label.pixmap).isNull()
