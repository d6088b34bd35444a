"""Weights checked against what their card says."""

from pathlib import Path

from meddl.core.errors import IntegrityError, ModelError
from meddl.models.cards import ModelCard
from meddl.models.store.download import check_sha256

_verified: set[tuple[str, int, int, str]] = set()  # path, length, time of change, SHA-256


def checked_weights(folder: Path, card: ModelCard, again: bool = False) -> Path:
    """The weights file of the model in `folder`, checked once per process, or once more.

    Raises:
        ModelError: it is missing, or the model is a collection and has none.
        IntegrityError: it is not the one that the card states.
    """
    if card.weights is None:
        names = ", ".join(part.model for part in card.parts)
        raise ModelError(f"'{card.id}' is a collection of {names} and has no weights of its own.")
    path = folder / card.weights.file
    if not path.is_file():
        raise ModelError(f"The weights '{path}' of the model '{card.id}' are missing. Install it again.")
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns, card.weights.sha256)
    if again or key not in _verified:
        if status.st_size != card.weights.bytes:
            raise IntegrityError(f"The weights '{path}' have {status.st_size} bytes, their card says "
                                 f"{card.weights.bytes}. Install the model again.")
        check_sha256(path, card.weights.sha256, f"'{path}'")
        _verified.add(key)
    return path
