"""The deformable stage: known warps between volumes of one and of two modalities, on any grid, within the memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from deformable_pairs import NEAR, QUICK, back, error_mm, in_steps, other_contrast, picture
from deformations import bend, box, least_jacobian, places, turned

from meddl.core.errors import Cancelled
from meddl.registration import register
from meddl.registration.deformable import deform
from meddl.registration.images.smoothing import AxisFilter
from meddl.spatial.volume import Volume


@pytest.mark.parametrize("fixed_grid, moving_grid", [
    (box(3.0), box(3.0)),
    (box(3.0, turned(0.5) * [1, -1, 1]), box((3.0, 2.5, 3.5), turned(-0.3))),
    (box((2.5, 2.5, 6.0)), box(3.0)),
], ids=["upright", "oblique and left-handed", "thick slices"])
def test_a_known_warp_is_found_on_any_grid(fixed_grid, moving_grid):
    result = register(picture(fixed_grid), picture(moving_grid, back, seed=1), QUICK, initial=NEAR)
    found, before = error_mm(result)
    assert before > 1
    assert found < 0.4 * before
    assert result.report["deformable_metric"]["name"] == "lncc"
    assert result.report["deformable_metric"]["after"] > result.report["deformable_metric"]["before"]
    grid = result.displacement.grid
    voxels = np.einsum("ab,bijk->aijk", np.linalg.inv(grid.affine[:3, :3]), result.displacement.data)
    assert least_jacobian(torch.from_numpy(voxels)) > 0.1


@pytest.mark.parametrize("heights", [(25, 25, 25, -8), (25, -10, 25, 25)])
def test_one_tissue_in_another_contrast_is_noticed_once_the_others_are_aligned(heights):
    fixed, moving = picture(box(), None, in_steps), picture(box(), back, lambda value: in_steps(value, heights), seed=1)
    result = register(fixed, moving, QUICK, initial=NEAR)
    found, before = error_mm(result)
    assert result.report["deformable_metric"]["name"] == "mind"
    assert found < 0.7 * before
    mistaken = register(fixed, moving, replace(QUICK, metric="lncc"), initial=NEAR)
    assert found < 0.8 * error_mm(mistaken)[0]


def test_a_finest_level_may_have_no_steps():
    result = register(picture(box()), picture(box(), back, seed=1), replace(QUICK, deformable_iterations=(10, 0)),
                      initial=NEAR)
    assert result.report["deformable_steps"] == [10, 0]
    assert result.report["deformable_metric"]["after"] > result.report["deformable_metric"]["before"]


def test_another_modality_is_noticed_and_aligned_by_self_similarity():
    fixed, moving = picture(box(), None, in_steps), picture(box(), back, other_contrast, seed=1)
    result = register(fixed, moving, QUICK, initial=NEAR)
    found, before = error_mm(result)
    assert result.report["deformable_metric"]["name"] == "mind"
    assert not result.report["captured"]  # the motion is small
    assert found < 0.85 * before


def test_the_same_head_in_another_storage_order_gives_the_same_answer():
    fixed, moving = picture(box()), picture(box(), back, seed=1)
    straight = register(fixed, moving, QUICK, initial=NEAR)
    turned_about = register(fixed.reorient("PLI"), moving.reorient("SAL"), QUICK, initial=NEAR)
    points = places(box(8.0)).reshape(-1, 3)
    np.testing.assert_allclose(turned_about.points(points), straight.points(points), atol=1e-3)


def test_only_what_the_masks_hold_counts():
    fixed, moving = picture(box()), picture(box(), back, seed=1)
    spoiled = Volume(moving.data.copy(), moving.affine)
    spoiled.data[:, :, :, 20:] = 500 * np.random.default_rng(2).random(spoiled.data[:, :, :, 20:].shape)
    mask = Volume(np.ones(moving.data.shape, np.uint8), moving.affine)
    mask.data[:, :, :, 20:] = 0
    result = register(fixed, spoiled, QUICK, initial=NEAR, moving_mask=mask)
    points = places(box(6.0)).reshape(-1, 3)
    points = points[(np.linalg.norm(points, axis=1) < 30) & (points[:, 2] < 0)]
    truth = (points + bend(points)) @ NEAR[:3, :3].T + NEAR[:3, 3]
    linear = points @ result.affine[:3, :3].T + result.affine[:3, 3]
    assert (np.linalg.norm(result.points(points) - truth, axis=1).mean()
            < 0.5 * np.linalg.norm(linear - truth, axis=1).mean())


def test_landmarks_pull_where_the_images_say_nothing():
    picture_here = picture(box())
    here = np.array([[0.0, 0.0, 0.0], [15.0, -10.0, 5.0], [-20.0, 5.0, -8.0], [3.0, 20.0, -15.0], [5.0, -5.0, 22.0]])
    there = here + np.array([[0.0, 0.0, 6.0]] + 4 * [[0.0, 0.0, 0.0]])
    config = replace(QUICK, landmark_weight=1.0)
    pulled = register(picture_here, picture_here, config, initial=np.eye(4), landmarks=(here, there))
    left = register(picture_here, picture_here, replace(config, landmark_weight=0.0), initial=np.eye(4),
                    landmarks=(here, there))
    assert np.linalg.norm(pulled.points(here) - there, axis=1).max() < 3
    assert np.linalg.norm(left.points(here) - there, axis=1).max() > 4
    assert pulled.report["landmarks_mm"]["after"] < left.report["landmarks_mm"]["after"]
    assert pulled.report["folding_percent"] == 0


def test_cancelling_is_possible_at_any_time_and_often():
    fixed, moving = picture(box()), picture(box(), back, seed=1)
    calls = []
    register(fixed, moving, QUICK, initial=NEAR, on_progress=lambda *call: calls.append(call))
    bending = [fraction for fraction, message in calls if message.startswith("Deforming")]
    assert len(bending) > 3 * sum(QUICK.deformable_iterations)
    assert bending == sorted(bending)

    def stop(fraction, message):
        if message.startswith("Deforming"):
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        register(fixed, moving, QUICK, initial=NEAR, on_progress=stop)


def test_between_two_chances_to_cancel_lies_one_pass_over_the_volume(monkeypatch):
    passes, most = [0], [0]
    plain = AxisFilter._filter

    def counted(self, channel):
        passes[0] += 1
        plain(self, channel)

    def chance(fraction, message):
        most[0], passes[0] = max(most[0], passes[0]), 0

    monkeypatch.setattr(AxisFilter, "_filter", counted)
    register(picture(box()), picture(box(), back, seed=1), QUICK, initial=NEAR, on_progress=chance)
    assert most[0] == 1


def test_each_level_is_shown_small():
    shown = []

    def watch(fraction, message):
        pass

    watch.preview = lambda value: shown.append(value)
    register(picture(box()), picture(box(), back, seed=1), QUICK, initial=NEAR, on_progress=watch)
    bent = [value for value in shown if value["kind"] == "displacement"]
    assert len(bent) == 2
    for value in bent:
        assert value["affine"].shape == (4, 4) and value["displacement"].channels == 3
        assert max(value["displacement"].shape) <= 65


def test_too_little_memory_leaves_the_finest_level_out_and_says_so(monkeypatch):
    monkeypatch.setattr(deform, "free_memory_bytes", lambda device: 2_000_000)
    result = register(picture(box()), picture(box(), back, seed=1), QUICK, initial=NEAR)
    assert result.report["deformable_levels_mm"] == [6.0]
    assert any("memory" in text and "6 mm" in text for text in result.report["warnings"])


@pytest.mark.parametrize("message", [
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "9663676416 bytes. Error code 12 (Cannot allocate memory)",
    "MPS backend out of memory (MPS allocated: 17.90 GB, other allocations: 1.19 GB, max allowed: 18.13 GB).",
    None,
], ids=["Linux", "MPS", "this system"])
def test_an_allocation_that_fails_on_the_finest_level_leaves_it_out(monkeypatch, message):
    """With the messages of torch, the last one raised by an allocation that no machine grants."""
    real = deform.deformation_pyramid

    def fails_on_finest(side, levels_mm, *rest):
        if min(levels_mm) < 6 and message is None:
            torch.empty(1 << 60, dtype=torch.uint8)
        if min(levels_mm) < 6:
            raise RuntimeError(message)
        return real(side, levels_mm, *rest)

    monkeypatch.setattr(deform, "deformation_pyramid", fails_on_finest)
    result = register(picture(box()), picture(box(), back, seed=1), QUICK, initial=NEAR, device="cpu")
    assert result.report["deformable_levels_mm"] == [6.0]
    assert any("memory" in text and "6 mm" in text for text in result.report["warnings"])
