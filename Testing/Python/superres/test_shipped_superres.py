"""The networks of super-resolution and denoising that ship: small, with complete cards, and right on real volumes."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from meddl.core.config import SuperResolveConfig
from meddl.core.paths import resources_folder
from meddl.evaluation.superres import CASES, METHODS, _gains, _truths
from meddl.models.cards import load_card
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve

FOLDER = resources_folder() / "Models"
SHIPPED = [model for model in METHODS if (FOLDER / model / "card.json").is_file()]
FLOORS = {"superres-through-plane": 1.5, "superres-edsr3d": 1.3, "superres-srresnet": 1.3, "superres-srcnn": 0.8,
          "superres-srgan": 0.8, "denoise-residual": 3.0, "denoise-autoencoder": 2.0}  # dB, mean over the tasks

EDGE_WIDENING_VOXELS = 0.5


def test_the_through_plane_network_ships():
    assert "superres-through-plane" in SHIPPED


def test_together_they_are_small():
    assert sum(load_card(FOLDER / model / "card.json").weights.bytes for model in SHIPPED) <= 8e6


@pytest.mark.parametrize("model", SHIPPED)
def test_weights_are_those_of_the_card_and_the_card_is_complete(model):
    store = ModelStore(shipped=FOLDER)
    store.verify(model)
    card = store.card(model)
    assert card.task == ("denoise" if model.startswith("denoise") else "superres")
    assert card.training.steps > 100
    assert card.training.command.startswith("meddl train superres --network")
    assert "doi:" in card.citation
    assert "Apache-2.0" in card.training.data_license
    measured = {entry.case for entry in card.accuracy}
    assert {"held-out synthetic volumes", "mean", *CASES} <= measured


@pytest.mark.parametrize("model", SHIPPED)
def test_every_figure_of_the_card_was_measured_with_its_weights(model):
    card = load_card(FOLDER / model / "card.json")
    assert {entry.sha256 for entry in card.accuracy} == {card.weights.sha256}


def test_the_losses_of_both_networks_of_srgan_are_plotted_beside_its_card():
    curves = load_card(FOLDER / "superres-srgan" / "card.json").training.curves
    picture = (FOLDER / "superres-srgan" / curves).read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000


@pytest.mark.parametrize("model", SHIPPED)
def test_it_gains_on_a_real_volume(model, data_folder):
    truth, axis = dict(_truths(data_folder, 36))["ecog_t1"]
    gains = [gain.gain_db for gain in _gains(model, METHODS[model][0], "ecog_t1", truth, axis, "cpu")]
    assert np.mean(gains) > FLOORS[model]


@pytest.mark.parametrize("model", [model for model in SHIPPED if model.startswith("denoise")])
def test_an_edge_under_noise_stays_as_sharp_as_stated(model):
    """A step of half the range, under 5 % noise: its 10 to 90 % width grows by less than half a voxel."""
    sharp = np.zeros((40, 40, 40), np.float32)
    sharp[20:] = 1
    sharp[:, :, :4] = 2  # something else in the volume: the range is not that of the step alone
    sharp = gaussian_filter(sharp, 0.7)
    noisy = sharp + np.random.default_rng(0).normal(0, 0.1, sharp.shape).astype(np.float32)
    config = SuperResolveConfig(method=METHODS[model][0], noise_sigma=0.1, keep_range=False)
    made = super_resolve(Volume.scalar(noisy, np.eye(4)), config, device="cpu").volume.scalar_data
    before, after = (_width(volume[:, 8:-8, 12:-8].mean(axis=(1, 2))) for volume in (sharp, made))
    assert before == pytest.approx(2.1, abs=0.1)
    assert after < before + EDGE_WIDENING_VOXELS
    assert made[28:36, 8:-8, 12:-8].std() < 0.04


def _width(profile: np.ndarray) -> float:
    """Distance between the places where a rising edge passes 10 and 90 %, in voxels."""
    places = np.arange(len(profile))
    unit = (profile - profile[5:12].mean()) / (profile[-12:-5].mean() - profile[5:12].mean())
    low, high = (np.interp(level, unit[14:26], places[14:26]) for level in (0.1, 0.9))
    return float(high - low)
