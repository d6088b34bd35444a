"""What an importer hands over: a card, weights, and what it understood."""

import colorsys
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class ImportedModel:
    """A model of others, ready to be written into the store.

    Attributes:
        card: the content of card.json, but for `weights`.
        tensors: weights by name, "network.parameter".
        notes: sentences on what was understood, left out or assumed.
    """

    card: dict
    tensors: dict[str, torch.Tensor]
    notes: tuple[str, ...]


def label_entries(names: dict[int, str]) -> list[dict]:
    """Labels of a card from names by value, in colors that differ."""
    return [{"value": value, "name": name, "color": distinct_color(n), "mirror": value}
            for n, (value, name) in enumerate(names.items())]


def distinct_color(n: int) -> list[int]:
    """The n-th of a row of colors that are easy to distinguish: hues a golden section apart, 0 to 255 each."""
    hue = (0.61803398875 * n) % 1
    saturation, brightness = (0.75, 0.95) if n % 2 == 0 else (0.55, 0.8)
    return [round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, brightness)]


def identifier(text: str) -> str:
    """A model identifier made of a free text."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text.lower())
    parts = [part for part in kept.split("-") if part]
    return "-".join(parts)[:64].rstrip("-") or "model"
