"""The method *network*: what is constant is not computed, and the result is as if it were."""

import numpy as np
import pytest
import torch
from superres_phantoms import affine, textured

from meddl.core.config import SuperResolveConfig
from meddl.networks.architectures.through_plane import ThroughPlaneNetwork
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve
from meddl.superres.methods import through_plane


def sharpened(volume: Volume) -> np.ndarray:
    return super_resolve(volume, SuperResolveConfig(method="network", noise_sigma=0.0), device="cpu").volume.scalar_data


def in_air(shape, place, value: float) -> Volume:
    """A textured box in a volume of one value, with thick slices along the second axis."""
    data = np.full(shape, value, np.float32)
    data[place] += 100 * textured(data[place].shape)
    return Volume.scalar(data, affine((1, 3, 1)))


@pytest.mark.parametrize("place", [np.s_[20:32, 2:9, 22:30], np.s_[0:9, :, 40:52], np.s_[20:23, 3:5, 5:8]])
@pytest.mark.parametrize("value", [0.0, -1000.0])
def test_what_is_constant_is_left_out_and_the_result_is_the_same(monkeypatch, place, value):
    volume = in_air((56, 11, 52), place, value)
    seen = []
    forward = ThroughPlaneNetwork.forward
    monkeypatch.setattr(ThroughPlaneNetwork, "forward",
                        lambda self, x, *more: seen.append(x.numel()) or forward(self, x, *more))
    found = sharpened(volume)
    few = sum(seen)
    seen.clear()
    monkeypatch.setattr(through_plane, "_around_object", lambda *_: ...)
    np.testing.assert_allclose(found, sharpened(volume), rtol=0, atol=1e-3)
    assert few < 0.85 * sum(seen)
    far = np.ones(found.shape, bool)
    far[tuple(slice(max(0, (part.start or 0) - 12), (part.stop or 99) + 12) if axis != 1 else slice(None)
              for axis, part in enumerate(place))] = False
    np.testing.assert_allclose(found[far], value, rtol=0, atol=1e-3)


def test_the_reach_of_the_network_is_what_it_says():
    torch.manual_seed(0)
    network = ThroughPlaneNetwork(channels=8, blocks=2).eval()
    torch.nn.init.normal_(network.tails["2"].weight)
    image = torch.zeros(1, 1, 41, 9)
    with torch.no_grad():
        image[0, 0, 20, 4] = 1.0
        rows = (network(image, 2.0).abs().amax(dim=(0, 1, 3)) > 0).nonzero()[:, 0]
    assert rows.min() == 20 - network.reach and rows.max() == 20 + network.reach
