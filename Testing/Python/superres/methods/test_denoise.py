"""Denoising: the grid stays, noise is named, Rician or Gaussian, and the self-supervised method learns."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import Cancelled
from meddl.networks import build_network
from meddl.spatial.volume import Volume
from meddl.superres import job, super_resolve
from meddl.superres.methods import denoise
from meddl.superres.methods.neighbor_to_neighbor import neighbors, pick_voxels, train_further


class Smoother(torch.nn.Module):
    """Stands in for a trained denoiser: a mean over neighbors; keeps what it was told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def forward(self, x, sigma=None):
        if sigma is not None:
            self.told.append(torch.as_tensor(sigma).clone())
        padded = torch.nn.functional.pad(x, [1] * 6, mode="replicate")
        return torch.nn.functional.avg_pool3d(padded, 3, stride=1)


@pytest.fixture
def smoother(monkeypatch):
    made = Smoother()
    monkeypatch.setattr(job, "load_networks",
                        lambda identifier, task, device: (SimpleNamespace(id=identifier, version="1.0.0"), {"n": made}))
    return made


def noisy(kind="gaussian", sigma=20.0, shape=(32, 30, 28)):
    rng = np.random.default_rng(0)
    clean = np.zeros(shape, np.float32)
    clean[8:24, 8:24, 6:22] = 400
    noise = rng.normal(0, sigma, (2, *shape))
    seen = np.hypot(clean + noise[0], noise[1]) if kind == "rician" else clean + noise[0] - 200
    return clean, Volume.scalar(seen.astype(np.float32), np.diag([1, 1, 3, 1.0]))


@pytest.mark.parametrize("method", ["denoise", "denoise-autoencoder"])
def test_the_grid_and_the_type_stay_and_the_noise_falls(smoother, method):
    clean, volume = noisy()
    volume = Volume(volume.data.astype(np.int16), volume.affine)
    result = super_resolve(volume, SuperResolveConfig(method=method, noise_sigma=20.0), device="cpu")
    np.testing.assert_array_equal(result.volume.affine, volume.affine)
    assert result.volume.data.dtype == np.int16
    inside = (slice(11, 20),) * 2 + (slice(9, 18),)
    assert result.volume.scalar_data[inside].std() < 0.4 * volume.scalar_data[inside].std()
    assert abs(result.volume.scalar_data[inside].mean() - 200) < 2
    assert (volume.scalar_data != result.volume.scalar_data).any()


def test_the_network_is_told_the_noise_in_the_volume_s_own_scale(smoother):
    _, volume = noisy()
    result = super_resolve(volume, SuperResolveConfig(method="denoise", noise_sigma=20.0), device="cpu")
    assert result.report["noise_model"] == "gaussian"
    width = np.subtract(*np.percentile(volume.data, (99.5, 0.5)))
    assert float(smoother.told[0]) == pytest.approx(20 / width, rel=1e-3)


@pytest.mark.parametrize("kind", ["gaussian", "rician"])
def test_of_noise_that_was_estimated_the_network_is_told_a_little_less(smoother, kind):
    _, volume = noisy(kind)
    report = super_resolve(volume, SuperResolveConfig(method="denoise", keep_range=False), device="cpu").report
    sigma = report["noise_sigma"][0]
    stated = SuperResolveConfig(method="denoise", keep_range=False, noise_sigma=sigma)
    super_resolve(volume, stated, device="cpu")
    estimated, believed = smoother.told
    torch.testing.assert_close(estimated, denoise.ESTIMATE_FRACTION * believed)


def test_magnitudes_are_freed_of_their_bias(smoother):
    clean, volume = noisy("rician")
    result = super_resolve(volume, SuperResolveConfig(method="denoise", noise_sigma=20.0, keep_range=False),
                           device="cpu")
    assert result.report["noise_model"] == "rician"
    background = clean == 0
    background[6:26, 6:26, 4:24] = False
    assert volume.scalar_data[background].mean() == pytest.approx(25, abs=1)
    assert result.volume.scalar_data[background].mean() < 10
    assert smoother.told[0].shape == (1, 1, 32, 30, 28)


@pytest.mark.parametrize(("kind", "shift", "expected"), [
    ("rician", 0, True), ("gaussian", 0, False), ("gaussian", 1000, False)])
def test_a_magnitude_image_is_known_by_its_background(kind, shift, expected):
    _, volume = noisy(kind)
    assert denoise.is_magnitude(volume.scalar_data + shift, 20.0) is expected
    assert not denoise.is_magnitude(np.where(volume.scalar_data < 90, 0, volume.scalar_data), 20.0)  # masked


def test_where_no_noise_is_seen_nothing_changes(smoother):
    clean = Volume.scalar(noisy()[0], np.eye(4))
    result = super_resolve(clean, SuperResolveConfig(method="denoise"), device="cpu")
    np.testing.assert_array_equal(result.volume.data, clean.data)
    assert denoise.NO_NOISE in result.report["warnings"]


def test_neighbors_touch_and_each_block_gives_two():
    places = torch.stack(torch.meshgrid(*[torch.arange(8.0)] * 3, indexing="ij"))[:, None]
    volume = places[2] + 10 * places[1] + 100 * places[0]
    first, second, choice = neighbors(volume[None], torch.Generator().manual_seed(0))
    assert set((first - second).abs().unique().tolist()) == {1.0, 10.0, 100.0}
    blocks = torch.nn.functional.avg_pool3d(volume[None], 2) - 55.5
    for part in (first, second):
        assert set(part.sub(blocks).unique().tolist()) <= {0.0, 1.0, 10.0, 11.0, 100.0, 101.0, 110.0, 111.0}
    torch.testing.assert_close(pick_voxels(volume[None], choice), (first, second))


@pytest.mark.slow
def test_the_self_supervised_method_learns_from_the_noisy_volume_alone(monkeypatch):
    clean, volume = noisy(shape=(48, 30, 28))
    data = volume.scalar_data / 400
    torch.manual_seed(0)
    untrained, figures = build_network("ResidualDenoiser3D", {"channels": 16, "blocks": 1}).eval(), {}
    monkeypatch.setattr("meddl.superres.methods.neighbor_to_neighbor._LEARNING_RATE", 1e-3)
    monkeypatch.setattr("meddl.superres.methods.neighbor_to_neighbor._PATCH", 16)
    monkeypatch.setattr("meddl.superres.methods.neighbor_to_neighbor._PATIENCE", 6)
    made = train_further(untrained, data, 0.05, 60.0, torch.device("cpu"), figures)
    assert figures["self_supervised_steps"] >= 20
    assert figures["self_supervised_gain"] > 0.05
    with torch.no_grad():
        x = torch.from_numpy(data)[None, None]
        truth = torch.from_numpy(clean / 400 - 0.5)
        before, after = ((net(x, 0.05)[0, 0] - truth).square().mean() for net in (untrained, made))
    assert after < 0.75 * before
    assert untrained.tail.weight.abs().max() == 0  # the network that was given is as it was


def test_a_cancel_ends_the_self_supervised_method():
    net = build_network("ResidualDenoiser3D", {"channels": 16, "blocks": 1})

    def stop(fraction, message):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        train_further(net, np.zeros((16, 16, 16), np.float32), 0.1, 60.0, torch.device("cpu"), {}, stop)
