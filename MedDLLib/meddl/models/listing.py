"""The models of this machine and those of the catalog in one list, for searching and choosing."""

import difflib
import logging
import re
from dataclasses import dataclass

from meddl.core.errors import ModelError, ModelNotFoundError
from meddl.models.cards import ModelCard
from meddl.models.catalog.catalog import CatalogEntry, Structure, Terms, load_catalog
from meddl.models.store.store import ModelStore

logger = logging.getLogger(__name__)
SHIPS, INSTALLED, AVAILABLE, UNAVAILABLE = "ships", "installed", "available", "unavailable"


@dataclass(frozen=True)
class ListedModel(CatalogEntry):
    """A model in a list: its entry in the catalog, or what its card says in the same fields, and whether it is here.

    Attributes:
        state: "ships", "installed", "available" (the catalog can install it) or "unavailable" (it says why not).
        card: of a model on this machine.
    """

    state: str = UNAVAILABLE
    card: ModelCard | None = None

    @property
    def entry(self) -> CatalogEntry:
        """The fields of the catalog."""
        return self

    @property
    def usable(self) -> bool:
        """Whether it is on this machine."""
        return self.card is not None


def list_models(store: ModelStore | None = None, task: str = "segmentation") -> list[ListedModel]:
    """The models for a task: those that ship, those that are installed, those of the catalog that are not.

    Parts of a collection are not listed by themselves.
    """
    store = store or ModelStore()
    catalog = {entry.id: entry for entry in _catalog() if entry.task == task}
    cards = store.list()
    parts = {part.model for card in cards for part in card.parts}
    here = []
    for card in cards:
        if card.task == task and card.id not in parts:
            state = SHIPS if store.is_shipped(card.id) else INSTALLED
            here.append(_list(entry_of_card(card, catalog.get(card.id)), state, card))
    here.sort(key=lambda model: (model.state != SHIPS, model.id))
    known = {model.id for model in here}
    rest = [_list(entry, UNAVAILABLE if entry.obstacle else AVAILABLE)
            for entry in catalog.values() if entry.id not in known]
    return here + sorted(rest, key=lambda model: model.state == UNAVAILABLE)


def _list(entry: CatalogEntry, state: str, card: ModelCard | None = None) -> ListedModel:
    return ListedModel(**vars(entry), state=state, card=card)


def _catalog() -> tuple[CatalogEntry, ...]:
    """The catalog; without it the models of this machine can still be used."""
    try:
        return load_catalog()
    except ModelError as error:
        logger.warning("%s", error)
        return ()


def find_model(identifier: str, store: ModelStore | None = None) -> ListedModel:
    """The model of this identifier, of this machine or of the catalog.

    Raises:
        ModelNotFoundError: there is none.
    """
    known = {model.id: model for task in ("segmentation", "superres", "denoise", "registration", "recognition",
                          "classification", "landmarks")
             for model in list_models(store, task)}
    if identifier in known:
        return known[identifier]
    near = difflib.get_close_matches(identifier, list(known), n=1)
    similar = f" Similar: {near[0]}." if near else ""
    raise ModelNotFoundError(f"No model is called '{identifier}'.{similar} `meddl models search` finds one.")


def limits_of(model: CatalogEntry) -> list[str]:
    """What a model cannot do, or was not measured on, a sentence each."""
    return [one.strip() for one in re.split(r"(?<=[.!?])\s+(?=[A-Z])", model.limits or "") if one.strip()]


def entry_of_card(card: ModelCard, known: CatalogEntry | None = None) -> CatalogEntry:
    """What a card says, as the catalog says it; `known` is the catalog's entry of this model."""
    recipe = card.recipe
    sizes = sorted(spec.spacing_mm for spec in card.networks.values())
    return CatalogEntry(
        id=card.id, name=card.name, task=card.task, description=card.description,
        modality=_kinds(card, known), inputs=card.channel_names,
        region=known.region if known else card.region,
        structures=tuple(Structure(label.value, label.name) for label in card.labels),
        spacing_mm=known.spacing_mm if known and known.spacing_mm else (sizes[0],) * 3 if sizes else None,
        patch_voxels=known.patch_voxels if known else None, format=known.format if known else "meddl",
        orientation=recipe.orientation if recipe else None,
        license=Terms(card.license.code, card.license.weights, known.license.commercial if known else None,
                      False, card.license.url),
        files=known.files if known else (), accuracy=known.accuracy if known else (), source=card.source.url,
        citation=card.citation, limits=card.limits, obstacle=None)


def _kinds(card: ModelCard, known: CatalogEntry | None) -> tuple[str, ...]:
    """CT or MR rather than the names of sequences, where that is known."""
    if known is not None:
        return known.modality
    kinds = {name.upper() for name in card.modality}
    return tuple(kind for kind in ("CT", "MR", "PET", "US") if kind in kinds) or card.modality
