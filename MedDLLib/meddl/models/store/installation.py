"""From an entry of the catalog to an installed model: download or take from disk, check, import, clean up."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from meddl.core.errors import IntegrityError, ModelError
from meddl.core.progress import ProgressCallback, span
from meddl.models.cards import ModelCard
from meddl.models.catalog.catalog import CatalogEntry, RemoteFile, load_catalog
from meddl.models.catalog.collections import datasets_in, import_datasets, merge_models
from meddl.models.store.archive import CARD_FILE
from meddl.models.store.download import check_file, discard, download, sha256_of
from meddl.models.store.first_use import FirstUse
from meddl.models.store.import_process import warm_imports
from meddl.models.store.store import ModelStore

if TYPE_CHECKING:
    from typing import Unpack

    from meddl.models.formats.convert import ImportChoices

_FIRST_USE = "downloaded.json"
_UNPACKED_FRACTION = 2.2  # room for the files of an archive and for the weights made of them, over the archive's size


def install_entry(entry: CatalogEntry, store: ModelStore | None = None, *, files: Sequence[str | Path] = (),
                  accept_changed: bool = False, on_progress: ProgressCallback | None = None) -> ModelCard:
    """Install a model of the catalog, under the entry's identifier.

    What was downloaded completely is kept where the rest is cancelled or the network fails, and used by the next call;
    it is deleted after success and where it cannot be used.

    Args:
        store: default: the one of this machine.
        files: the entry's files, or folders of them unpacked, in its order, where they were downloaded otherwise; the
            network is then not used.
        accept_changed: take a file that is not the one of the first download; see `first_use`.

    Raises:
        ModelError: the entry cannot be installed (it says why), no network, a full disk, a file that MedDL cannot read.
        IntegrityError: a file is not the one that was published, or that was downloaded the first time.
        Cancelled: from `on_progress`. Nothing half-installed is left in any case.
    """
    store = store or ModelStore()
    if entry.obstacle and not files:
        raise ModelError(f"'{entry.id}' cannot be installed from the catalog. {entry.obstacle}")
    if files:
        paths = _local_files(entry, files)
    else:
        paths = _download_files(entry, store, accept_changed, span(on_progress, 0.0, 0.7))
    try:
        with warm_imports():
            card = _import(entry, store, paths, span(on_progress, 0.0 if files else 0.7, 1.0))
    except ModelError:  # damaged or of no use: the next call begins anew
        _let_go(paths, files)
        raise
    _let_go(paths, files)
    return card


def import_from_disk(source: str | Path, store: ModelStore | None = None, *,
                     on_progress: ProgressCallback | None = None, **choices: Unpack[ImportChoices]) -> ModelCard:
    """Install what lies in a folder or zip: a MedDL model, a file of the catalog, or a model of another tool.

    A file or folder that is named as in the catalog is installed as the catalog says, unless something else is chosen.
    A folder of several nnU-Net data sets becomes one collection, in the order of their names.

    Args:
        choices: identifier, name, orientation, license_text, configuration, checkpoint and confirmed_sha256, see
            `formats.convert.ImportChoices`.

    Raises:
        ModelError, IntegrityError, Cancelled: as `install_entry`.
    """
    store = store or ModelStore()
    place = Path(source).expanduser().absolute()  # a process that reads it may have another current folder
    if all(choice is None for choice in choices.values()):
        entry = entry_of_files([place])
        if entry is not None:
            return install_entry(entry, store, files=[place], on_progress=on_progress)
        if is_own_model(place):
            return store.install(place, on_progress=on_progress)
    with warm_imports():
        if datasets_in(place):
            return import_datasets(place, store, choices.get("identifier"), name=choices.get("name"),
                                   orientation=choices.get("orientation"), license_text=choices.get("license_text"),
                                   on_progress=on_progress)
        return store.import_model(place, on_progress=on_progress, **choices)


def is_own_model(place: Path) -> bool:
    """Whether a folder or zip archive holds a model of MedDL, with its card."""
    if place.is_dir():
        return (place / CARD_FILE).is_file()
    try:
        with zipfile.ZipFile(place) as opened:
            return any(member.count("/") <= 1 and member.rsplit("/", 1)[-1] == CARD_FILE
                       for member in opened.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def entry_of_files(files: Sequence[str | Path]) -> CatalogEntry | None:
    """The catalog's entry that these files or unpacked folders belong to, by their names; None: none does."""
    names = sorted(_stem(Path(file).name) for file in files)
    for entry in load_catalog():
        if sorted(entry.file_names or (_stem(_name_in(file.url)) for file in entry.files)) == names:
            return entry
    return None


def _name_in(url: str) -> str:
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    return name[:-4] if name.lower().endswith(".zip") else name


