"""Seconds and memory of a run, estimated from the model's card, the volume's grid and one measured speed."""

import numpy as np
import pytest
from nnunet_folder import write_cascade, write_nnunet

from meddl.core.config import SegmentConfig
from meddl.models.cost import machine_speed
from meddl.models.store.store import ModelStore
from meddl.segmentation import run_estimate
from meddl.segmentation.imported.sliding_window import score_rows
from meddl.segmentation.run_estimate import expected_run

GRID = np.diag([2.0, 2.0, 2.0, 1])


@pytest.fixture(autouse=True)
def speed(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(machine_speed, "_measure", lambda *_: 20.0)
    monkeypatch.setattr(machine_speed, "_measure_interpolation", lambda *_: 20.0)
    monkeypatch.setattr(machine_speed, "_known", {})


@pytest.fixture
def model(tmp_path):
    def made(name="small", **choices):
        ModelStore().import_model(write_nnunet(tmp_path / name, **choices), identifier=name)
        return name
    return made


def test_the_windows_are_those_of_the_run(model):
    import torch

    model(mirror=())
    recipe = ModelStore().card("small").recipe
    seen = []

    def network(image):
        seen.extend(image)
        return torch.zeros(len(image), 3, *image.shape[2:])

    for _ in score_rows(network, torch.zeros(1, 40, 28, 20), recipe.windows, 3):
        pass
    assert expected_run("small", (20, 28, 40), GRID, device="cpu").windows == len(seen)


def test_smaller_voxels_and_larger_volumes_take_longer(model):
    model()
    same = expected_run("small", (40, 40, 40), GRID, device="cpu")
    finer = expected_run("small", (40, 40, 40), GRID / [[2], [2], [2], [1]], device="cpu")
    larger = expected_run("small", (80, 80, 80), GRID, device="cpu")
    assert finer.windows < same.windows < larger.windows
    assert finer.seconds < same.seconds < larger.seconds
    assert larger.memory_bytes > same.memory_bytes


def test_mirrors_and_folds_multiply_the_work_and_classes_the_memory(model):
    shape = (60, 60, 60)
    plain = expected_run(model("plain", mirror=()), shape, GRID, device="cpu")
    mirrored = expected_run(model("mirrored", mirror=(0, 1, 2)), shape, GRID, device="cpu")
    folds = expected_run(model("folds", mirror=(), folds=(0, 1)), shape, GRID, device="cpu")
    many = expected_run(model("many", mirror=(), labels={"background": 0} | {f"s{n}": n for n in range(1, 60)}),
                        shape, GRID, device="cpu")
    assert mirrored.windows == plain.windows
    assert mirrored.seconds > plain.seconds
    assert folds.seconds > plain.seconds
    assert many.memory_bytes > plain.memory_bytes


def test_axes_are_turned_as_the_recipe_turns_them(tmp_path):
    folder = write_nnunet(tmp_path / "thick", spacing=(6.0, 1.0, 1.0))
    card = ModelStore().import_model(folder, identifier="thick", orientation="RAS")
    turned = np.array([[0, 0, 1.0, 0], [1.0, 0, 0, 0], [0, 6.0, 0, 0], [0, 0, 0, 1]])  # i is A, j is S, k is R
    shape = run_estimate._image_shape(card.recipe, (30, 10, 50), turned)
    assert sorted(shape) == [10, 30, 50]
    assert shape[0] == 10


def test_both_stages_of_a_cascade_count(tmp_path, model):
    single = expected_run(model(), (40, 40, 40), GRID, device="cpu")
    ModelStore().import_model(write_cascade(tmp_path / "cascade"), identifier="cascade")
    assert expected_run("cascade", (40, 40, 40), GRID, device="cpu").windows > single.windows


def test_our_own_model_is_estimated_too_and_flips_cost():
    if not ModelStore().is_shipped("brain"):
        pytest.skip("the model brain is not in Resources/MedDL/Models")
    once = expected_run("brain", (180, 220, 180), GRID / 2, device="cpu")
    twice = expected_run("brain", (180, 220, 180), GRID / 2, SegmentConfig(flip_averaging=True), device="cpu")
    assert twice.seconds > 1.2 * once.seconds
    plain, fewer = (expected_run("brain", (180, 220, 180), GRID / 2, config, device="cpu").seconds for config in (
        SegmentConfig(contrast_adaptation=False), SegmentConfig(atlas_label_maps=1)))
    assert plain < fewer < once.seconds
    assert 0.5e9 < once.memory_bytes < 4e9
    assert once.device.startswith("cpu")
