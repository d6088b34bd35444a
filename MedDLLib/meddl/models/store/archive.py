"""Model archives: a zip that holds card.json and the weights. Nothing leaves the folder it is unpacked into."""

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from meddl.core.errors import MedDLError, ModelError
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard, load_card

CARD_FILE = "card.json"
_MAXIMUM_CARD = 1 << 20
_MAXIMUM_TEXT = 1 << 20
_MAXIMUM_MEMBERS = 1000
_MAXIMUM_ENTRIES = 100_000  # with validation predictions and images, which are not unpacked
_LONGEST_NAME, _LONGEST_PATH = 255, 1000
_IMAGES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".npz", ".npy", ".png", ".jpg", ".tif", ".tiff", ".b2nd")
_RESULTS = re.compile(r"validation(_\w+)?|predicted_next_stage")  # nnU-Net's own, on its training data
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError,
            OverflowError)
_MAXIMUM_TOTAL = 16 << 30
_TEXTS = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt", "README.md", "README.txt")


def unpack(archive: Path, folder: Path, on_progress: ProgressCallback | None = None) -> ModelCard:
    """Unpack card, weights and license texts of a model into an empty folder.

    The card is at the top of the archive or in its only folder. Only what the card names and texts of known names
    are written.

    Raises:
        ModelError: not a zip, damaged, names that lead out of the folder, links, encryption, sizes that do not fit.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked_members(opened)
            cards = sorted((name for name in members if PurePosixPath(name).name == CARD_FILE),
                           key=lambda name: name.count("/"))
            if not cards or cards[0].count("/") > 1:
                raise ModelError(f"'{archive.name}' holds no {CARD_FILE}; it is not a MedDL model.")
            top = cards[0].removesuffix(CARD_FILE)
            _extract(opened, members[cards[0]], folder / CARD_FILE, _MAXIMUM_CARD)
            card = load_card(folder / CARD_FILE, require_schema=True)
            stated = card.own_weights
            weights = members.get(top + stated.file)
            if weights is None:
                raise ModelError(f"'{archive.name}' lacks '{stated.file}', the weights that its card names.")
            if weights.file_size != stated.bytes:
                raise ModelError(f"'{stated.file}' in '{archive.name}' has {weights.file_size} bytes; "
                                 f"its card says {stated.bytes}.")
            if shutil.disk_usage(folder).free < weights.file_size:
                raise ModelError(f"'{folder}' has no room for {weights.file_size / 1e6:.0f} MB of weights.")
            _extract(opened, weights, folder / stated.file, stated.bytes, on_progress)
            for text in _TEXTS:
                if (member := members.get(top + text)) is not None:
                    _extract(opened, member, folder / text, _MAXIMUM_TEXT)
            return card
    except MedDLError:  # before RuntimeError: Cancelled is one
        raise
    except OSError as error:
        raise ModelError(f"'{archive.name}' cannot be unpacked: {error.strerror or error}.") from error
    except _DAMAGES as error:
        raise ModelError(f"'{archive.name}' is not a zip archive, or is damaged: {error}.") from error


def copy_texts(source: Path, folder: Path) -> None:
    """Copy the license and read-me files of a model's folder, of names and sizes as an archive may have them."""
    for name in _TEXTS:
        if (text := source / name).is_file() and text.stat().st_size <= _MAXIMUM_TEXT:
            shutil.copyfile(text, folder / name)


def unpack_all(archive: Path, folder: Path, on_progress: ProgressCallback | None = None,
               most_bytes: int = _MAXIMUM_TOTAL) -> int:
    """Unpack the files of an archive that a model may need into an empty folder: no images, no predictions.

    Args:
        most_bytes: that it may unpack to.

    Returns:
        What is left of `most_bytes`.

    Raises:
        ModelError: as `unpack`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked_members(opened, most_bytes, _is_needed)
            total = sum(member.file_size for member in members.values())
            if shutil.disk_usage(folder).free < total:
                raise ModelError(f"'{folder}' has no room for {total / 1e6:.0f} MB.")
            done = 0.0
            for name, member in members.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                fraction = member.file_size / max(total, 1)
                _extract(opened, member, target, member.file_size, span(on_progress, done, done + fraction))
                done += fraction
            return most_bytes - total
    except MedDLError:  # before RuntimeError: Cancelled is one
        raise
    except OSError as error:
        raise ModelError(f"'{archive.name}' cannot be unpacked: {error.strerror or error}.") from error
    except _DAMAGES as error:
        raise ModelError(f"'{archive.name}' is not a zip archive, or is damaged: {error}.") from error


def _is_needed(path: PurePosixPath) -> bool:
    """Whether a file may belong to a model: what nnU-Net keeps of its validation and what systems add does not."""
    name = path.name.lower()
    beside = any(part.startswith((".", "__MACOSX")) or _RESULTS.fullmatch(part) for part in path.parts)
    return not beside and not name.endswith(_IMAGES)


def _checked_members(opened: zipfile.ZipFile, most_bytes: int = _MAXIMUM_TOTAL,
                     needed: Callable[[PurePosixPath], bool] = lambda _: True) -> dict[str, zipfile.ZipInfo]:
    """The needed files of the archive by name, "/" between folders, after every entry was checked."""
    entries = opened.infolist()
    if len(entries) > _MAXIMUM_ENTRIES:
        raise ModelError(f"The archive holds {len(entries)} files; a model holds a few.")
    members: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.orig_filename.replace("\\", "/")  # as some programs on Windows write it
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
            raise ModelError(f"The archive holds a file named {name[:200]!r}, which would land outside its folder. "
                             "It was not unpacked.")
        if any(len(part.encode(errors="replace")) > _LONGEST_NAME for part in path.parts) or len(name) > _LONGEST_PATH:
            raise ModelError(f"The archive holds a file named {name[:60]!r}..., too long a name. It was not unpacked.")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ModelError(f"The archive holds {name!r}, a link or device. It was not unpacked.")
        if name.endswith("/") or not needed(path):
            continue
        if entry.flag_bits & 1:
            raise ModelError(f"The archive's {name!r} is encrypted. Give an archive without a password.")
        if name in members:
            raise ModelError(f"The archive holds {name!r} twice. It was not unpacked.")
        members[name] = entry
    if len(members) > _MAXIMUM_MEMBERS:
        raise ModelError(f"The archive holds {len(members)} files; a model holds a few.")
    if sum(entry.file_size for entry in members.values()) > most_bytes:
        raise ModelError(f"The archive would unpack to more than {_MAXIMUM_TOTAL >> 30} GB; it is no model.")
    if folders := {parent.as_posix() for name in members for parent in PurePosixPath(name).parents} & set(members):
        raise ModelError(f"The archive holds {min(folders)!r} as a file and as a folder. It was not unpacked.")
    return members


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, limit: int,
             on_progress: ProgressCallback | None = None) -> None:
    """Write one member, at most `limit` bytes whatever the archive claims."""
    if member.file_size > limit:
        raise ModelError(f"{member.filename!r} would unpack to {member.file_size} bytes; {limit} are allowed.")
    done = 0
    with opened.open(member) as source, target.open("wb") as stream:
        while block := source.read(1 << 20):
            done += len(block)
            if done > limit:
                raise ModelError(f"{member.filename!r} unpacks to more than the {limit} bytes allowed.")
            stream.write(block)
            report(on_progress, done / max(member.file_size, 1), f"Unpacking {target.name}")