def _let_go(paths: Sequence[Path], files: Sequence) -> None:
    if not files:
        for place in paths:
            discard(place)


def _local_files(entry: CatalogEntry, files: Sequence[str | Path]) -> list[Path]:
    if entry.files and len(files) != len(entry.files):
        names = ", ".join(_name_in(file.url) for file in entry.files)
        raise ModelError(f"'{entry.id}' is made of {len(entry.files)} files: {names}. {len(files)} were given.")
    paths = [Path(file).expanduser() for file in files]
    for place in paths:
        if not place.exists():
            raise ModelError(f"'{place}' does not exist.")
    if len(entry.files) > 1:  # in the entry's order, by their names where these tell
        by_name = {_stem(place.name): place for place in paths}
        wanted = [_stem(_name_in(file.url)) for file in entry.files]
        if sorted(by_name) == sorted(wanted):
            paths = [by_name[name] for name in wanted]
    for place, file in zip(paths, entry.files):
        if file.checksum is not None and place.is_file():
            check_file(place, file.checksum, f"'{place.name}'")
    return paths


def _download_files(entry: CatalogEntry, store: ModelStore, accept_changed: bool,
                on_progress: ProgressCallback | None) -> list[Path]:
    paths = []
    for n, file in enumerate(entry.files):
        within = span(on_progress, n / len(entry.files), (n + 1) / len(entry.files))
        place = download(file.url, store.downloads, file.checksum, within, expected_bytes=file.bytes)
        _hold(place, file, FirstUse(store.cache / _FIRST_USE), accept_changed)
        paths.append(place)
    return paths


def _hold(place: Path, file: RemoteFile, first_use: FirstUse, accept_changed: bool) -> None:
    """Compare a file without a published checksum with the one of the first download."""
    if file.checksum is not None:
        return
    try:
        if accept_changed:
            first_use.forget(file.url)
        first_use.check(file.url, sha256_of(place))
    except IntegrityError:
        discard(place)
        raise
    except OSError as error:
        raise ModelError(f"The checksum of '{place.name}' could not be kept: {error.strerror or error}.") from error


def _import(entry: CatalogEntry, store: ModelStore, paths: Sequence[Path],
            on_progress: ProgressCallback | None) -> ModelCard:
    needed = sum(place.stat().st_size for place in paths if place.is_file()) * _UNPACKED_FRACTION
    store.cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store.cache).free
    if free < needed:
        raise ModelError(f"Installing '{entry.id}' needs {needed / 1e6:.0f} MB; the disk of '{store.cache}' has "
                         f"{free / 1e6:.0f} MB left.")
    store.sweep()
    if len(entry.files) > 1:
        return _import_parts(entry, store, paths, on_progress)
    names = {structure.value: structure.name for structure in entry.structures if structure.value is not None}
    return store.import_model(paths[0], identifier=entry.id, name=entry.name, orientation=entry.orientation,
                              license_text=entry.license.weights,
                              metadata=card_metadata(entry) | {"label_names": names}, on_progress=on_progress)


def _import_parts(entry: CatalogEntry, store: ModelStore, paths: Sequence[Path],
                  on_progress: ProgressCallback | None) -> ModelCard:
    """Each part as a model by itself, and a collection of them. Parts that are new go again where one fails."""
    parts, made, complete = [f"{entry.id}-{file.part or n}" for n, file in enumerate(entry.files, 1)], [], False
    try:
        for n, (place, part) in enumerate(zip(paths, parts, strict=True)):
            known = (store.cache / part).is_dir()
            store.import_model(
                place, identifier=part, name=f"{entry.name}, {part.removeprefix(f'{entry.id}-')}",
                orientation=entry.orientation, license_text=entry.license.weights,
                metadata=card_metadata(entry) | {"description": f"A part of {entry.name}."},
                on_progress=span(on_progress, n / len(paths), (n + 1) / len(paths)))
            if not known:
                made.append(part)
        card = merge_models(entry.id, parts, values=[dict(file.values) for file in entry.files],
                            names={structure.value: structure.name for structure in entry.structures
                                   if structure.value is not None},
                            name=entry.name, metadata=card_metadata(entry), store=store)
        complete = True
        return card
    finally:
        if not complete:
            for part in made:
                store.remove(part)


def card_metadata(entry: CatalogEntry) -> dict:
    """What the catalog knows for the card of an installed model, by the card's fields."""
    metadata: dict[str, Any] = {"description": entry.description, "modality": list(entry.modality),
             "source": {"name": entry.name, "url": entry.source},
             "license": {"code": entry.license.code, "weights": entry.license.weights or "not stated"}}
    if entry.license.url:
        metadata["license"]["url"] = entry.license.url
    if entry.citation:
        metadata["citation"] = entry.citation
    if entry.limits:
        metadata["limits"] = entry.limits
    return metadata
