"""An installed model for others: a zip archive, a trained nnU-Net, or a MONAI bundle, with nothing private in it."""

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from meddl.core.errors import InputError, ModelError
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard, parse_card
from meddl.models.store.archive import CARD_FILE, copy_texts
from meddl.models.store.staging import staging_folder
from meddl.models.store.store import ModelStore

FORMATS = ("zip", "nnunet", "monai")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the date of every file in an archive
_KEPT_OF_TRAINING = ("data", "data_license", "steps", "hours", "device", "command")


@dataclass(frozen=True)
class ExportedModel:
    """What an export gives.

    Attributes:
        path: the archive, or the folder.
        notes: sentences on what is not as it was in MedDL.
    """

    path: Path
    notes: tuple[str, ...] = ()


def export_model(identifier: str, out: str | Path, format: str = "zip", *, store: ModelStore | None = None,
                 on_progress: ProgressCallback | None = None) -> ExportedModel:
    """Write an installed model so that others can use it.

    Args:
        out: the archive (.zip) for "zip", else a folder, which must be new or empty.
        format: "zip", which MedDL installs; "nnunet", a folder that nnU-Net v2 predicts with; "monai", a bundle that
            `monai.bundle` loads.

    The card goes along without names of cases, paths and dates: cases are numbered.

    Raises:
        ModelNotFoundError: no such model.
        ModelError: a collection, or a model that the format cannot state; the message says what, and which format can.
        InputError: the folder is not empty, or cannot be written to.
        IntegrityError: the weights are not the ones that the card states.
        Cancelled: from `on_progress`; nothing is left.
    """
    if format not in FORMATS:
        raise InputError(f"A model is exported as {', '.join(FORMATS)}; got '{format}'.")
    store, target = store or ModelStore(), Path(out).expanduser()
    card = store.card(identifier)
    if card.parts:
        raise ModelError(f"'{identifier}' is a collection; export its parts one by one: "
                         f"{', '.join(part.model for part in card.parts)}.")
    weights = store.weights_path(identifier)
    content = json.loads((store.folder(identifier) / CARD_FILE).read_text(encoding="utf-8"))
    content = content if store.is_shipped(identifier) else public_card(content)
    if format == "zip":
        target = target if target.suffix == ".zip" else target.with_name(target.name + ".zip")
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"'{target}' is there already. Give a new or an empty folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(target.parent) as staging:
            report(on_progress, 0.0, f"Writing {target.name}")
            notes = (_write_archive(content, weights, store.folder(identifier), staging / target.name,
                                    span(on_progress, 0.0, 0.95)) if format == "zip"
                     else _write_folder(parse_card(content), weights, staging / target.name, format))
            if target.is_dir():
                target.rmdir()
            (staging / target.name).replace(target)
    except OSError as error:
        raise InputError(f"'{target}' could not be written: {error.strerror or error}.") from error
    report(on_progress, 1.0, "Exported")
    return ExportedModel(target, notes)


def public_card(content: dict) -> dict:
    """The content of a card with cases numbered, and without the date and what lies beside the card."""
    numbers: dict[str, str] = {}
    for entry in content["accuracy"]:
        numbers.setdefault(entry["case"], f"case {len(numbers) + 1}")
    training = {key: content["training"][key] for key in _KEPT_OF_TRAINING if key in content["training"]}
    return content | {"training": training, "accuracy": [
        entry | {"case": numbers[entry["case"]]} for entry in content["accuracy"]]}


def _write_archive(content: dict, weights: Path, folder: Path, place: Path,
                   on_progress: ProgressCallback | None) -> tuple[str, ...]:
    texts = place.parent / "texts"
    texts.mkdir()
    copy_texts(folder, texts)
    card = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry(CARD_FILE), card)
        for text in sorted(texts.iterdir()):
            archive.writestr(_entry(text.name), text.read_bytes())
        with weights.open("rb") as source, archive.open(_entry(weights.name), "w", force_zip64=True) as member:
            done, size = 0, max(1, weights.stat().st_size)
            while block := source.read(1 << 20):
                member.write(block)
                done += len(block)
                report(on_progress, done / size, f"Writing {place.name}")
    shutil.rmtree(texts)
    return ()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _write_folder(card: ModelCard, weights: Path, place: Path, format: str) -> tuple[str, ...]:
    from meddl.models.formats.bundle.writer import write_bundle
    from meddl.models.formats.nnunet.writer import write_nnunet
    from meddl.models.weights import load_weights

    if card.task != "segmentation":
        raise ModelError(f"'{card.id}' is for {card.task}; {format} takes segmentation models. Export it as zip.")
    place.mkdir()
    write = write_nnunet if format == "nnunet" else write_bundle
    return write(card, load_weights(weights), place)
