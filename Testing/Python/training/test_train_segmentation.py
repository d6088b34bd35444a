"""Training end to end on small made-up heads: it learns, resumes, exports, and the export answers alike."""

import argparse
import dataclasses

import numpy as np
import pytest
import torch
from label_rows import ROWS

from meddl.core.errors import Cancelled, InputError, ModelError
from meddl.io import save
from meddl.models.cards import load_card
from meddl.models.weights import load_into, load_weights
from meddl.networks import build_network
from meddl.spatial.volume import Volume
from meddl.synthesis import load_label_maps
from meddl.training.log import TrainingLog
from meddl.training.segmentation import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Heads of nested shells, a little different each."""
    folder = tmp_path_factory.mktemp("labelmaps")
    (folder / "heads").mkdir()
    (folder / "labels.csv").write_text(ROWS)
    axes = np.stack(np.meshgrid(*[np.arange(80) - 39.5] * 3, indexing="ij"), -1)
    for number in (1, 2, 13):
        radius = np.sqrt(((axes / (1, 1 + 0.02 * number, 1)) ** 2).sum(-1))
        right = axes[..., 0] > 0
        labels = np.zeros(radius.shape, np.int16)
        labels[radius < 36] = 507
        labels[radius < 30] = 24
        labels[radius < 27] = np.where(right, 42, 3)[radius < 27]
        labels[radius < 18] = np.where(right, 41, 2)[radius < 18]
        save(Volume.scalar(labels, np.eye(4)), folder / "heads" / f"head_{number:02d}.nii.gz")
    return folder


@pytest.fixture
def small(monkeypatch):
    size = dataclasses.replace(train.SIZES["small"], spacing_mm=3.0, shape=(32, 32, 32), widths=(16, 24),
                               refine_channels=8, coarse_spacing_mm=4.0, coarse_shape=(24, 24, 24), learning_rate=3e-3)
    monkeypatch.setitem(train.SIZES, "small", size)
    monkeypatch.setitem(train.SIZES, "lean", dataclasses.replace(size, refine_channels=0))
    monkeypatch.setattr(train, "LOCATOR_SHAPE", (32, 32, 32))
    monkeypatch.setattr(train, "LOCATOR_WIDTHS", (16, 24))


def options(data, out, *more):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(["--data", str(data), "--out", str(out), "--device", "cpu", *more])


@pytest.mark.slow
def test_it_learns_exports_and_the_export_gives_the_same_answer(data, small, tmp_path):
    heard = []
    folder = train.run(options(data, tmp_path, "--hours", "1", "--steps", "60", "--batch", "2",
                                      "--locator-fraction", "0.34"), lambda f, m: heard.append((f, m)))
    assert heard[-1][0] == 1.0
    for part in ("locator", "segmenter"):
        state = torch.load(tmp_path / part / "checkpoint.pt", weights_only=True)
        card = load_card(folder / "card.json")
        spec = card.networks[part]
        fresh, kept = (build_network(spec.architecture, dict(spec.arguments)).eval() for _ in range(2))
        tensors = load_weights(folder / card.weights.file)
        load_into(fresh, {k.removeprefix(f"{part}."): v.float() for k, v in tensors.items() if k.startswith(part)})
        kept.load_state_dict(state["average"])
        image = torch.rand(1, 1, 32, 32, 32)
        with torch.no_grad():
            assert (fresh(image) - kept(image)).abs().max() < 0.05  # float16 weights
        assert (tmp_path / part / "log.png").stat().st_size > 1000
    assert [label.value for label in card.labels] == [2, 3, 24, 41, 42]
    assert card.mirrors[2] == 41


@pytest.mark.slow
def test_a_training_goes_on_from_a_model_and_only_from_one_of_its_shape(data, small, tmp_path, monkeypatch):
    first = train.run(options(data, tmp_path / "first", "--steps", "12", "--batch", "1"))
    again = train.run(options(data, tmp_path / "again", "--steps", "2", "--batch", "1", "--from", str(first)))
    before, after = (load_weights(folder / "weights.safetensors") for folder in (first, again))
    changes = [float((before[name] - after[name]).abs().max()) for name in before]
    assert 0 < max(changes) < 5e-3  # a few small steps away, not a new start
    cards = [load_card(folder / "card.json") for folder in (first, again)]
    assert cards[1].training.steps > cards[0].training.steps
    assert cards[1].training.command.endswith("--from brain")

    kept = train.run(options(data, tmp_path / "kept", "--steps", "2", "--batch", "1", "--from", str(first),
                                    "--locator-fraction", "0"))
    after = load_weights(kept / "weights.safetensors")
    assert all(torch.equal(before[name], after[name]) == name.startswith("locator.") for name in before
               if before[name].ndim == 5)
    assert "--locator-fraction 0" in load_card(kept / "card.json").training.command
    with pytest.raises(InputError, match="--from"):
        train.run(options(data, tmp_path / "none", "--steps", "2", "--locator-fraction", "0"))

    monkeypatch.setattr(train, "LOCATOR_WIDTHS", (16, 32))
    with pytest.raises(ModelError, match="locator"):
        train.run(options(data, tmp_path / "wrong", "--steps", "2", "--from", str(first)))


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_is_exported_on_the_way_and_goes_on_from_weights_alone(data, small, tmp_path):
    first = train.run(options(data, tmp_path / "first", "--steps", "2", "--batch", "1"))
    given = ("--size", "lean", "--steps", "8", "--batch", "1", "--locator", str(first), "--validate-minutes", "0")

    def stop_after(steps):
        def on_progress(fraction, message):
            if message.startswith(f"step {steps},"):
                raise Cancelled
        return on_progress

    with pytest.raises(InputError, match="checkpoint"):
        train.run(options(data, tmp_path / "run", *given, "--export"))
    with pytest.raises(Cancelled):
        train.run(options(data, tmp_path / "run", *given), stop_after(3))
    on_the_way = train.run(options(data, tmp_path / "run", *given, "--export", "--id", "half"))
    card = load_card(on_the_way / "card.json")
    assert (card.training.steps, card.networks["segmenter"].arguments["refine_channels"]) == (3, 0)
    assert f"--size lean --steps 8 --locator {first}" in card.training.command
    whole = train.run(options(data, tmp_path / "run", *given))
    straight = train.run(options(data, tmp_path / "straight", *given))
    ends, others = (load_weights(folder / "weights.safetensors") for folder in (whole, straight))
    assert all(torch.equal(ends[name], others[name]) for name in ends)  # the stop leaves no trace

    again = train.run(options(data, tmp_path / "again", *given, "--from", str(on_the_way), "--first-step", "3"))
    rates = TrainingLog(tmp_path / "again" / "segmenter", ("step", "learning_rate")).curves()["learning_rate"]
    assert rates[0] == [4, 5, 6, 7, 8]
    assert rates[1][0] < rates[1][1]  # a warm-up
    assert load_card(again / "card.json").training.steps == 8


def test_validations_come_as_often_as_asked_for(data, small, tmp_path):
    train.run(options(data, tmp_path, "--steps", "3", "--batch", "1", "--validate-minutes", "0"))
    scores = TrainingLog(tmp_path / "segmenter", ("step", "score")).curves()["score"]
    assert scores[0] == [1, 2, 3]  # after each step, the last one once


@pytest.mark.slow
def test_the_loss_falls_and_a_second_run_goes_on_where_the_first_stopped(data, small, tmp_path):
    folder = tmp_path / "run"
    train.run(options(data, folder, "--hours", "1", "--steps", "40", "--batch", "2"))
    first = torch.load(folder / "segmenter" / "checkpoint.pt", weights_only=True)
    train.run(options(data, folder, "--hours", "1", "--steps", "120", "--batch", "2"))
    second = torch.load(folder / "segmenter" / "checkpoint.pt", weights_only=True)
    assert (first["step"], second["step"]) == (40, 120)
    curves = TrainingLog(folder / "segmenter", ("step", "loss", "score")).curves()
    assert curves["loss"][1][-1] < 0.8 * curves["loss"][1][0]
    assert curves["score"][1][-1] > curves["score"][1][0]


def test_maps_are_read_with_the_center_of_each_brain(data):
    maps = load_label_maps(data, 1, 12)
    assert maps.rows.shape == (2, 80, 80, 80)
    torch.testing.assert_close(maps.centers, torch.full((2, 3), 39.5))
