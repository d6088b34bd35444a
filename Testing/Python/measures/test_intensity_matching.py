"""Intensities of one volume in those of another: known curves and bias fields, and tissue that has changed."""

import numpy as np
import pytest
import SimpleITK as sitk
from two_dates import GRIDS, date, points_of

import meddl
from meddl.core.errors import InputError
from meddl.measures.intensity_matching import fit_intensities
from meddl.spatial.volume import Volume

GRID = GRIDS["upright"]
PHANTOM = date(GRID)
OBJECT = PHANTOM.scalar_data > 150
CURVES = {"gain": lambda v: 0.6 * v + 40, "gamma": lambda v: 300 * np.clip(v / 1000, 0, None) ** 1.4 + 20,
          "unit": lambda v: v * 1e-3}


def noisy(data, sd, seed):
    return data + sd * np.random.default_rng(seed).normal(size=data.shape)


def part():
    """A tenth of the object's voxels, in one place."""
    along = points_of(GRID)[..., 0]
    return OBJECT & (along > np.percentile(along[OBJECT], 90))


def error(moving, curve, **more):
    """Mean error of the unchanged tissue, in the reference's intensities, after matching."""
    reference = Volume.scalar(noisy(PHANTOM.scalar_data, 20, 0), GRID.affine)
    fit = fit_intensities(Volume.scalar(noisy(moving, 20 * np.ptp(moving) / 1000, 1), GRID.affine), reference, **more)
    clean = fit.apply(Volume.scalar(curve(PHANTOM.scalar_data), GRID.affine)).scalar_data
    return np.abs(clean - PHANTOM.scalar_data)[OBJECT & ~part()].mean()


@pytest.mark.parametrize("name", CURVES)
def test_a_known_curve_is_undone_also_where_a_tenth_has_changed(name):
    curve = CURVES[name]
    changed = np.where(part(), 1100 - PHANTOM.scalar_data, PHANTOM.scalar_data)
    most = 10 if name == "gamma" else 2
    assert error(curve(PHANTOM.scalar_data), curve) < most
    assert error(curve(changed), curve) < most
    assert error(curve(changed), curve, corresponding=False) > 3 * most


def test_a_known_bias_field_is_undone():
    x, y, z = np.moveaxis((points_of(GRID) - GRID.center_mm) / 80, -1, 0)
    field = 1 + 0.2 * x - 0.15 * y * z
    reference = Volume.scalar(noisy(PHANTOM.scalar_data, 20, 0), GRID.affine)
    moving = Volume.scalar(noisy(PHANTOM.scalar_data * field * 0.5, 10, 1), GRID.affine)
    left = [np.median(np.abs(meddl.match_intensities(moving, reference, bias_field=wanted).scalar_data
                             - reference.scalar_data)[OBJECT]) for wanted in (False, True)]
    noise = np.sqrt(2) * 20 / 1.4826
    assert left[1] < 1.1 * noise < 1.3 * noise < left[0]


def test_a_volume_stays_itself():
    assert np.allclose(meddl.match_intensities(PHANTOM, PHANTOM).data, PHANTOM.data, atol=1e-3)
    assert np.allclose(meddl.match_intensities(PHANTOM, PHANTOM, bias_field=True).data, PHANTOM.data, atol=1e-2)
    assert np.allclose(meddl.match_intensities(PHANTOM, PHANTOM, corresponding=False).data, PHANTOM.data, atol=1e-3)


def test_the_grids_may_differ_and_the_result_lies_on_the_moving_one():
    other = date(GRIDS["left-handed"])
    found = meddl.match_intensities(Volume(other.data * 3 + 100, other.affine), PHANTOM)
    assert found.grid.same_as(other.grid) and found.data.dtype == np.float32
    assert np.abs(found.data - other.data)[other.data > 150].mean() < 15


def test_values_that_are_not_finite_do_not_count():
    broken = np.array(PHANTOM.scalar_data * 2)
    broken[:20] = np.nan
    found = meddl.match_intensities(Volume.scalar(broken, GRID.affine), PHANTOM).scalar_data
    assert np.allclose(found[20:], PHANTOM.scalar_data[20:], atol=1.0)


def test_of_histograms_alone_it_is_as_near_as_simpleitks():
    for name, curve in CURVES.items():
        moving = noisy(curve(PHANTOM.scalar_data), 20 * np.ptp(curve(PHANTOM.scalar_data)) / 1000, 1)
        reference = noisy(PHANTOM.scalar_data, 20, 0)
        witness = sitk.GetArrayFromImage(sitk.HistogramMatching(
            *[sitk.GetImageFromArray(np.ascontiguousarray(one.T, np.float32)) for one in (moving, reference)],
            256, 15, True)).T
        found = meddl.match_intensities(*[Volume.scalar(one, GRID.affine) for one in (moving, reference)],
                                        corresponding=False).scalar_data
        errors = [np.abs(one - reference)[OBJECT].mean() for one in (found, witness)]
        assert errors[0] < 1.1 * errors[1], name


def test_what_cannot_be_matched_is_refused():
    flat = Volume.scalar(np.ones(GRID.shape, np.float32), GRID.affine)
    away = Volume(PHANTOM.data, GRID.affine + np.pad(np.full((3, 1), 999.0), ((0, 1), (3, 0))))
    for moving, options, reason in ((flat, {}, "constant"), (away, {}, "in common"),
                                    (PHANTOM, {"corresponding": False, "bias_field": True}, "correspond"),
                                    (flat, {"corresponding": False}, "constant")):
        with pytest.raises(InputError, match=reason):
            meddl.match_intensities(moving, PHANTOM, **options)
