"""The model that a training goes on from."""

from pathlib import Path

import torch

from meddl.core.errors import ModelError
from meddl.models.cards import load_card
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_into, load_weights


class StartModel:
    """Weights to start from, and what went into them.

    Args:
        place: a model's identifier, or the folder with its card.

    Attributes:
        name: identifier or folder name, for the card.
        steps, hours: how long it was trained.

    Raises:
        ModelNotFoundError: there is no such model.
        ModelError: its files cannot be read.
    """

    def __init__(self, place: str | Path):
        self.folder = Path(place) if Path(place).is_dir() else ModelStore().folder(str(place))
        self.card = load_card(self.folder / "card.json")
        self.name = self.card.id
        self.steps = self.card.training.steps or 0
        self.hours = self.card.training.hours or 0.0
        self._tensors = load_weights(self.folder / self.card.own_weights.file)

    def give(self, part: str, task) -> None:
        """Load the weights of one of its networks into a task's network.

        Raises:
            ModelError: it has no such network, or one of another shape.
        """
        spec = self.card.networks.get(part)
        if spec is None or (spec.architecture, spec.arguments) != (task.architecture, task.arguments):
            held = "no such network" if spec is None else f"{spec.architecture} {spec.arguments}"
            raise ModelError(f"{self.folder} holds for '{part}': {held}; "
                             f"{task.architecture} {task.arguments} was expected.")
        load_into(task.network, self.weights_of(part))

    def weights_of(self, part: str) -> dict[str, torch.Tensor]:
        """The weights of one of its networks, by their names in it."""
        return {name.split(".", 1)[1]: tensor.float() if tensor.is_floating_point() else tensor
                for name, tensor in self._tensors.items() if name.startswith(f"{part}.")}
