"""The recurrent network, and the filter that it sets the gain of."""

import pytest
import torch

from meddl.networks import build_network
from meddl.networks.recurrent.conv_gru import ConvGRUCell3d
from meddl.networks.recurrent.temporal_filter import begin, update


def frames(count=5, shape=(6, 7, 5), seed=0):
    return torch.randn((count, 1, 1, *shape), generator=torch.Generator().manual_seed(seed))


def trained():
    """A network whose head is not zero any more."""
    torch.manual_seed(1)
    network = build_network("RecurrentGain3D", {"channels": 8})
    torch.nn.init.normal_(network.head.weight, std=0.2)
    return network.requires_grad_(False)


def follow(network, given, noise=1.0, memory_frames=16):
    memory = begin(given[0])
    for frame in given[1:]:
        memory = update(network, memory, frame, noise, memory_frames)
    return memory


def test_a_new_network_makes_the_filter_a_plain_mean():
    given = frames()
    memory = follow(build_network("RecurrentGain3D", {}).requires_grad_(False), given)
    torch.testing.assert_close(memory.mean, given.mean(dim=0))
    torch.testing.assert_close(memory.variance, torch.full_like(memory.mean, 1 / len(given)))
    assert memory.state.shape == (1, 16, 3, 4, 3) and memory.state.abs().max() <= 1


def test_a_long_series_is_averaged_over_as_many_frames_as_asked():
    memory = follow(build_network("RecurrentGain3D", {}).requires_grad_(False), frames(60), memory_frames=4)
    torch.testing.assert_close(memory.gain, torch.full_like(memory.gain, 1 / 4))


@pytest.mark.parametrize(("factor", "offset"), [(250.0, -3.0), (0.01, 40.0)])
def test_other_units_give_the_same_weights(factor, offset):
    given, network = 10 * frames(), trained()
    first, second = follow(network, given), follow(network, factor * given + offset, factor)
    torch.testing.assert_close(first.gain, second.gain, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(factor * first.mean + offset, second.mean, rtol=1e-3, atol=1e-3 * factor)


def test_the_mean_lies_between_memory_and_frame():
    given, network = frames(), trained()
    memory = begin(given[0])
    for frame in given[1:]:
        found = update(network, memory, frame, 1.0)
        low, high = torch.minimum(memory.mean, frame), torch.maximum(memory.mean, frame)
        assert ((found.mean >= low - 1e-6) & (found.mean <= high + 1e-6)).all()
        assert (found.gain > 0).all() and (found.variance <= 1 + 1e-6).all()
        memory = found


def test_the_cell_keeps_its_state_where_its_update_gate_is_closed():
    cell = ConvGRUCell3d(2, 3)
    with torch.no_grad():
        cell.gates.weight.zero_()
        cell.gates.bias[:3] = -30.0
    state = torch.rand((1, 3, 4, 4, 4))
    torch.testing.assert_close(cell(torch.randn((1, 2, 4, 4, 4)), state), state)
    with torch.no_grad():
        cell.gates.bias[:3] = 30.0
    assert not torch.allclose(cell(torch.randn((1, 2, 4, 4, 4)), state), state)
