"""The 3D methods of super-resolution: blocks without seams, the right grid, SRGAN's warnings."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import Cancelled, InputError
from meddl.networks import build_network
from meddl.spatial.volume import Volume
from meddl.superres import job, super_resolve
from meddl.superres.methods import volumetric
from meddl.superres.methods.blocks import Blocking, over_blocks

ARCHITECTURES = {"superres-edsr3d": "EDSR3D", "superres-srcnn": "SRCNN3D", "superres-srresnet": "SRResNet3D",
                 "superres-srgan": "SRResNet3D"}


def network(name, seed=0, strength=0.03):
    """A network that changes the cubic spline a little, as a trained one does."""
    torch.manual_seed(seed)
    net = build_network(name, {}).eval()
    torch.nn.init.normal_(net.tail.weight, 0, strength)
    return net.requires_grad_(False)


@pytest.fixture
def models(monkeypatch):
    """Networks in the place of those that ship."""
    def load(identifier, task, device):
        assert task == "superres"
        seed = 1 if identifier == "superres-srgan" else 0
        return SimpleNamespace(id=identifier, version="1.0.0"), {
            "network": network(ARCHITECTURES[identifier], seed).to(device)}
    monkeypatch.setattr(job, "load_networks", load)


def head(shape=(14, 12, 10), spacing=(1.0, 1.0, 1.0)):
    rng = np.random.default_rng(0)
    axes = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    data = 800 * np.exp(-2 * (axes ** 2).sum(0)) - 200 + rng.normal(0, 5, shape)
    return Volume.scalar(data.astype(np.float32), np.diag([*spacing, 1.0]))


@pytest.mark.parametrize("name", ["EDSR3D", "SRCNN3D", "SRResNet3D", "ResidualDenoiser3D", "DenoisingAutoencoder3D"])
def test_blocks_leave_no_seams(name):
    net = network(name)
    scale, reach = (1, 24) if "Deno" in name or "Auto" in name else (2, volumetric.BLOCKS[name][0])
    data = np.random.default_rng(1).random((61, 18, 21)).astype(np.float32)

    def predict(part, _where):
        return net(part, 0.1) if name == "ResidualDenoiser3D" else net(part)

    whole = over_blocks(predict, [net], data, Blocking(scale, reach, 200), torch.device("cpu"), "")
    blocks = over_blocks(predict, [net], data, Blocking(scale, reach, 12), torch.device("cpu"), "")
    assert whole.shape == tuple(scale * n for n in data.shape)
    assert abs(whole - blocks).max() < 2e-5
    assert abs(whole.mean() - data.mean()) < 0.3


def test_a_cancel_between_layers_leaves_no_hook_behind():
    net, heard = network("EDSR3D"), []

    def stop_at_the_fifth(fraction, message):
        heard.append(message)
        if len(heard) == 5:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        over_blocks(lambda part, _: net(part), [net], np.zeros((8, 8, 8), np.float32), Blocking(2, 4, 8),
                    torch.device("cpu"), "Sharpening", stop_at_the_fifth)
    assert heard == ["Sharpening"] * 5
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("method", ["edsr3d", "srcnn", "srresnet"])
def test_every_axis_is_halved_about_the_same_center(models, method):
    volume = head()
    result = super_resolve(volume, SuperResolveConfig(method=method), device="cpu")
    assert result.volume.shape == (28, 24, 20)
    np.testing.assert_allclose(result.volume.grid.center_mm, volume.grid.center_mm)
    np.testing.assert_allclose(result.volume.spacing_mm, 0.5)
    assert result.report["model"] == f"superres-{method} 1.0.0"
    assert abs(result.volume.data.mean() - volume.data.mean()) < 5
    assert result.difference is None


def test_nearly_equal_voxels_reach_one_size_and_others_are_refused(models):
    result = super_resolve(head((10, 10, 9), (1, 1, 1.2)), SuperResolveConfig(method="edsr3d"), device="cpu")
    assert result.volume.shape == (20, 20, 22)
    with pytest.raises(InputError, match="choose the method network"):
        super_resolve(head((10, 10, 9), (1, 1, 4)), SuperResolveConfig(method="edsr3d"), device="cpu")
    with pytest.raises(InputError, match="halves"):
        super_resolve(head(), SuperResolveConfig(method="srcnn", factor=4.0), device="cpu")


def test_a_constant_and_negative_values_survive(models):
    flat = Volume.scalar(np.full((9, 8, 7), -1000, np.int16), np.eye(4))
    assert (super_resolve(flat, SuperResolveConfig(method="srresnet"), device="cpu").volume.data == -1000).all()


def test_srgan_says_what_it_invents_and_where(models):
    config = SuperResolveConfig(method="srgan", adversarial_strength=0.3, keep_range=False)
    result = super_resolve(head(), config, device="cpu")
    assert any("invents texture" in text for text in result.report["warnings"])
    assert "invented" in result.report["name_suffix"]
    assert result.difference.shape == result.volume.shape
    assert result.difference.data.min() >= 0
    assert result.report["difference_mean"] == pytest.approx(float(result.difference.data.mean()), rel=1e-3)
    none = super_resolve(head(), SuperResolveConfig(method="srgan", adversarial_strength=0.0), device="cpu")
    assert none.difference.data.max() == 0
    full = super_resolve(head(), SuperResolveConfig(method="srgan", adversarial_strength=1.0), device="cpu")
    assert full.difference.data.mean() > result.difference.data.mean()
    with pytest.raises(InputError, match="strength"):
        super_resolve(head(), SuperResolveConfig(method="srgan", adversarial_strength=2.0), device="cpu")


def test_between_two_networks_lie_their_weights():
    first, second = network("SRResNet3D", 0), network("SRResNet3D", 1)
    middle = volumetric.between(first, second, 0.25)
    torch.testing.assert_close(middle.tail.weight, 0.75 * first.tail.weight + 0.25 * second.tail.weight)
