"""Pictures: comparisons, outlines, letters, captions and legends, PNG files, and `meddl.view`."""

import struct

import numpy as np
import pytest
import SimpleITK as sitk

import meddl
from meddl.core.errors import InputError
from meddl.pictures import lettering, slices
from meddl.pictures.sheet import Sheet, legend_of
from meddl.results import Segment, Segmentation, SuperResolution
from meddl.spatial.volume import Volume


def ball(radius=9.0, shape=(32, 32, 32), value=200.0) -> Volume:
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) - 15.5
    return Volume.scalar((value * (np.linalg.norm(places, axis=-1) < radius)).astype(np.float32), np.eye(4))


def labels_of(volume: Volume) -> Segmentation:
    return Segmentation((volume.scalar_data > 100).astype(np.uint8) * 3, volume.affine,
                        (Segment(3, "ball", (1.0, 0.0, 0.0)), Segment(4, "absent", (0.0, 1.0, 0.0))))


def test_an_outline_is_thin_and_lies_on_the_border():
    picture = slices.outline_slices(ball(), labels_of(ball()), views=("axial",), size=320).astype(int)
    red = (picture[..., 0] > 200) & (picture[..., 1] < 50)
    rows, columns = np.nonzero(red)
    distance = np.hypot(rows - 159.5, columns - 159.5) / 10
    assert 0 < red.mean() < 0.02 and abs(distance - 9).max() < 1.3
    assert picture[160, 160].tolist() == [255, 255, 255]


def test_a_difference_is_gray_where_volumes_agree_and_says_which_is_brighter():
    brighter = Volume.scalar(ball().scalar_data * 0 + 200 * (ball(5).scalar_data > 0), np.eye(4))
    same = slices.comparison_slices(ball(), ball(), "difference", views=("axial",), size=64)
    assert len(np.unique(same)) == 1
    shown = slices.comparison_slices(ball(), brighter, "difference", views=("axial",), size=64).astype(int)
    assert shown[32, 46].tolist() == list(slices.RED) and shown[32, 32, 0] == shown[32, 32, 2]
    turned = slices.comparison_slices(brighter, ball(), "difference", views=("axial",), size=64).astype(int)
    assert turned[32, 46].tolist() == list(slices.BLUE)


def test_a_checkerboard_shows_both_in_turn():
    bright, dark = (Volume.scalar(np.full((16, 16, 16), value, np.float32), np.eye(4)) for value in (9.0, 1.0))
    bright.data[..., :4] = dark.data[..., :4] = 0
    shown = slices.comparison_slices(bright, dark, "checkerboard", views=("axial",), size=64, same_scale=True)[..., 0]
    assert shown[4, 4] > 200 > 60 > shown[4, 12] and shown[12, 12] > 200
    with pytest.raises(InputError, match="overlay, checkerboard, difference"):
        slices.comparison_slices(bright, dark, "blend")


def test_text_is_drawn_letter_by_letter():
    text = lettering.draw_text("Ag 1\N{DEGREE SIGN}")
    assert text.shape == (lettering.HEIGHT, 5 * lettering.WIDTH, 3)
    letters = np.split(text[..., 0] > 100, 5, axis=1)
    assert not letters[2].any() and all(letters[n].any() for n in (0, 1, 3, 4))
    assert np.array_equal(letters[0], lettering.draw_text("A")[..., 0] > 100)
    assert not letters[0][-3:].any() and letters[1][-3:].any()  # a g goes below the line
    assert np.array_equal(lettering.draw_text("\u0101"), lettering.draw_text("a"))
    assert np.array_equal(lettering.draw_text("\u6f22"), lettering.draw_text("?"))


def test_captions_wrap_and_legends_show_every_name():
    picture = np.zeros((20, 200, 3), np.uint8)
    one, two = lettering.caption(picture, "short"), lettering.caption(picture, "a longer text of several words here")
    assert one.shape[1] == two.shape[1] == 200 and one.shape[0] < two.shape[0]
    key = lettering.legend([(f"name {n}", (250, n, 0)) for n in range(5)], 200)
    for n in range(5):
        assert (key == (250, n, 0)).all(axis=-1).sum() > 50


def test_a_png_file_holds_the_picture(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (13, 17, 3)).astype(np.uint8)
    content = slices.png_bytes(picture)
    assert struct.unpack(">II", content[16:24]) == (17, 13)
    slices.write(picture, tmp_path / "a.png")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.png"))), picture)


def test_view_makes_a_sheet_that_a_notebook_shows(tmp_path):
    sheet = meddl.view(ball(), labels_of(ball()), size=96, title="A ball")
    assert isinstance(sheet, Sheet) and sheet._repr_png_().startswith(b"\x89PNG")
    assert repr(sheet) == f"Sheet({sheet.pixels.shape[1]} x {sheet.pixels.shape[0]} pixels)"
    assert (sheet.pixels == (255, 0, 0)).all(axis=-1).any()  # the legend's swatch
    assert legend_of(labels_of(ball())) == [("ball", (255, 0, 0))]
    sheet.save(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes() == sheet.png
    with pytest.raises(InputError, match=r"\.png"):
        sheet.save(tmp_path / "sheet.jpg")


def test_view_takes_paths_volumes_and_results(tmp_path):
    meddl.save(ball(), tmp_path / "ball.nii.gz")
    alone = meddl.view(str(tmp_path / "ball.nii.gz"), size=64)
    assert np.array_equal(alone.pixels, meddl.view(ball(), size=64).pixels)
    two = meddl.view(ball(), tmp_path / "ball.nii.gz", size=64)
    sharp = meddl.view(ball(), SuperResolution(ball(7)), size=64)
    one_view = meddl.view(ball(), views=("coronal",), size=64, point_mm=(3, 4, 5))
    assert alone.pixels.shape[0] < two.pixels.shape[0] and sharp.pixels.shape[0] > alone.pixels.shape[0]
    assert one_view.pixels.shape[1] == 64
    for wrong in ({"volume": 3}, {"volume": ball(), "other": 3}, {"volume": ball(), "views": ("oblique",)}):
        with pytest.raises(InputError):
            meddl.view(**wrong)
