"""A template has the mean shape of its volumes, whatever their order, and maps to each of them."""

from dataclasses import replace

import numpy as np
import pytest
from deformations import box, places, tissue

import meddl
from meddl.core.config import RegisterConfig
from meddl.core.errors import Cancelled, InputError
from meddl.registration.template import build_template
from meddl.spatial.volume import Volume

QUICK = RegisterConfig(transform_type="deformable", initialization="given", levels_mm=(8.0, 4.0), samples=5000,
                       iterations=5, metric="lncc", deformable_iterations=(20, 10), deformable_levels_mm=(8.0, 4.0),
                       estimate_quality=False)
GRID = box(4.0)


def wave(points: np.ndarray, number: int) -> np.ndarray:
    """Three smooth displacements of some mm, whose sum is zero: template to volume."""
    x, y, z = np.moveaxis(points / 14.0, -1, 0)
    fade = np.exp(-(points ** 2).sum(axis=-1) / (2 * 24.0 ** 2))[..., None]
    first = 4.5 * np.stack([np.sin(y), np.cos(z), np.sin(x + 1)], axis=-1) * fade
    second = 4.5 * np.stack([np.cos(z + 1), np.sin(x), -np.cos(y)], axis=-1) * fade
    return (first, second, -first - second)[number]


def warped(number: int, grid=GRID, gain: float = 1.0) -> Volume:
    """The picture under one of the displacements, with some noise."""
    points = places(grid)
    found = points
    for _ in range(30):
        found = points - wave(found, number)
    noise = np.random.default_rng(number).normal(size=grid.shape)
    return Volume.scalar((gain * (100 * tissue(found) + noise)).astype(np.float32), grid.affine)


def overlap(one: np.ndarray, other: np.ndarray, level: float) -> float:
    a, b = one > level, other > level
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def volumes() -> list[Volume]:
    return [warped(0), warped(1, gain=3.0), warped(2)]


@pytest.fixture(scope="module")
def built(volumes):
    return build_template(volumes, QUICK, rounds=2, device="cpu")


def test_the_shape_is_the_mean_of_the_shapes(built, volumes):
    truth = tissue(places(built.image.grid))
    image = built.image.scalar_data
    scale = image.mean() / truth.mean()
    alone = max(overlap(volume.scalar_data / volume.scalar_data.mean() * truth.mean(), tissue(places(GRID)), 2.0)
                for volume in volumes)
    assert overlap(image / scale, truth, 2.0) > 0.93
    assert overlap(image / scale, truth, 2.0) > alone + 0.05
    assert built.image.grid.same_as(GRID, 0.5)


def test_the_maps_lead_to_the_volumes_and_have_no_mean(built):
    points = places(box(6.0)).reshape(-1, 3)
    points = points[np.linalg.norm(points, axis=1) < 30]
    moved = np.array([one.points(points) - points for one in built.maps])
    truth = np.array([wave(points, number) for number in range(3)])
    assert np.linalg.norm(moved - truth, axis=-1).mean() < 0.35 * np.linalg.norm(truth, axis=-1).mean()
    assert np.linalg.norm(moved.mean(axis=0), axis=-1).mean() < 0.15 * np.linalg.norm(moved, axis=-1).mean()


def test_a_map_brings_its_volume_onto_the_template(built, volumes):
    for one, volume in zip(built.maps, volumes, strict=True):
        there = one.warp(volume).scalar_data
        assert there.shape == built.image.shape
        assert np.corrcoef(there.ravel(), built.image.scalar_data.ravel())[0, 1] > 0.97


def test_the_report_says_that_it_settles(built):
    first, second = built.report["rounds"]
    assert second["shape_change_mm"] < 0.8 * first["shape_change_mm"]
    assert second["similarity"] > first["similarity"]
    assert built.report["volumes"] == 3 and built.report["device"].startswith("cpu")
    assert {"prepare", "align", "register", "average", "total"} <= set(built.report["seconds"])


def test_the_order_of_the_volumes_changes_nothing(built, volumes):
    turned = build_template([volumes[n] for n in (2, 0, 1)], QUICK, rounds=2, device="cpu")
    np.testing.assert_allclose(turned.image.data, built.image.data, atol=1e-3 * built.image.data.max())
    points = places(box(12.0)).reshape(-1, 3)
    for here, there in ((0, 2), (1, 0), (2, 1)):
        np.testing.assert_allclose(turned.maps[here].points(points), built.maps[there].points(points), atol=1e-2)


def test_one_volume_is_its_own_template():
    volume = warped(0)
    found = meddl.build_template([volume], QUICK, device="cpu")
    np.testing.assert_allclose(found.image.data, volume.data, atol=1e-3)
    assert found.image.grid.same_as(volume.grid)
    np.testing.assert_array_equal(found.maps[0].affine, np.eye(4))


def test_what_no_volume_reaches_looks_like_the_air_around_the_object():
    moved = Volume(warped(0).data, GRID.affine + np.array([[0, 0, 0, 20.0], [0] * 4, [0] * 4, [0] * 4]))
    found = build_template([moved, warped(0), Volume(warped(0).data[:, 4:], moved.affine)],
                           replace(QUICK, transform_type="translation", metric="auto"), rounds=1, device="cpu")
    edge = np.abs(found.image.data[0, [0, -1]])
    assert edge.max() < 0.1 * found.image.data.max()


def test_volumes_in_different_places_meet_in_the_middle():
    rigid = replace(QUICK, transform_type="rigid", metric="auto", iterations=20)
    there = Volume(warped(0).data, np.array(GRID.affine) + np.array([[0, 0, 0, 12.0], [0] * 4, [0] * 4, [0] * 4]))
    found = build_template([warped(0), there], rigid, rounds=1, device="cpu")
    shifts = sorted(one.affine[0, 3] for one in found.maps)
    assert shifts == pytest.approx([-6, 6], abs=0.2)
    np.testing.assert_allclose(found.image.grid.center_mm, GRID.center_mm + np.array([6, 0, 0]), atol=0.2)


def test_a_cancel_is_answered_at_any_time(volumes):
    told = []
    build_template(volumes[:2], QUICK, rounds=1, device="cpu", on_progress=lambda *at: told.append(at))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert any(message.startswith("Round 1 of 1, volume 1: ") for _, message in told)
    for at in (0, len(told) // 2, len(told) - 2):
        left = iter(range(at))

        def stop(fraction, message, left=left):
            if next(left, None) is None:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            build_template(volumes[:2], QUICK, rounds=1, device="cpu", on_progress=stop)


def test_what_makes_no_template_is_refused(volumes):
    flat = Volume.scalar(np.zeros(GRID.shape, np.float32), GRID.affine)
    for wrong, part in (([], "none was given"), ([volumes[0], flat], "input 1 volume is constant"),
                        ([Volume(np.ones((2, 9, 9, 9)), np.eye(4))], "2 channels")):
        with pytest.raises(InputError, match=part):
            build_template(wrong, QUICK)
    for rounds in (0, 1.5, True):
        with pytest.raises(InputError, match="rounds"):
            build_template(volumes, QUICK, rounds=rounds)
