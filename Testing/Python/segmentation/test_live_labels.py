"""Labels of finished windows are shown while the others are computed, and change nothing."""

import numpy as np
import pytest
import torch
from model_files import card_content
from nnunet_folder import write_nnunet

import meddl
from meddl.models.cards import parse_card
from meddl.models.recipes import Output
from meddl.models.store.store import ModelStore
from meddl.segmentation.live_labels import labels_of, with_preview
from meddl.spatial.volume import Volume


class Onlooker:
    """A callback that also takes previews."""

    def __init__(self):
        self.seen = []

    def __call__(self, fraction, message):
        pass

    def preview(self, value):
        self.seen.append(value)


@pytest.fixture
def card():
    return parse_card(card_content())


def pieces(scores, rows):
    return (scores[:, start:start + rows] for start in range(0, scores.shape[1], rows))


@pytest.mark.parametrize("rows", [1, 3, 7, 300])
def test_the_last_preview_is_the_whole_thinned_out(card, rows):
    scores = torch.rand(3, 300, 20, 10, generator=torch.Generator().manual_seed(0))
    output = Output("classes", (0, 10, 49))
    onlooker = Onlooker()
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    handed = list(with_preview(pieces(scores, rows), card, output, scores.shape[1:], affine, onlooker))
    assert torch.equal(torch.cat(handed, dim=1), scores)
    shown = onlooker.seen[-1]
    assert shown["kind"] == "labels" and shown["colors"][10] == (0, 118, 14)
    full = np.array(output.values)[scores.argmax(0).numpy()]
    assert np.array_equal(shown["labels"].scalar_data, full[::3, ::3, ::3])
    assert np.allclose(shown["labels"].affine, np.diag([3.0, 6.0, 9.0, 1.0]))


def test_where_nobody_looks_nothing_is_made(card, monkeypatch):
    monkeypatch.setattr("meddl.segmentation.live_labels.labels_of", lambda *_: 1 / 0)
    scores = torch.zeros(3, 8, 8, 8)
    output = Output("classes", (0, 10, 49))
    assert len(list(with_preview(pieces(scores, 4), card, output, (8, 8, 8), np.eye(4), None))) == 2


def test_regions_are_written_over_one_another_in_their_order():
    scores = torch.tensor([[1.0, 1.0, -1.0], [-1.0, 2.0, -2.0]])[..., None, None]
    assert labels_of(scores, Output("regions", (5, 7))).ravel().tolist() == [5, 7, 0]
    assert labels_of(scores, Output("regions", (7, 5), order=(1, 0))).ravel().tolist() == [5, 5, 0]
    sure = Output("regions", (5, 7), activation="sigmoid", threshold=0.8)
    assert labels_of(scores, sure).ravel().tolist() == [0, 7, 0]


def test_an_imported_model_shows_its_windows_as_they_end(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    ModelStore().import_model(write_nnunet(tmp_path / "model", mirror=()), identifier="small")
    data = np.random.default_rng(0).normal(size=(40, 16, 16)).astype(np.float32)
    volume = Volume.scalar(data, np.diag([2.0, 2.0, 2.0, 1]))
    onlooker = Onlooker()
    found = meddl.segment(volume, "small", device="cpu", on_progress=onlooker)
    last = onlooker.seen[-1]["labels"]
    assert (last.reorient("RAS").scalar_data == found.labels).mean() > 0.95
