"""The models on this machine: those that ship with MedDL and those that the user installed."""

import contextlib
import datetime
import json
import shutil
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from meddl.core.errors import IntegrityError, ModelError, ModelNotFoundError
from meddl.core.paths import cache_folder, resources_folder
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard, load_card, parse_card
from meddl.models.formats.safetensors_header import read_safetensors_header
from meddl.models.store.archive import CARD_FILE, unpack
from meddl.models.store.download import Checksum, check_sha256, discard, download

_DOWNLOADS = ".downloads"
_LICENSES = "licenses.json"
_verified: set[tuple[str, int, int, str]] = set()  # path, length, time of change, SHA-256


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
        """
        if _is_plain_name(identifier):
            for place in (self.shipped, self.cache):
                if place is not None and (place / identifier / CARD_FILE).is_file():
                    return place / identifier
        names = ", ".join(card.id for card in self.list()) or "none"
        raise ModelNotFoundError(f"No model is called '{identifier}'. Installed: {names}. "
                                 "Install one with `meddl models install`, or in the module's model list.")

    def weights_path(self, identifier: str) -> Path:
        """The weights of a model, checked against the card's SHA-256 once per process.

        Raises:
            ModelNotFoundError, ModelError: no such model, or its card or weights file is missing, or it is a collection
                and has none.
            IntegrityError: the weights are not the ones that the card states.
        """
        return self._checked_weights(self.folder(identifier), self.card(identifier), again=False)

    def verify(self, identifier: str) -> None:
        """Check a model's weights against its card now, a collection's part by part; raises as `weights_path`."""
        card = self.card(identifier)
        for name in [part.model for part in card.parts] or [identifier]:
            self._checked_weights(self.folder(name), self.card(name), again=True)

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
        scheme = urllib.parse.urlsplit(source).scheme.lower()
        if scheme in ("http", "https"):
            checksum = Checksum("sha256", sha256) if sha256 is not None else None
            part = download(source, self.downloads, checksum, span(on_progress, 0.0, 0.8))
            try:
                return self._install_from(part, source, span(on_progress, 0.8, 1.0))
            finally:
                discard(part)
        place = Path(urllib.request.url2pathname(urllib.parse.urlsplit(source).path) if scheme == "file" else source)
        place = place.expanduser()
        if not place.exists():
            raise ModelError(f"'{place}' does not exist. Give a URL, a zip archive or a folder with {CARD_FILE}.")
        if sha256 is not None:
            if place.is_dir():
                raise ModelError("A SHA-256 is of one file; the weights in a folder are checked against their card.")
            check_sha256(place, sha256, f"'{place.name}'")
        return self._install_from(place, str(place), on_progress)

    def import_model(self, source: str | Path, *, identifier: str | None = None, name: str | None = None,
                     orientation: str | None = None, license_text: str | None = None, facts: dict | None = None,
                     confirmed_sha256: str | None = None, configuration: str | None = None,
                     on_progress: ProgressCallback | None = None) -> ModelCard:
        """Install a model of another tool from a local folder or zip; see `formats.convert` for the arguments.

        Args:
            facts: fields of the card that are known better than the model's files say them, by their names; instead of
                "labels", "label_names": names by label value, taken where they name each label.

        Raises:
            ModelError: it is not there, or MedDL cannot read it; nothing was executed and nothing is left behind.
            Cancelled: from `on_progress`.
        """
        from meddl.models.formats.convert import convert

        place = Path(source).expanduser()
        if not place.exists():
            raise ModelError(f"'{place}' does not exist. Give the folder or zip archive of a trained model.")
        self.cache.mkdir(parents=True, exist_ok=True)
        folder = self.cache / f".new-{uuid.uuid4().hex}"
        folder.mkdir()
        try:
            convert(place, folder, identifier=identifier, name=name, orientation=orientation,
                    license_text=license_text, confirmed_sha256=confirmed_sha256, configuration=configuration,
                    on_progress=span(on_progress, 0.0, 0.9))
            if facts:
                _complete_card(folder / CARD_FILE, facts)
            return self._install_from(folder, str(place), span(on_progress, 0.9, 1.0))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

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
        staging = self.cache / f".new-{uuid.uuid4().hex}"
        staging.mkdir(parents=True)
        try:
            (staging / CARD_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
            self._move_into_place(staging, self.cache / card.id)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
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
        gone = folder.with_name(f".old-{uuid.uuid4().hex}")
        folder.replace(gone)
        shutil.rmtree(gone)
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
        if self.cache.is_dir():
            for left in (self.downloads, *self._leftovers()):
                shutil.rmtree(left, ignore_errors=True)

    def sweep(self, older_than_s: float = 3600) -> None:
        """Delete temporary folders that a killed installation left; younger ones may be another process's."""
        for left in self._leftovers():
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > older_than_s:
                    shutil.rmtree(left, ignore_errors=True)

    def _leftovers(self) -> tuple[Path, ...]:
        kinds = (".new-*", ".old-*", ".unpacked-*")
        return tuple(left for kind in kinds for left in self.cache.glob(kind)) if self.cache.is_dir() else ()

    def license_accepted(self, identifier: str) -> bool:
        """Whether the license of this model's weights was accepted; models that ship need no click."""
        if self.is_shipped(identifier):
            return True
        entry = self._licenses().get(identifier)
        return isinstance(entry, dict) and entry.get("license") == _license_text(self.card(identifier))

    def accept_license(self, identifier: str) -> None:
        """Remember that the license of this model's weights was accepted; another license is asked for anew."""
        licenses = self._licenses()
        licenses[identifier] = {"license": _license_text(self.card(identifier)),
                                "date": datetime.date.today().isoformat()}
        self.cache.mkdir(parents=True, exist_ok=True)
        temporary = self.cache / f".{uuid.uuid4().hex}.json"
        temporary.write_text(json.dumps(licenses, indent=1), encoding="utf-8")
        temporary.replace(self.cache / _LICENSES)

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

    def _checked_weights(self, folder: Path, card: ModelCard, again: bool) -> Path:
        if card.weights is None:
            names = ", ".join(part.model for part in card.parts)
            raise ModelError(f"'{card.id}' is a collection of {names} and has no weights of its own.")
        path = folder / card.weights.file
        if not path.is_file():
            raise ModelError(f"The weights '{path}' of the model '{card.id}' are missing. Install it again.")
        facts = path.stat()
        key = (str(path), facts.st_size, facts.st_mtime_ns, card.weights.sha256)
        if again or key not in _verified:
            if facts.st_size != card.weights.bytes:
                raise IntegrityError(f"The weights '{path}' have {facts.st_size} bytes, their card says "
                                     f"{card.weights.bytes}. Install the model again.")
            check_sha256(path, card.weights.sha256, f"'{path}'")
            _verified.add(key)
        return path

    def _install_from(self, source: Path, name: str, on_progress: ProgressCallback | None) -> ModelCard:
        """Install from a local archive or folder; `name` is what errors call it."""
        self.cache.mkdir(parents=True, exist_ok=True)
        staging = self.cache / f".new-{uuid.uuid4().hex}"
        staging.mkdir()
        try:
            inner = span(on_progress, 0.0, 0.8)
            try:
                card = _copy_folder(source, staging, inner) if source.is_dir() else unpack(source, staging, inner)
            except ModelError as error:
                raise type(error)(f"The model from '{name}' was not installed. {error}") from error
            report(on_progress, 0.8, "Checking the weights")
            stated = card.own_weights
            check_sha256(staging / stated.file, stated.sha256, f"'{stated.file}'")
            read_safetensors_header(staging / stated.file)
            self._refuse_shipped(card.id)
            report(on_progress, 0.95, "Moving the model into place")
            self._move_into_place(staging, self.cache / card.id)
            return card
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _refuse_shipped(self, identifier: str) -> None:
        if self.shipped is not None and (self.shipped / identifier / CARD_FILE).is_file():
            raise ModelError(f"A model called '{identifier}' ships with MedDL; give yours another id in its card.")

    @staticmethod
    def _parts_of(folder: Path) -> tuple:
        try:
            return load_card(folder / CARD_FILE).parts
        except ModelError:  # a broken model can be removed too
            return ()

    def _move_into_place(self, staging: Path, target: Path) -> None:
        old = self.cache / f".old-{uuid.uuid4().hex}"
        if target.exists():
            target.replace(old)
        try:
            staging.replace(target)
        except OSError:
            if old.exists():
                old.replace(target)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def _licenses(self) -> dict:
        try:
            content = json.loads((self.cache / _LICENSES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _shipped_folder() -> Path | None:
    try:
        return resources_folder() / "Models"
    except FileNotFoundError:
        return None


def _is_plain_name(identifier: str) -> bool:
    return bool(identifier) and not set(identifier) - set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def _license_text(card: ModelCard) -> str:
    return " | ".join(part for part in (card.license.weights, card.license.code, card.license.url) if part)


def _complete_card(path: Path, facts: dict) -> None:
    """Write these fields over those of a card; raises as `parse_card`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    names = facts.get("label_names", {})
    if all(label["value"] in names for label in content["labels"]):
        content["labels"] = [label | {"name": names[label["value"]]} for label in content["labels"]]
    content |= {name: value for name, value in facts.items() if name != "label_names"}
    parse_card(content, f"of '{content.get('id')}'")
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _copy_folder(source: Path, folder: Path, on_progress: ProgressCallback | None) -> ModelCard:
    """Copy card and weights of a model folder; links are followed, as the user chose the folder."""
    if not (source / CARD_FILE).is_file():
        raise ModelError(f"The folder '{source}' holds no {CARD_FILE}; it is not a MedDL model.")
    card = load_card(source / CARD_FILE, require_schema=True)
    stated = card.own_weights
    weights = source / stated.file
    if not weights.is_file():
        raise ModelError(f"The folder '{source}' lacks '{stated.file}', the weights that its card names.")
    shutil.copyfile(source / CARD_FILE, folder / CARD_FILE)
    done, size = 0, max(weights.stat().st_size, 1)
    with weights.open("rb") as stream, (folder / weights.name).open("wb") as target:
        while block := stream.read(1 << 20):
            target.write(block)
            done += len(block)
            report(on_progress, done / size, f"Copying {weights.name}")
    for text in source.iterdir():
        if text.is_file() and text.name.upper().startswith(("LICENSE", "NOTICE", "README")):
            shutil.copyfile(text, folder / text.name)
    return card
