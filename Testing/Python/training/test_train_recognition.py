"""A small training of the classifier learns, is exported with a card, and resumes to the same weights."""

import numpy as np
import pytest
import torch

from meddl.models.cards import load_card
from meddl.recognition.coarse import SIZE, frame_object
from meddl.recognition.orientations import turn_cubes
from meddl.samples import head_labels
from meddl.synthesis import load_label_maps
from meddl.synthesis.contrasts import CONTRASTS
from meddl.training.recognition import train as training
from meddl.training.recognition.augmentation import _nod, augment
from meddl.training.recognition.body_parts import BodyPartGenerator
from meddl.training.recognition.pitch import pitch_deg
from meddl.training.recognition.pool import ANY, Pool, make_pool
from meddl.training.recognition.task import RecognitionTask


@pytest.fixture(scope="module")
def pool(data_folder):
    return make_pool(load_label_maps(data_folder / "labelmaps", 13, 13), 1, 6, seed=3)


def test_a_pool_has_every_kind(pool, tmp_path):
    assert len(pool) == 14 + 6 and pool.head.sum() == 14 and pool.stripped.sum() == 7  # two of random means
    assert (pool.contrast == CONTRASTS.index("CT")).sum() == 2 and (pool.contrast[~pool.head] == ANY).all()
    assert {0, 1} <= set(pool.contrast.tolist())
    assert pool.pitch[pool.head].abs().max() < 45 and not pool.pitch[~pool.head].any()
    pool.save(tmp_path / "pool.pt")
    assert torch.equal(Pool.read(tmp_path / "pool.pt").images, pool.images)


def test_what_is_seen_of_a_volume_is_turned_as_is_said(pool):
    whole = pool.images[0].float() / 255
    upright = frame_object(whole, torch.ones(whole.shape, dtype=torch.bool))[0]
    turns = set()
    for seed in range(8):
        cube, turn = augment(pool.images[0], torch.Generator().manual_seed(seed))
        assert cube.shape == (2, SIZE, SIZE, SIZE) and float(cube.min()) >= 0 and float(cube.max()) <= 1
        both = [turn_cubes(image, turn) for image in (upright, upright.flip(0))]
        assert max(_correlation(cube[0], image) for image in both) > 0.4
        turns.add(turn)
    assert len(turns) > 4


def test_a_head_nods_by_as_much_as_is_said():
    labels = head_labels()[0]
    assert pitch_deg(labels) == pytest.approx(0.0, abs=0.01)
    nodded = np.zeros_like(labels)
    for value in np.unique(labels[labels > 0]):
        nodded[_nod(torch.from_numpy((labels == value).astype(np.float32)), 15.0).numpy() > 0.5] = value
    assert pitch_deg(nodded) == pytest.approx(15.0, abs=1.0)


def test_heads_of_every_pitch_are_seen(pool):
    seen = [augment(pool.images[0], torch.Generator().manual_seed(seed), pitch) for seed in range(4)
            for pitch in (0.0, None)]
    assert any(not torch.equal(nodded[0], plain[0]) for nodded, plain in zip(seen[::2], seen[1::2], strict=True))


def _correlation(first, second):
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


def test_body_parts_are_all_different_and_repeatable():
    first, second = BodyPartGenerator(24, 12.0, 5), BodyPartGenerator(24, 12.0, 5)
    made = [first.sample() for _ in range(8)]
    assert all(torch.equal(image, second.sample()) for image in made)
    assert all(float(image.std()) > 0.01 for image in made) and not torch.equal(made[0], made[1])


def test_the_loss_falls(pool):
    torch.manual_seed(0)
    task = RecognitionTask(pool, pool, 8, torch.device("cpu"))
    batch, optimizer = task.sample(0.0), torch.optim.AdamW(task.network.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = task.loss(task.network, batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_it_is_trained_and_exported(data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "TRAINING_MAPS", (1, 1))
    monkeypatch.setattr(training, "VALIDATION_MAPS", (11, 11))
    folder = training.train_recognition(data_folder / "labelmaps", tmp_path, 2, batch=4, device="cpu",
                                        sizes=training.PoolSize(1, 4, 1, 2))
    card = load_card(folder / "card.json")
    assert (card.id, card.task, card.training.steps) == ("recognition", "recognition", 2)
    assert card.weights.bytes <= 1_500_000 and (folder / "weights.safetensors").is_file()
