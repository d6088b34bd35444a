"""Training on volumes with label maps, end to end: it learns, resumes exactly, stops early, and gives a model."""

import json

import numpy as np
import pytest
import torch
from full_disks import files_of_at_most
from labeled_phantoms import ball_case, put, write_folders, write_nnunet_raw
from nnunet_folder import write_nnunet

import meddl
from meddl import TrainConfig
from meddl.cli import main
from meddl.core.errors import Cancelled, InputError, ModelError
from meddl.measures.overlap import dice
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_weights
from meddl.training.log import TrainingLog
from meddl.training.loop import TrainingFigures
from meddl.training.supervised import plan
from meddl.training.supervised.train import train

QUICK = {"network": "unet", "patch_voxels": (16, 16, 16), "batch": 2}


@pytest.fixture(autouse=True)
def one_thread():
    """A sum of several threads may be rounded otherwise in another run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Models of few channels, in a store of their own."""
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "FEATURES", (8, 16, 16, 16, 16, 16))


class Listener:
    """A callback that keeps what it hears, and stops or cancels after so many reports of the loop: one comes after each
    step, and one after each validation."""

    def __init__(self, stop_at: int | None = None, cancel_at: int | None = None):
        self.stop_at, self.cancel_at, self.heard, self.figures = stop_at, cancel_at, [], []

    def __call__(self, fraction: float, message: str) -> None:
        self.heard.append((fraction, message))
        if self.cancel_at is not None and self.reports() >= self.cancel_at:
            raise Cancelled("stopped")

    def preview(self, value: object) -> None:
        if isinstance(value, TrainingFigures):
            self.figures.append(value)

    def should_stop(self) -> bool:
        return self.stop_at is not None and self.reports() >= self.stop_at

    def reports(self) -> int:
        return sum(message.startswith(("first steps", "step ")) for _, message in self.heard)


def weights_of(model) -> dict[str, torch.Tensor]:
    return load_weights(model.folder / model.card.weights.file)


def test_a_few_steps_give_a_model_that_segments_like_any_other(tmp_path):
    images, labels = write_folders(tmp_path)
    listener = Listener()
    model = train(images, labels, out=tmp_path / "run", name="Two Balls", on_progress=listener, device="cpu",
                  config=TrainConfig(steps=80, license="CC BY 4.0", learning_rate=4e-3, **QUICK))
    assert [one.step for one in listener.figures] == list(range(8, 81, 8))
    assert listener.figures[-1].loss < 0.8 * listener.figures[0].loss
    assert listener.heard[-1] == (1.0, "Done")
    assert [fraction for fraction, _ in listener.heard] == sorted(fraction for fraction, _ in listener.heard)

    card = ModelStore().card("two-balls")
    assert card.license.weights == "CC BY 4.0"
    assert [label.name for label in card.labels] == ["Label 1", "Label 2"]
    assert card.training.steps == 80
    assert "4 to train on, 1 to validate with" in card.training.data
    assert {entry.case for entry in card.accuracy} == set(model.held_out)
    assert not set(model.held_out) & set(model.training)
    assert ModelStore().license_accepted("two-balls")

    name = model.held_out[0]
    volume, truth = ball_case(int(name.removeprefix("case_")))
    found = meddl.segment(volume, model="two-balls", device="cpu")
    figures = dice(found.labels, truth.data[0], (1, 2))
    np.testing.assert_allclose(figures, [entry.value for entry in card.accuracy], atol=1e-4)
    assert figures.min() > 0.5


@pytest.mark.parametrize("network", ["dynunet", "segresnet"])
def test_each_network_trains_and_its_weights_fit_the_card(tmp_path, network):
    write_folders(tmp_path, 3)
    model = train(tmp_path, out=tmp_path / "run", name=network, device="cpu",
                  config=TrainConfig(steps=2, batch=1, network=network, patch_voxels=(16, 16, 16)))
    assert model.plan.deep_supervision == (1 if network == "dynunet" else 0)
    found = meddl.segment(ball_case(0)[0], model=network, device="cpu")
    assert found.labels.shape == (16, 16, 16)


