"""A training whose loss is not a number any more ends, and what it learned before stays."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from meddl.core.errors import DivergenceError
from meddl.networks.architectures.srresnet import SRResNet3D
from meddl.training.loop import LoopOptions, train
from meddl.training.superres.adversarial import train_adversarial
from meddl.training.supervised.data.spade import DIVISOR, SpadeRenderer, train_renderer


class DivergingTask:
    """A linear map whose loss is not a number from a step on."""

    def __init__(self, first_bad: int):
        self.network, self.first_bad, self.drawn = nn.Linear(2, 1), first_bad, 0

    def sample(self, done: float) -> torch.Tensor:
        self.drawn += 1
        return torch.full((1, 2), float("nan") if self.drawn > self.first_bad else 1.0)

    def loss(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return network(batch).square().mean()

    def validate(self, network: nn.Module) -> float:
        return 0.5

    def state(self) -> dict:
        return {}

    def resume(self, state: dict) -> None:
        pass


def test_the_checkpoint_before_is_kept(tmp_path):
    with pytest.raises(DivergenceError, match="up to step 9 its loss is nan.*MEDDL_PRECISION=float32"):
        train(DivergingTask(7), tmp_path, LoopOptions.of_length(1.0, 30), torch.device("cpu"))
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["step"] == 6
    assert all(value.isfinite().all() for part in ("network", "average") for value in kept[part].values())


class DivergingSharpening:
    """Pairs of patches that are not numbers."""

    def __init__(self):
        self.network = SRResNet3D(channels=8, blocks=1)

    def sample(self, done: float) -> SimpleNamespace:
        return SimpleNamespace(given=torch.full((1, 1, 6, 6, 6), float("nan")), wanted=torch.zeros(1, 1, 12, 12, 12))

    def validate(self, network: nn.Module) -> float:
        pytest.fail("a network that has diverged is validated")

    def state(self) -> dict:
        return {}


def test_a_network_beside_a_discriminator_that_diverges_is_not_kept(tmp_path):
    with pytest.raises(DivergenceError, match="up to step 2"):
        train_adversarial(DivergingSharpening(), tmp_path, LoopOptions(steps=2), torch.device("cpu"))
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_generator_of_images_that_diverges_is_not_used():
    shape = (2 * DIVISOR,) * 3
    images, labels = torch.full((1, 1, *shape), float("nan")), torch.ones(1, 2, *shape)
    with pytest.raises(DivergenceError, match="step 1"):
        train_renderer(SpadeRenderer(2, 1, shape), iter([(images, labels)] * 9), 5)
