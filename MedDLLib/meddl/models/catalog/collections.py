"""Several installed models as one: a collection refers to them and says which of their labels become which of its own.

Weights are not copied. Parts run in their order and are written over one another, as TotalSegmentator merges its parts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from meddl.core.errors import ModelError
from meddl.core.progress import ProgressCallback, span
from meddl.models.cards import Label, ModelCard
from meddl.models.store.store import ModelStore


def merge_models(identifier: str, parts: Sequence[str], *, values: Sequence[Mapping[int, int]] | None = None,
                 names: Mapping[int, str] | None = None, name: str | None = None, metadata: dict | None = None,
                 store: ModelStore | None = None) -> ModelCard:
    """Install a collection of models that are installed already.

    Structures of the same name, without regard to case and underscores, are one structure.

    Args:
        identifier: of the collection.
        parts: identifiers of the models, in the order in which they run; where two label a voxel, the later is right.
        values: for each part, label value in the collection by label value in the part; default: by the names.
        names: name by label value in the collection, such as TotalSegmentator's class map; what it does not name is
            left out. Default: all structures, numbered from 1 in the order of the parts.
        name: display name; default: the identifier.
        metadata: further fields of the card.

    Raises:
        ModelNotFoundError: a part is not installed.
        ModelError: a part is no segmentation model or a collection itself, takes other channels, or has no label that
            the names name.
    """
    store = store or ModelStore()
    cards = [store.card(part) for part in parts]
    _check(cards, identifier)
    if values is None:
        names = names or _number_structures(cards)
        by_name = {_plain(text): value for value, text in names.items()}
        values = [{label.value: by_name[_plain(label.name)] for label in card.labels if _plain(label.name) in by_name}
                  for card in cards]
    values = [{own: new for own, new in one.items() if names is None or new in names} for one in values]
    for card, one in zip(cards, values, strict=True):
        if not one:
            raise ModelError(f"No structure of '{card.id}' is to be in '{identifier}': none has a name that is given.")
    content = _card(identifier, cards, values, names, name) | (metadata or {})
    return store.install_collection(content)


def read_class_map(path: Path) -> dict[int, str]:
    """Name by label value of a JSON object such as {"1": "spleen"}, background left out.

    Raises:
        ModelError: it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {int(value): str(name) for value, name in content.items() if int(value) != 0}
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read: {error.strerror}.") from error
    except (ValueError, AttributeError) as error:
        raise ModelError(f"'{path}' is no JSON object of names by label value, such as {{\"1\": \"spleen\"}}: "
                         f"{error}.") from error
    if not names or not all(0 < value < 65536 and name.strip() for value, name in names.items()):
        raise ModelError(f"'{path}' names label values from 1 to 65535, each with a name.")
    return names


def fingerprint(card: ModelCard, store: ModelStore | None = None) -> str:
    """What changes when a model's weights change: their SHA-256, of a collection those of its parts."""
    if card.weights is not None:
        return card.weights.sha256
    store = store or ModelStore()
    weights = [store.card(part.model).weights for part in card.parts]
    return "+".join("none" if one is None else one.sha256 for one in weights)


def import_datasets(place: Path, store: ModelStore, identifier: str | None = None, *, name: str | None = None,
                    orientation: str | None = None, license_text: str | None = None,
                    on_progress: ProgressCallback | None = None) -> ModelCard:
    """Install each nnU-Net data set in a folder of several, as "identifier-dataset", and their collection; all or none.

    Args:
        place: the folder.
        identifier: of the collection; from its name, or the folder's, where None.
        name, orientation, license_text: see `formats.convert`.

    Raises:
        ModelError: one of them cannot be read, or they do not go together.
        Cancelled: from `on_progress`.
    """
    from meddl.models.formats.imported import identifier as identifier_of

    identifier = identifier or identifier_of(name or place.resolve().name)
    new, made, folders = [], [], datasets_in(place)
    try:
        for n, folder in enumerate(folders):
            made.append(f"{identifier}-{identifier_of(folder.name)}"[:64])
            new += made[-1:] if not (store.cache / made[-1]).is_dir() else []
            store.import_model(folder, identifier=made[-1], name=f"{name or identifier}: {folder.name}",
                               orientation=orientation, license_text=license_text,
                               on_progress=span(on_progress, n / len(folders), (n + 1) / len(folders)))
        return merge_models(identifier, made, name=name, store=store)
    except BaseException:
        for one in new:
            if (store.cache / one).is_dir():
                store.remove(one)
        raise