def test_a_run_that_was_killed_and_resumed_gives_the_weights_of_one_that_was_not(tmp_path):
    write_folders(tmp_path, 3)
    config = TrainConfig(steps=10, network="dynunet", patch_voxels=(16, 16, 16), batch=1)
    whole = train(tmp_path, out=tmp_path / "whole", config=config, device="cpu", install=False)
    with pytest.raises(Cancelled):
        train(tmp_path, out=tmp_path / "broken", config=config, device="cpu", install=False,
              on_progress=Listener(cancel_at=13))  # in the seventh step
    assert torch.load(tmp_path / "broken" / "checkpoint.pt", weights_only=True)["step"] == 6
    resumed = train(tmp_path, out=tmp_path / "broken", config=config, device="cpu", install=False)
    first, second = weights_of(whole), weights_of(resumed)
    assert set(first) == set(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(InputError, match="other data or with other options"):
        train(tmp_path, out=tmp_path / "broken", config=TrainConfig(steps=10, **QUICK), device="cpu")


def test_stopping_gives_the_best_weights_so_far_as_a_model(tmp_path):
    write_folders(tmp_path, 3)
    listener = Listener(stop_at=3)
    model = train(tmp_path, out=tmp_path / "run", config=TrainConfig(steps=1000, **QUICK), device="cpu",
                  on_progress=listener)
    assert model.card.training.steps == 3
    best = torch.load(tmp_path / "run" / "best.pt", weights_only=True)
    assert best["score"] == max(one.score for one in listener.figures)
    assert ModelStore().card("my-model").training.steps == 3


def test_training_ends_early_where_the_score_stays(tmp_path):
    write_folders(tmp_path, 3)
    train(tmp_path, out=tmp_path / "run", device="cpu", install=False,
          config=TrainConfig(steps=60, patience=1, learning_rate=1e-12, **QUICK))
    scores = TrainingLog(tmp_path / "run", ("step", "score")).curves()["score"]
    assert scores[0] == [6, 12]


def test_a_full_disk_at_a_checkpoint_keeps_the_last_good_one(tmp_path):
    write_folders(tmp_path, 3)
    config = TrainConfig(steps=20, **QUICK)

    class Filling(Listener):
        limit = None

        def preview(self, value: object) -> None:
            super().preview(value)
            if self.limit is None and len(self.figures) == 2:
                self.limit = files_of_at_most(100_000)
                self.limit.__enter__()

    filling = Filling()
    try:
        with pytest.raises(InputError, match="could not be written.*resume"):
            train(tmp_path, out=tmp_path / "run", config=config, device="cpu", on_progress=filling)
    finally:
        filling.limit.__exit__(None, None, None)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == 4
    assert not list((tmp_path / "run").glob("*.tmp"))
    assert train(tmp_path, out=tmp_path / "run", config=config, device="cpu", install=False).card.training.steps == 20


def test_overlapping_regions_and_two_channels(tmp_path):
    folder = write_nnunet_raw(tmp_path, {"background": 0, "ball": [1, 2], "core": [2]}, regions_class_order=[1, 2])
    model = train(folder, out=tmp_path / "run", name="regions", device="cpu",
                  config=TrainConfig(steps=100, learning_rate=4e-3, **QUICK))
    assert model.card.recipe.output.kind == "regions"
    assert model.card.channel_names == ("T1", "T2")
    volume, truth = ball_case(0, channels=2)
    found = meddl.segment(volume, model="regions", device="cpu")
    assert dice((found.labels > 0).astype(np.uint8), (truth.data[0] > 0).astype(np.uint8), (1,))[0] > 0.4


def test_fine_tuning_starts_near_the_model_and_replaces_the_last_layer_for_other_structures(tmp_path):
    folder = write_nnunet_raw(tmp_path / "a", {"background": 0, "shell": 1, "core": 2}, channels=("T1",))
    first = train(folder, out=tmp_path / "first", name="first", device="cpu", config=TrainConfig(steps=6, **QUICK))
    same = TrainConfig(steps=1, start="first", batch=2)
    again = train(folder, out=tmp_path / "again", config=same, device="cpu", install=False)
    before, after = weights_of(first), weights_of(again)
    assert 0 < max(float((before[name] - after[name]).abs().max()) for name in before) < 5e-3
    assert again.card.training.command.endswith("--from first")

    other = write_nnunet_raw(tmp_path / "b", {"background": 0, "ball": 1}, channels=("T1",))
    for labels in (other / "labelsTr").iterdir():
        volume = meddl.load(labels)
        meddl.save(meddl.Volume((volume.data > 0).astype(np.uint8), volume.affine), labels)
    changed = train(other, out=tmp_path / "other", config=same, device="cpu", install=False)
    assert [label.name for label in changed.card.labels] == ["ball"]
    shapes = {name for name, tensor in weights_of(changed).items() if tensor.shape != before[name].shape}
    assert shapes
    assert len(shapes) <= 6  # the last unit alone

    two = write_nnunet_raw(tmp_path / "c", {"background": 0, "shell": 1, "core": 2})
    with pytest.raises(ModelError, match=r"takes 1 channels \(T1\); the data set has 2"):
        train(two, out=tmp_path / "two", config=same, device="cpu")


def test_new_output_layers_are_fitted_to_what_the_model_knows(tmp_path):
    """Before the first step; the other layers stay."""
    images, labels = write_folders(tmp_path, 4)
    small = {"network": "dynunet", "patch_voxels": (16, 16, 16), "batch": 2}
    whole = tmp_path / "whole"
    for path in labels.iterdir():
        volume = meddl.load(path)
        put(whole, path.name, meddl.load(images / path.name), meddl.Volume((volume.data > 0).astype(np.uint8),
                                                                           volume.affine), "")
    first = train(whole / "images", whole / "labels", out=tmp_path / "first", name="first", device="cpu",
                  config=TrainConfig(steps=60, learning_rate=4e-3, **small))
    tuned = train(images, labels, out=tmp_path / "tuned", name="tuned", device="cpu", install=False,
                  config=TrainConfig(steps=1, learning_rate=1e-9, start="first"))
    before, after = weights_of(first), weights_of(tuned)
    new = {name for name in after if after[name].shape != before[name].shape}
    assert {name.split(".")[1] for name in new} == {"output_block"}
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in set(after) - new)
    assert TrainingLog(tmp_path / "tuned", ("step", "score")).curves()["score"][1][-1] > 0.7


