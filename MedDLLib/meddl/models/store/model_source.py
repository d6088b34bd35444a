"""A model from where the user has it, a URL, a zip archive or a folder, in a temporary folder, checked."""

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meddl.core.errors import ModelError
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard, load_card, parse_card
from meddl.models.formats.safetensors_header import read_safetensors_header
from meddl.models.store.archive import CARD_FILE, copy_texts, unpack
from meddl.models.store.download import Checksum, check_sha256, discard, download


@contextmanager
def local_source(source: str, sha256: str | None, downloads: Path,
                 on_progress: ProgressCallback | None) -> Iterator[Path]:
    """The zip archive or folder that `source` names, downloaded where that is an http or https URL.

    Raises: see `ModelStore.install`.
    """
    scheme = urllib.parse.urlsplit(source).scheme.lower()
    if scheme in ("http", "https"):
        checksum = Checksum("sha256", sha256) if sha256 is not None else None
        part = download(source, downloads, checksum, span(on_progress, 0.0, 0.8))
        try:
            yield part
        finally:
            discard(part)
        return
    place = Path(urllib.request.url2pathname(urllib.parse.urlsplit(source).path) if scheme == "file" else source)
    place = place.expanduser()
    if not place.exists():
        raise ModelError(f"'{place}' does not exist. Give a URL, a zip archive or a folder with {CARD_FILE}.")
    if sha256 is not None:
        if place.is_dir():
            raise ModelError("A SHA-256 is of one file; the weights in a folder are checked against their card.")
        check_sha256(place, sha256, f"'{place.name}'")
    yield place


def copy_checked(source: Path, staging: Path, name: str, on_progress: ProgressCallback | None) -> ModelCard:
    """Put the model in a local archive or folder into `staging` and check it; `name` is what errors call it."""
    inner = span(on_progress, 0.0, 0.9)
    try:
        card = _copy_folder(source, staging, inner) if source.is_dir() else unpack(source, staging, inner)
    except ModelError as error:
        raise type(error)(f"The model from '{name}' was not installed. {error}") from error
    except OSError as error:
        raise ModelError(f"The model from '{name}' was not installed: {error.strerror or error}.") from error
    report(on_progress, 0.9, "Checking the weights")
    stated = card.own_weights
    check_sha256(staging / stated.file, stated.sha256, f"'{stated.file}'")
    read_safetensors_header(staging / stated.file)
    return card


def complete_card(path: Path, metadata: dict) -> None:
    """Write these fields over those of a card; raises as `parse_card`.

    Args:
        metadata: by the card's names; "label_names": names by label value, taken where they name each label.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    names = metadata.get("label_names", {})
    if all(label["value"] in names for label in content["labels"]):
        content["labels"] = [label | {"name": names[label["value"]]} for label in content["labels"]]
    content |= {name: value for name, value in metadata.items() if name != "label_names"}
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
    copy_texts(source, folder)
    return card
