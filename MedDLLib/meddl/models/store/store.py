"""The models on this machine: those that ship with MedDL and those that the user installed."""

from __future__ import annotations

import difflib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from meddl.core.errors import InputError, ModelError, ModelNotFoundError
from meddl.core.paths import cache_folder, resources_folder
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard, load_card, parse_card
from meddl.models.store.accepted_licenses import AcceptedLicenses
from meddl.models.store.archive import CARD_FILE
from meddl.models.store.model_source import complete_card, copy_checked, local_source
from meddl.models.store.staging import delete_folder, delete_leftovers, move_into_place, staging_folder
from meddl.models.store.weights_check import checked_weights

if TYPE_CHECKING:
    from typing import Unpack

    from meddl.models.formats.convert import ImportChoices

_DOWNLOADS = ".downloads"


class ModelStore:
    """Lists, finds, installs, checks and removes models.

    A model is a folder, named like its identifier, with `card.json` and the weights that the card names.

    Args:
        shipped: the folder of models that ship (never written to); default Resources/MedDL/Models.
        cache: the folder of installed models; default Models in MedDL's cache folder. Made when first needed.
    """

    def __init__(self, shipped: str | Path | None = None, cache: str | Path | None = None):
        self.shipped = Path(shipped) if shipped is not None else _shipped_folder()
        self.cache = Path(cache) if cache is not None else cache_folder() / "Models"

    @property
    def downloads(self) -> Path:
        """The folder of downloads that were begun."""
        return self.cache / _DOWNLOADS

    def list(self) -> tuple[ModelCard, ...]:
        """The cards of all models, in the order of their identifiers; unreadable ones are left out (`problems`)."""
        return tuple(card for _, card in sorted(self._scan()[0].items()))

    def problems(self) -> dict[str, str]:
        """What is wrong with the model folders that cannot be used, by path."""
        return self._scan()[1]

    def card(self, identifier: str) -> ModelCard:
        """The card of a model.

        Raises:
            ModelNotFoundError: no model has this identifier.
            ModelError: its card is not valid.
        """
        return self._load(self.folder(identifier))

    def folder(self, identifier: str) -> Path:
        """The folder of a model; one that ships comes before an installed one.

        Raises:
            ModelNotFoundError: no model has this identifier.
            InputError: it is no identifier.
        """
        if not isinstance(identifier, str):
            raise InputError(f"A model is given by its identifier, such as 'brain'; got {type(identifier).__name__}. A "
                             "configuration is given as config=...")
        if _is_plain_name(identifier):
            for place in (self.shipped, self.cache):
                if place is not None and (place / identifier / CARD_FILE).is_file():
                    return place / identifier
        names = [card.id for card in self.list()]
        near = difflib.get_close_matches(identifier, names, n=1)
        similar = f" Similar: {near[0]}." if near else ""
        here = ", ".join(names) or "none"
        raise ModelNotFoundError(f"No model is called '{identifier}'.{similar} Installed: {here}. "
                                 "Install one with `meddl models install`, or in the module's model list.")

    def weights_path(self, identifier: str) -> Path:
        """The weights of a model, checked against the card's SHA-256 once per process.

        Raises:
            ModelNotFoundError, ModelError: no such model, or its card or weights file is missing, or it is a collection
                and has none.
            IntegrityError: the weights are not the ones that the card states.
        """
        return checked_weights(self.folder(identifier), self.card(identifier))

    def verify(self, identifier: str) -> None:
        """Check a model's weights against its card now, a collection's part by part; raises as `weights_path`."""
        card = self.card(identifier)
        for name in [part.model for part in card.parts] or [identifier]:
            checked_weights(self.folder(name), self.card(name), again=True)

    def bytes_of(self, card: ModelCard) -> int:
        """Bytes of a model's weights, of a collection those of the parts that are here."""
        here = [part.model for part in card.parts if (self.cache / part.model / CARD_FILE).is_file()]
        cards = [self.card(part) for part in here] if card.parts else [card]
        return sum(one.weights.bytes for one in cards if one.weights is not None)

    def is_shipped(self, identifier: str) -> bool:
        """Whether the model came with MedDL."""
        return self.shipped is not None and self.folder(identifier).parent == self.shipped

    def install(self, source: str | Path, sha256: str | None = None,
                on_progress: ProgressCallback | None = None) -> ModelCard:
        """Install a model, or another version of an installed one.

        Everything is written to a temporary folder, checked (names, sizes, card, SHA-256, safetensors), and then
        moved into place: a failed or cancelled install leaves the old state. A broken download is resumed by the
        next call.

        Args:
            source: an https, http or file URL of a zip archive, or a local zip archive or folder, that holds
                card.json and the weights.
            sha256: of the archive; it may not be given for a folder.

        Raises:
            ModelError: no network, no model there, an invalid card, a malicious or damaged archive.
            IntegrityError: another SHA-256 than stated.
            DependencyError: the package jsonschema is not installed.
            Cancelled: from `on_progress`.
        """
        source = str(source)
        downloaded = source.lower().startswith(("http:", "https:"))
        with local_source(source, sha256, self.downloads, on_progress) as place:
            return self._install_from(place, source if downloaded else str(place),
                                      span(on_progress, 0.8, 1.0) if downloaded else on_progress)

    def import_model(self, source: str | Path, *, metadata: dict | None = None,
                     on_progress: ProgressCallback | None = None, **choices: Unpack[ImportChoices]) -> ModelCard:
        """Install a model of another tool from a local folder or file, which is read in a process of its own.

        Args:
            metadata: fields of the card that are known better than the model's files say them, by their names; instead
                of "labels", "label_names": names by label value, taken where they name each label.
            choices: identifier, name, orientation, license_text, configuration, checkpoint and confirmed_sha256, see
                `formats.convert.ImportChoices`.

        Raises:
            ModelError: it is not there, or MedDL cannot read it; nothing was executed and nothing is left behind.
            Cancelled: from `on_progress`.
        """
        from meddl.models.store.import_process import import_in_process

        place = Path(source).expanduser()
        if not place.exists():
            raise ModelError(f"'{place}' does not exist. Give the folder or zip archive of a trained model.")
        with staging_folder(self.cache) as folder:
            import_in_process(place, folder, choices, span(on_progress, 0.0, 0.9))
            if metadata:
                complete_card(folder / CARD_FILE, metadata)
            return self._install_from(folder, str(place), span(on_progress, 0.9, 1.0))

    def install_collection(self, content: dict) -> ModelCard:
        """Install a collection: a card whose `parts` are models that are installed by themselves.

        Raises:
            ModelError: the card is not valid, a model of this name ships with MedDL.
            ModelNotFoundError: a part is not installed.
        """
        card = parse_card(content, f"of the collection '{content.get('id')}'", require_schema=True)
        for part in card.parts:
            self.folder(part.model)
        self._refuse_shipped(card.id)
        with staging_folder(self.cache) as staging:
            (staging / CARD_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
            move_into_place(staging, self.cache / card.id)
        return card

    def remove(self, identifier: str) -> None:
        """Delete an installed model; of a collection also the parts that came with it, called "collection-part", unless
        another collection has them.

        Raises:
            ModelNotFoundError: no such model.
            ModelError: it ships with MedDL.
        """
        folder = self.folder(identifier)
        if folder.parent != self.cache:
            raise ModelError(f"The model '{identifier}' ships with MedDL and cannot be removed.")
        parts = {part.model for part in self._parts_of(folder)}
        delete_folder(folder)
        needed = {part.model for card in self.list() for part in card.parts}
        for part in sorted(parts - needed):
            if part.startswith(f"{identifier}-") and (self.cache / part / CARD_FILE).is_file():
                self.remove(part)

    def cache_size_bytes(self) -> int:
        """Bytes of all installed models and unfinished downloads."""
        if not self.cache.is_dir():
            return 0
        return sum(file.stat().st_size for file in self.cache.rglob("*") if file.is_file())

    def clear_downloads(self) -> None:
        """Delete what interrupted downloads and installs left."""
        shutil.rmtree(self.downloads, ignore_errors=True)
        delete_leftovers(self.cache)

    def sweep(self, older_than_s: float = 3600) -> None:
        """Delete temporary folders that a killed installation left; younger ones may be another process's."""
        delete_leftovers(self.cache, older_than_s)

    def license_accepted(self, identifier: str) -> bool:
        """Whether the license of this model's weights was accepted; models that ship need no click."""
        return self.is_shipped(identifier) or AcceptedLicenses(self.cache).has(self.card(identifier))

    def accept_license(self, identifier: str) -> None:
        """Remember that the license of this model's weights was accepted; another license is asked for anew."""
        AcceptedLicenses(self.cache).add(self.card(identifier))

    def _load(self, folder: Path) -> ModelCard:
        return load_card(folder / CARD_FILE, check_schema=folder.parent != self.shipped)

    def _scan(self) -> tuple[dict[str, ModelCard], dict[str, str]]:
        cards: dict[str, ModelCard] = {}
        problems: dict[str, str] = {}
        for place in (self.shipped, self.cache):
            if place is None or not place.is_dir():
                continue
            for folder in sorted(place.iterdir()):
                if folder.name.startswith(".") or not (folder / CARD_FILE).is_file():
                    continue
                try:
                    card = self._load(folder)
                    if card.id != folder.name:
                        raise ModelError(f"Its folder is called '{folder.name}', its card says '{card.id}'.")
                    cards.setdefault(card.id, card)
                except ModelError as error:
                    problems[str(folder)] = str(error)
        return cards, problems

    def _install_from(self, source: Path, name: str, on_progress: ProgressCallback | None) -> ModelCard:
        """Install from a local archive or folder; `name` is what errors call it."""
        with staging_folder(self.cache) as staging:
            card = copy_checked(source, staging, name, span(on_progress, 0.0, 0.9))
            self._refuse_shipped(card.id)
            report(on_progress, 0.95, "Moving the model into place")
            try:
                move_into_place(staging, self.cache / card.id)
            except OSError as error:  # on Windows also where a run has the old one open
                raise ModelError(f"The model '{card.id}' cannot be put into '{self.cache}': {error.strerror or error}. "
                                 "Close what uses it and try again.") from error
            return card

    def _refuse_shipped(self, identifier: str) -> None:
        if self.shipped is not None and (self.shipped / identifier / CARD_FILE).is_file():
            raise ModelError(f"A model called '{identifier}' ships with MedDL; give yours another id in its card.")

    @staticmethod
    def _parts_of(folder: Path) -> tuple:
        try:
            return load_card(folder / CARD_FILE).parts
        except ModelError:  # a broken model can be removed too
            return ()


def _shipped_folder() -> Path | None:
    try:
        return resources_folder() / "Models"
    except FileNotFoundError:
        return None


def _is_plain_name(identifier: str) -> bool:
    return bool(identifier) and not set(identifier) - set("abcdefghijklmnopqrstuvwxyz0123456789_-")
