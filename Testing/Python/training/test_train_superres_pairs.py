"""Training on pairs of the user's own volumes, coarse and sharp, and the result as a model of `meddl superres`."""

import argparse

import numpy as np
import pytest
import torch
from scipy import ndimage

import meddl
from meddl.core.errors import InputError
from meddl.io import save
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume
from meddl.training.superres import command
from meddl.training.superres.pairs import load_pairs

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])


def pair(seed: int, shift=(0.0, 0.0, 0.0)) -> tuple[Volume, Volume]:
    """(low at 2 mm, high at 1 mm): smooth blobs with edges; the high one moved by so many mm."""
    rng = np.random.default_rng(seed)
    wide = ndimage.gaussian_filter(rng.standard_normal((64, 60, 56)), 4)
    blobs = ndimage.gaussian_filter(np.where(wide > 0.02, 400.0, 100.0) + 600 * wide, 0.7)
    low = blobs.reshape(32, 2, 30, 2, 28, 2).mean(axis=(1, 3, 5))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 0.5
    moved = AFFINE.copy()
    moved[:3, 3] = shift
    return Volume.scalar(low.astype(np.float32), affine), Volume.scalar(blobs.astype(np.float32), moved)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    for kind in ("low", "high"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
    for seed in range(3):
        for kind, volume in zip(("low", "high"), pair(seed), strict=True):
            save(volume, tmp_path / "pairs" / kind / f"case_{seed}.nii.gz")
    return tmp_path / "pairs"


def options(folder, out, *more):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(["--pairs", str(folder), "--out", str(out), "--device", "cpu", "--hours", "1",
                              "--network", "srresnet", *more])


def test_pairs_tune_the_network_that_ships_and_the_model_is_chosen_by_name(folder, tmp_path):
    place = command.run(options(folder, tmp_path / "run", "--steps", "12", "--batch", "2", "--name", "My Scanner"))
    card = ModelStore().card("my-scanner")
    assert place.name == "my-scanner" and card.name == "My Scanner" and card.accuracy[0].value > 0
    shipped = ModelStore().card("superres-srresnet")
    assert card.training.steps == shipped.training.steps + 12
    assert "pairs of volumes" in card.training.data and "synthetic" not in card.accuracy[0].case
    low, high = pair(5)
    config = meddl.SuperResolveConfig(method="srresnet", target_spacing_mm=1.0, model="my-scanner")
    own = meddl.super_resolve(low, config, reference=high, device="cpu")
    theirs = meddl.super_resolve(low, meddl.SuperResolveConfig(method="srresnet", target_spacing_mm=1.0),
                                 reference=high, device="cpu")
    assert own.report["model"].startswith("my-scanner")
    assert not np.array_equal(own.volume.data, theirs.volume.data)
    with pytest.raises(InputError, match="is a SRResNet3D; the method edsr3d needs a EDSR3D"):
        meddl.super_resolve(low, meddl.SuperResolveConfig(method="edsr3d", target_spacing_mm=1.0, model="my-scanner"),
                            device="cpu")


def test_pairs_that_lie_apart_are_registered_if_asked(folder):
    for kind, volume in zip(("low", "high"), pair(0, shift=(3.0, -2.0, 2.0)), strict=True):
        save(volume, folder / kind / "case_0.nii.gz")
    errors = []
    for register in (False, True):
        first = load_pairs(folder, 2, register, torch.device("cpu"))[0]
        blurred = torch.nn.functional.avg_pool3d(first.high[None, None], 2)[0, 0]
        errors.append(float((blurred - first.low)[4:-4, 4:-4, 4:-4].abs().mean()))
    assert errors[1] < 0.3 * errors[0]


def test_a_denoiser_learns_from_noisy_and_clean_pairs(folder, tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(3):
        clean = pair(seed)[0]
        noisy = Volume(clean.data + 20 * rng.standard_normal(clean.data.shape).astype(np.float32), clean.affine)
        for kind, volume in (("low", noisy), ("high", clean)):
            save(volume, folder / kind / f"case_{seed}.nii.gz")
    command.run(options(folder, tmp_path / "run", "--network", "autoencoder", "--steps", "4", "--batch", "1",
                      "--name", "quiet"))
    assert ModelStore().card("quiet").accuracy[0].value > 0
    noisy = meddl.super_resolve(pair(7)[0], meddl.SuperResolveConfig(method="denoise-autoencoder", model="quiet"),
                                device="cpu")
    assert noisy.report["model"].startswith("quiet")


def test_what_is_wrong_with_pairs_is_said(folder, tmp_path):
    with pytest.raises(InputError, match="folders low and high"):
        command.run(options(tmp_path, tmp_path / "run"))
    with pytest.raises(InputError, match="Pairs are for"):
        command.run(options(folder, tmp_path / "run", "--network", "through-plane"))
    with pytest.raises(InputError, match="should be as long as"):
        command.run(options(folder, tmp_path / "run", "--network", "autoencoder"))
    for name in ("case_0", "case_1"):
        (folder / "high" / f"{name}.nii.gz").unlink()
    with pytest.raises(InputError, match="1 pairs"):
        command.run(options(folder, tmp_path / "run"))
