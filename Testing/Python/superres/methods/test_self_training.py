"""Self-training: pairs from the volume itself, the best network kept, an end on request."""

import numpy as np
import pytest
import torch
from superres_phantoms import textured, thick_slices

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.networks import build_network
from meddl.superres import super_resolve
from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.methods.own_patches import OwnPatches
from meddl.superres.methods.self_training import train_on


def patches(factor: float = 3.0, noise: float = 0.0, shape=(24, 60, 52)) -> OwnPatches:
    return OwnPatches(textured(shape).astype(np.float32), Acquisition(factor), noise)


def test_pairs_are_sharp_patches_and_their_thick_slices():
    thick, sharp = patches().draw(6)
    assert thick.shape == (6, 1, 40, 17)
    assert sharp.shape == (6, 1, 40, 51)
    again = Acquisition(3.0).forward(sharp, 17)
    assert float((again - thick).abs().mean()) < 0.1 * float(sharp.std())
    assert torch.allclose(thick.mean(dim=(1, 2, 3)), sharp.mean(dim=(1, 2, 3)), atol=0.02)


def test_the_noise_of_thick_patches_is_that_of_the_volume():
    rng = np.random.default_rng(0)
    only_noise = OwnPatches(rng.normal(size=(24, 64, 64)).astype(np.float32), Acquisition(4.0), 1.0)
    thick, _ = only_noise.draw(64)
    assert float(thick.std()) == pytest.approx(1, abs=0.05)


def test_held_out_images_are_never_drawn():
    marked = np.arange(24, dtype=np.float32)[:, None, None] * np.ones((24, 60, 52), np.float32)
    own = OwnPatches(marked, Acquisition(3.0), 0.0)
    drawn = set(torch.cat([own.draw(64)[1].amax(dim=(1, 2, 3)) for _ in range(10)]).round().int().tolist())
    tested = set(own.held_out_patches()[1].amax(dim=(1, 2, 3)).round().int().tolist())
    assert tested
    assert drawn
    assert not tested & drawn


def test_training_never_ends_below_its_start():
    own = patches()
    model = build_network("ThroughPlaneNetwork", {"channels": 12, "blocks": 1})
    figures = train_on(model, own, Acquisition(3.0), 1e-3, 4.0)
    assert figures["training_steps"] > 0
    assert figures["held_out_psnr_db"]["after"] >= figures["held_out_psnr_db"]["before"]
    assert not model.training
    assert figures["training_seconds"] < 8


def test_it_ends_with_the_best_so_far_when_that_is_enough():
    told = []

    def progress(fraction, text):
        told.append(text)

    progress.should_stop = lambda: sum("Learning" in text for text in told) >= 3
    volume = thick_slices(textured((44, 42, 36)), 3, 0.02)
    config = SuperResolveConfig(method="self-training", seconds=600.0)
    outcome = super_resolve(volume, config, device="cpu", on_progress=progress)
    assert outcome.report["training_steps"] == 3
    assert outcome.volume.shape == (44, 42, 36)


def test_impossible_times_and_volumes_are_refused():
    volume = thick_slices(textured((44, 42, 36)), 3)
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="seconds"):
            super_resolve(volume, SuperResolveConfig(method="self-training", seconds=seconds), device="cpu")
    small = thick_slices(textured((16, 16, 36)), 4)
    with pytest.raises(InputError, match="too small"):
        super_resolve(small, SuperResolveConfig(method="self-training"), device="cpu")
