"""The record of licenses that the user accepted, kept beside the installed models."""

import datetime
import json
import uuid
from pathlib import Path

from meddl.models.cards import ModelCard

LICENSES_FILE = "licenses.json"


class AcceptedLicenses:
    """Which license of which model was accepted, and when.

    Args:
        folder: where the record lies, or will lie.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def has(self, card: ModelCard) -> bool:
        """Whether the license that a model has now was accepted."""
        entry = self._read().get(card.id)
        return isinstance(entry, dict) and entry.get("license") == license_text(card)

    def add(self, card: ModelCard) -> None:
        """Remember a license; another one of the same model is asked for anew."""
        licenses = self._read()
        licenses[card.id] = {"license": license_text(card), "date": datetime.date.today().isoformat()}
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{uuid.uuid4().hex}.json"
        temporary.write_text(json.dumps(licenses, indent=1), encoding="utf-8")
        temporary.replace(self._folder / LICENSES_FILE)

    def _read(self) -> dict:
        try:
            content = json.loads((self._folder / LICENSES_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def license_text(card: ModelCard) -> str:
    """What is accepted: the licenses of weights and code, and where they are."""
    return " | ".join(part for part in (card.license.weights, card.license.code, card.license.url) if part)