@pytest.mark.slow
def test_the_brain_model_can_be_fine_tuned_and_its_encoder_kept(tmp_path):
    write_folders(tmp_path, 3)
    model = train(tmp_path, out=tmp_path / "run", device="cpu", install=False,
                  config=TrainConfig(steps=1, start="brain", freeze_encoder=True, batch=1, patch_voxels=(16, 16, 16)))
    store = ModelStore()
    before = load_weights(store.weights_path("brain"))
    after = weights_of(model)
    unchanged = {name for name, tensor in after.items()
                 if torch.equal(tensor, before[name.replace("network.", "segmenter.body.")].float())
                 or tensor.shape != before[name.replace("network.", "segmenter.body.")].shape}
    assert {name for name in after if name.startswith(("network.encoder.", "network.stem."))} <= unchanged
    assert any(name.startswith("network.decoder.") for name in set(after) - unchanged)


@pytest.mark.slow
def test_an_imported_nnunet_can_be_fine_tuned_in_its_own_axes(tmp_path):
    write_nnunet(tmp_path / "nnunet", transpose=(2, 0, 1), spacing=(1.0, 1.5, 2.0))
    ModelStore().import_model(tmp_path / "nnunet", identifier="nnunet")
    write_folders(tmp_path, 3)
    model = train(tmp_path, out=tmp_path / "run", name="tuned", device="cpu",
                  config=TrainConfig(steps=2, start="nnunet", batch=1))
    assert model.plan.architecture == "PlainConvUNet"
    assert model.plan.recipe["steps"][0]["name"] == "transpose"
    assert meddl.segment(ball_case(0)[0], model="tuned", device="cpu").labels.shape == (16, 16, 16)


def test_the_shell_trains_and_names_what_is_missing(tmp_path, capsys):
    images, labels = write_folders(tmp_path, 3)
    put(tmp_path, "alone", ball_case(7)[0], None)
    words = ["train", "segmentation", "--images", str(images), "--labels", str(labels), "--out", str(tmp_path / "run"),
             "--name", "mine", "--steps", "1", "--network", "unet", "--patch-voxels", "16,16,16", "--batch", "1",
             "--device", "cpu"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "run" / "mine")
    assert "alone" in printed.err
    assert json.loads((tmp_path / "run" / "mine" / "card.json").read_text())["id"] == "mine"
    assert main(["segment", str(images / "case_0.nii.gz"), "-o", str(tmp_path / "o.nii.gz"), "--model", "mine",
                 "--device", "cpu"]) == 0
    assert main(["train", "segmentation", "--out", str(tmp_path / "x")]) == 2
    assert "--images" in capsys.readouterr().err
