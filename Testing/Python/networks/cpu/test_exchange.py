"""Layers that take the place of others: the same parameters, every place, no object of another class than before."""

import torch
from torch import nn

from meddl.networks.cpu.exchange import exchange_layers


class Doubled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def doubled(layer: nn.Module) -> type[nn.Module] | None:
    return Doubled if type(layer) is nn.Linear else None


def test_a_layer_is_replaced_and_keeps_parameters_names_and_settings():
    old = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).eval()
    linear = old[0]
    new = exchange_layers(old, doubled)
    assert type(new[0]) is Doubled and type(linear) is nn.Linear
    assert new[0].weight is linear.weight and new[0].out_features == 3 and not new[0].training
    assert list(new.state_dict()) == ["0.weight", "0.bias"]


def test_a_layer_with_several_places_stays_one():
    layer = nn.Linear(2, 2)
    new = exchange_layers(nn.ModuleDict({"a": layer, "b": nn.Sequential(layer, layer)}), doubled)
    assert new["a"] is new["b"][0] is new["b"][1]
    x = torch.ones(1, 2)
    assert torch.equal(new["a"](x), 2 * layer(x))


def test_the_network_itself_may_be_such_a_layer():
    layer = nn.Linear(2, 2)
    assert type(exchange_layers(layer, doubled)) is Doubled and type(layer) is nn.Linear


def test_hooks_go_with_the_layer():
    layer, seen = nn.Linear(2, 2), []
    layer.register_forward_hook(lambda *_: seen.append(1))
    exchange_layers(nn.Sequential(layer), doubled)(torch.ones(1, 2))
    assert seen == [1]


def test_nothing_changes_where_no_layer_is_named():
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    inner = network[1]
    assert exchange_layers(network, lambda layer: None) is network and network[1] is inner
