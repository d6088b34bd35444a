"""The atlas of some heads: symmetric, sharper than an affine average, and put into a model's weights and card."""

import argparse
import hashlib
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from model_files import model_folder
from toy_heads import MIRROR, VALUES, head, mean_dice

from meddl.core.errors import ModelError
from meddl.models.cards import AtlasSpec, load_card
from meddl.models.weights import load_weights
from meddl.segmentation.atlas.probabilistic_atlas import Atlas, pack, unpack
from meddl.segmentation.atlas.tissues import Tissues
from meddl.synthesis.labels import LabelMaps, LabelTable
from meddl.training.segmentation.atlas import add_arguments, average_label_maps, give_atlas, run

TISSUES = Tissues(MIRROR)
SHAPE = (32, 32, 32)  # of 4 mm


@pytest.fixture(scope="module")
def maps():
    """Four random heads as label maps, in the order of the classes: a row is its class."""
    order = np.argsort(VALUES)
    row_of = np.argsort(order)
    labels = np.array(VALUES)[order]
    table = LabelTable(labels, tuple(map(str, labels)), np.arange(len(labels)), labels,
                       np.array([row_of[MIRROR[n]] for n in order]))
    heads = torch.stack([torch.from_numpy(row_of)[head(seed, 2.0, (60, 60, 60))[0]] for seed in (1, 2, 3, 4)])
    return LabelMaps(table, heads.to(torch.uint8), torch.full((4, 3), 29.5))


@pytest.fixture(scope="module")
def atlas(maps):
    return average_label_maps(maps, VALUES, TISSUES, spacing_mm=2.0, shape=SHAPE, rounds=2)


def test_it_is_symmetric_and_its_probabilities_sum_to_one(atlas):
    torch.testing.assert_close(atlas.probabilities, atlas.probabilities.flip(1))
    torch.testing.assert_close(atlas.probabilities.sum(dim=0), torch.ones(SHAPE), atol=1e-4, rtol=0)


def test_the_label_maps_lie_where_their_average_lies(maps):
    affine = average_label_maps(maps, VALUES, TISSUES, spacing_mm=2.0, shape=SHAPE, rounds=0)
    tissues = [TISSUES.of_class[affine.label_maps.classes(n).long()] for n in range(4)]
    probabilities = torch.stack([F.one_hot(t, TISSUES.count).permute(3, 0, 1, 2).float() for t in tissues]).mean(dim=0)
    mean = F.avg_pool3d((probabilities + probabilities.flip(1))[None] / 2, 2)[0]
    assert (mean - affine.probabilities).abs().mean() < 0.01
    assert (mean.argmax(dim=0) == affine.probabilities.argmax(dim=0)).float().mean() > 0.97


def test_it_is_sharper_than_an_affine_average(maps, atlas):
    affine = average_label_maps(maps, VALUES, TISSUES, spacing_mm=2.0, shape=SHAPE, rounds=0)
    assert atlas.probabilities.amax(dim=0).mean() > affine.probabilities.amax(dim=0).mean()


def test_it_looks_like_the_plan_that_the_heads_were_warped_from(atlas):
    plan = TISSUES.of_class[head(None, 4.0, SHAPE)[0]]  # the maps' voxels count as 1 mm, and are 2
    assert mean_dice(atlas.probabilities.argmax(dim=0), plan) * 12 / (TISSUES.count - 1) > 0.75


def test_weights_and_card_carry_it(atlas, tmp_path):
    folder = model_folder(tmp_path / "tiny")
    before = load_weights(folder / "weights.safetensors")["segmenter.a"]
    whole = atlas.probabilities
    probabilities = torch.stack([whole[:3].sum(dim=0), whole[3], whole[4:].sum(dim=0)])
    spec = AtlasSpec((0, 10, 16), 4.0, SHAPE, "toy heads", "none", "test")
    tensors = pack(Atlas(probabilities, atlas.grid))
    give_atlas(folder, tensors | {"atlas.heads": torch.zeros(99, dtype=torch.uint8)}, spec)
    give_atlas(folder, tensors, spec)  # a second one takes the place of the first
    card = load_card(folder / "card.json")
    weights = folder / "weights.safetensors"
    assert card.weights.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    tensors = load_weights(weights)
    assert "atlas.heads" not in tensors
    torch.testing.assert_close(tensors["segmenter.a"], before)
    torch.testing.assert_close(unpack(tensors, card.atlas, 9).probabilities, probabilities, atol=0.01, rtol=0)
    assert json.loads((folder / "card.json").read_text())["accuracy"] == []  # they were of other weights


def test_a_model_can_take_the_atlas_of_another_one(atlas, tmp_path):
    giver, taker = model_folder(tmp_path / "giver"), model_folder(tmp_path / "taker", size=9)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(["--from", str(giver), "--model", str(taker)])
    with pytest.raises(ModelError, match="none"):
        run(arguments)
    probabilities = torch.stack([atlas.probabilities[0], atlas.probabilities[1], atlas.probabilities[2:].sum(dim=0)])
    give_atlas(giver, pack(Atlas(probabilities, atlas.grid)),
               AtlasSpec((0, 10, 16), 4.0, SHAPE, "toy heads", "none", "test"))
    run(arguments)
    assert load_card(taker / "card.json").atlas == load_card(giver / "card.json").atlas
    assert len(load_weights(taker / "weights.safetensors")["segmenter.a"]) == 9
