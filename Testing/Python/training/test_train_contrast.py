"""The network of contrast synthesis: rendered pairs fit together, a small training learns and is exported."""

import json

import numpy as np
import pytest
import torch

from meddl.models.cards import load_card
from meddl.synthesis import HeadGenerator, load_label_maps
from meddl.synthesis.contrasts import CONTRASTS, tissue_means
from meddl.training.contrast import task as tasks
from meddl.training.contrast.train import train_contrast


@pytest.fixture(scope="module")
def maps(data_folder):
    return load_label_maps(data_folder / "labelmaps", 13, 13)


def test_targets_show_the_means_of_their_contrast_and_do_not_change_the_images(maps):
    both = HeadGenerator(maps, tasks._HEADS, 5, ("T1",), ("T1", "T2")).sample(1)
    alone = HeadGenerator(maps, tasks._HEADS, 5, ("T1",)).sample(1)
    assert both.targets.shape == (1, 2, *tasks.SHAPE) and alone.targets.shape[1] == 0
    torch.testing.assert_close(both.images, alone.images)
    rows, table = both.rows[0].numpy(), maps.table
    white = int(np.flatnonzero(table.labels == 2)[0])
    means = tissue_means(table)[[CONTRASTS.index("T1"), CONTRASTS.index("T2")]][:, table.tissues[white]]
    found = [float(np.median(target[rows == white])) for target in both.targets[0].numpy()]
    np.testing.assert_allclose(found, means, atol=1e-3)
    assert not both.targets[0][:, both.rows[0] == 0].any()


def test_a_training_learns_and_its_model_has_a_card(data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "ARGUMENTS", {**tasks.ARGUMENTS, "channels": [4, 4, 8, 8]})
    monkeypatch.setattr("meddl.training.contrast.train.ARGUMENTS", tasks.ARGUMENTS)
    monkeypatch.setattr("meddl.training.contrast.train.TRAINING_MAPS", (12, 12))
    monkeypatch.setattr("meddl.training.contrast.train.HELD_OUT_MAPS", (13, 13))
    monkeypatch.setattr(tasks, "_VALIDATION_HEADS", 1)
    folder = train_contrast(data_folder / "labelmaps", tmp_path, steps=6, device="cpu")
    card = load_card(folder / "card.json")
    assert (card.id, card.task, card.training.steps) == ("synthesize-contrast", "synthesis", 6)
    scores = [float(line.split(",")[4]) for line in (tmp_path / "network" / "log.csv").read_text().splitlines()[1:]]
    assert scores[-1] > scores[0] + 0.5
    assert json.loads((folder / "card.json").read_text())["limits"].startswith("What it makes was not measured")
