"""Volumes as values: their line of text, difference and absolute value."""

import numpy as np
import pytest

import meddl
from meddl.core.errors import GeometryError, InputError
from meddl.results import Registration, Segment, Segmentation, SuperResolution
from meddl.spatial.volume import Volume

AFFINE = np.diag([-1.0, -1.0, 2.5, 1.0])


def volume(value, dtype=np.uint8, channels=1, affine=AFFINE) -> Volume:
    return Volume(np.full((channels, 4, 5, 6), value, dtype), affine)


def test_a_result_is_shown_in_one_line():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1], labels[2] = 2, 5
    found = Segmentation(labels, AFFINE, (Segment(2, "liver", (1, 0, 0)), Segment(4, "spleen", (0, 1, 0))))
    shift = np.eye(4)
    shift[0, 3] = 4
    bent = Registration(np.eye(4), Volume(np.ones((3, 4, 5, 6), np.float32), AFFINE), volume(0).grid,
                        {"transform": "deformable"})
    assert repr(volume(0)) == "Volume(4 x 5 x 6 voxels of 1 x 1 x 2.5 mm, LPS, uint8)"
    assert repr(volume(0, np.float32, 2)) == "Volume(2 channels, 4 x 5 x 6 voxels of 1 x 1 x 2.5 mm, LPS, float32)"
    assert repr(volume(0).grid) == "Grid(4 x 5 x 6 voxels of 1 x 1 x 2.5 mm, LPS)"
    assert repr(found) == "Segmentation(2 structures (liver, 5), 4 x 5 x 6 voxels of 1 x 1 x 2.5 mm, LPS)"
    assert repr(Registration(shift, None, None)) == "Registration(linear, moves the origin by 4 mm)"
    assert repr(bent).startswith("Registration(deformable, displacement of 4 x 5 x 6 voxels")
    assert repr(bent).endswith("moves the center by 1.73 mm)")
    sharp = SuperResolution(volume(0), {"method": "cubic", "spacing_mm": {"before": [1, 1, 5]}})
    assert repr(sharp) == "SuperResolution(cubic, from 1 x 1 x 5 mm, 4 x 5 x 6 voxels of 1 x 1 x 2.5 mm, LPS, uint8)"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, bool])
def test_a_difference_is_signed_in_every_type(dtype):
    low, high = (0, 1) if dtype is bool else (3, 120)
    difference = volume(low, dtype) - volume(high, dtype)
    assert (difference.data == low - high).all() and (abs(difference).data == high - low).all()
    assert np.array_equal(difference.affine, AFFINE)


def test_extreme_values_do_not_wrap_round():
    assert (volume(0) - volume(255)).data.min() == -255
    assert (volume(-32768, np.int16) - volume(32767, np.int16)).data.min() == -65535
    assert abs(volume(-32768, np.int16)).data.max() == 32768
    assert (volume(200) - 201).data.max() == -1
    assert (volume(1, np.float32) - 0.5).data.dtype == np.float32


def test_volumes_of_other_grids_and_channels_are_refused():
    with pytest.raises(GeometryError, match="Resample one"):
        volume(0) - volume(0, affine=np.eye(4))
    with pytest.raises(InputError, match="as many channels"):
        volume(0) - volume(0, channels=2)
    with pytest.raises(TypeError):
        volume(0) - "a"


def test_a_path_stands_for_a_volume_in_every_verb(tmp_path):
    from shell import blobs

    meddl.save(blobs(), tmp_path / "fixed.nii.gz")
    meddl.save(blobs((3, 0, 0)), tmp_path / "moving.nii.gz")
    fixed, moving = str(tmp_path / "fixed.nii.gz"), tmp_path / "moving.nii.gz"
    quick = meddl.RegisterConfig(levels_mm=(8.0,), transform_type="translation")
    found = meddl.register(fixed, moving, quick, fixed_mask=fixed, device="cpu")
    same = meddl.register(meddl.load(fixed), meddl.load(moving), quick, fixed_mask=meddl.load(fixed), device="cpu")
    np.testing.assert_array_equal(found.affine, same.affine)
    assert found.warp(moving).grid.same_as(meddl.load(fixed).grid)
    found.save(tmp_path / "start.tfm")
    assert meddl.register(fixed, moving, quick, initial=tmp_path / "start.tfm",
                          device="cpu").report["start"] == "the initial transform"
    cubic = meddl.SuperResolveConfig(method="cubic", target_spacing_mm=2.0)
    assert meddl.super_resolve(fixed, cubic, reference=fixed, device="cpu").report["psnr_db"] > 10
    assert meddl.compare(fixed, str(moving)).report["voxels"] > 0
    series = meddl.register_series([fixed, moving], quick, device="cpu")
    assert len(series.frames) == 2
    assert len(meddl.build_template([fixed, moving], quick, rounds=1, device="cpu").maps) == 2


@pytest.mark.parametrize(("wrong", "said"), [(np.zeros((4, 4, 4)), "meddl.Volume.scalar"), (None, "got NoneType"),
                                             ("absent.nii.gz", "does not exist")])
def test_what_is_no_volume_is_refused_by_name(wrong, said):
    for verb, name in ((meddl.segment, "volume"), (meddl.super_resolve, "volume"),
                       (lambda one, **more: meddl.register(one, one, **more), "fixed")):
        with pytest.raises(InputError, match=said) as error:
            verb(wrong, device="cpu")
        assert f"`{name}`" in str(error.value) or "exist" in said


def test_a_preset_is_named_in_any_case():
    from shell import blobs

    found = meddl.register(blobs(), blobs((3, 0, 0)), preset="AFFINE", device="cpu")
    assert found.report["transform"] == "affine"
