"""The installed models, as a panel lists them."""

from typing import NamedTuple

import slicer
from slicer.i18n import tr as _

from meddl.models.store import ModelStore

DEFAULT_SEGMENTATION = "brain"


class ModelEntry(NamedTuple):
    """One line of a panel's list: identifier, title to read, license of the weights, one sentence about it."""

    identifier: str
    title: str
    license: str
    description: str


def installed(task: str) -> list[ModelEntry]:
    """The installed models for a task ("segmentation", ...), the default one first. Reads cards, no weights."""
    cards = [card for card in ModelStore().list() if card.task == task]
    cards.sort(key=lambda card: (card.id != DEFAULT_SEGMENTATION, card.id))
    return [ModelEntry(card.id, card.name, card.license.weights, card.description) for card in cards]


def license_agreed(identifier: str) -> bool:
    """Whether the license of an installed model was agreed to; asks the person before its first use."""
    store = ModelStore()
    if store.license_accepted(identifier):
        return True
    card = store.card(identifier)
    text = _("The model '{name}' comes with a license of its own.\n\nWeights: {weights}\nCode: {code}\n{url}\n\n"
             "Use it under this license?").format(name=card.name, weights=card.license.weights,
                                                  code=card.license.code, url=card.license.url or "")
    if not slicer.util.confirmOkCancelDisplay(text, _("MedDL")):
        return False
    store.accept_license(identifier)
    return True