def datasets_in(place: Path) -> list[Path]:
    """The nnU-Net data sets in a folder that holds several, in the order of their names; else empty."""
    from meddl.models.formats.nnunet.reader import find_nnunets

    folders = dict.fromkeys(model.parent for model in find_nnunets(place)) if place.is_dir() else {}
    if len(folders) < 2 or place in folders or place.parent in folders:
        return []
    return list(folders)


def _check(cards: Sequence[ModelCard], identifier: str) -> None:
    if len(cards) < 2 or len({card.id for card in cards}) < len(cards):
        raise ModelError("A collection has two parts or more, each once.")
    for card in cards:
        if card.task != "segmentation" or card.parts or card.id == identifier:
            raise ModelError(f"'{card.id}' cannot be a part of '{identifier}': it is "
                             f"{'a collection itself' if card.parts else f'a model for {card.task}'}.")
        if card.channel_names != cards[0].channel_names:
            raise ModelError(f"'{cards[0].id}' takes {', '.join(cards[0].channel_names)}, '{card.id}' takes "
                             f"{', '.join(card.channel_names)}: the parts of a collection take the same channels.")


def _number_structures(cards: Sequence[ModelCard]) -> dict[int, str]:
    """The parts' structures, numbered from 1 in their order; those of one name once."""
    names = {_plain(label.name): label.name for card in reversed(cards) for label in reversed(card.labels)}
    order = dict.fromkeys(_plain(label.name) for card in cards for label in card.labels)
    return {number: names[plain] for number, plain in enumerate(order, start=1)}


def _card(identifier: str, cards: Sequence[ModelCard], values: Sequence[Mapping[int, int]],
          names: Mapping[int, str] | None, name: str | None) -> dict:
    from meddl.models.formats.imported import distinct_color

    found: dict[int, Label] = {}
    for card, one in zip(cards, values, strict=True):
        known = {label.value: label for label in card.labels}
        for own, new in one.items():
            if own not in known:
                raise ModelError(f"'{card.id}' has no label {own}; the values for '{identifier}' name it.")
            found.setdefault(new, known[own])
    labels = [{"value": value, "name": (names or {}).get(value, label.name), "color": distinct_color(n),
               "mirror": value, "terminology": label.terminology}
              for n, (value, label) in enumerate(sorted(found.items()))]
    return {
        "id": identifier, "version": "1.0.0", "name": name or identifier, "task": "segmentation",
        "description": f"{len(labels)} structures of {len(cards)} models: {', '.join(card.name for card in cards)}.",
        "modality": list(cards[0].modality), "inputs": list(cards[0].channel_names), "labels": labels,
        "parts": [{"model": card.id, "values": {str(own): new for own, new in sorted(one.items())}}
                  for card, one in zip(cards, values, strict=True)],
        "license": {"code": _join(card.license.code for card in cards),
                    "weights": _join(card.license.weights for card in cards)},
        "source": {"name": _join(card.source.name for card in cards), "url": cards[0].source.url},
        "training": {"data": _join(card.training.data for card in cards),
                     "data_license": _join(card.training.data_license for card in cards)},
        "accuracy": [], "intended_use": _join(card.intended_use for card in cards),
        "limits": "Where two parts label a voxel, the later one is right. "
                  + _join(card.limits for card in cards),
        "citation": _join(card.citation for card in cards if card.citation)}


def _join(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())
