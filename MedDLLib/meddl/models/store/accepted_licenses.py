"""The record of licenses that the user accepted, kept beside the installed models."""

import datetime
from pathlib import Path

from meddl.core.errors import ModelError
from meddl.core.paths import read_record, write_record
from meddl.models.cards import ModelCard

LICENSES_FILE = "licenses.json"


class AcceptedLicenses:
    """Which license of which model was accepted, and when.

    Args:
        folder: where the record lies, or will lie.
    """

    def __init__(self, folder: Path):
        self._file = folder / LICENSES_FILE

    def has(self, card: ModelCard) -> bool:
        """Whether the license that a model has now was accepted."""
        entry = read_record(self._file).get(card.id)
        return isinstance(entry, dict) and entry.get("license") == license_text(card)

    def add(self, card: ModelCard) -> None:
        """Remember a license; another one of the same model is asked for anew."""
        licenses = read_record(self._file)
        licenses[card.id] = {"license": license_text(card), "date": datetime.date.today().isoformat()}
        try:
            write_record(self._file, licenses)
        except OSError as error:
            raise ModelError(f"'{self._file}' could not be written: {error.strerror or error}. The license was not "
                             "noted as accepted.") from error


def license_text(card: ModelCard) -> str:
    """What is accepted: the licenses of weights and code, and where they are."""
    return " | ".join(part for part in (card.license.weights, card.license.code, card.license.url) if part)
