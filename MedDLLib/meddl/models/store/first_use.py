"""Checksums of downloads whose publisher states none: remembered at the first download, held at each later one."""

import datetime
import json
import uuid
from pathlib import Path

from meddl.core.errors import IntegrityError


class FirstUse:
    """What was downloaded from which address.

    Args:
        path: a JSON file; made when first needed.
    """

    def __init__(self, path: Path):
        self._path = path

    def sha256(self, url: str) -> str | None:
        """The SHA-256 of what came from this address the first time; None: nothing has yet."""
        entry = self._read().get(url)
        return entry.get("sha256") if isinstance(entry, dict) else None

    def check(self, url: str, sha256: str) -> None:
        """Compare a download with the first one; an address that is new is remembered.

        Raises:
            IntegrityError: something else came the first time.
        """
        known = self._read()
        entry = known.get(url)
        if not isinstance(entry, dict):
            known[url] = {"sha256": sha256, "date": datetime.date.today().isoformat()}
            self._write(known)
        elif entry.get("sha256") != sha256:
            raise IntegrityError(f"'{url}' is not the file that was downloaded there on {entry.get('date')}: its "
                                 f"SHA-256 is {sha256}, then it was {entry.get('sha256')}. If its publisher announces "
                                 "a new file, install it with --accept-changed; otherwise do not trust it.")

    def forget(self, url: str) -> None:
        """Take the next download from this address as the first one."""
        known = self._read()
        if known.pop(url, None) is not None:
            self._write(known)

    def _read(self) -> dict:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self, content: dict) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{uuid.uuid4().hex}.json")
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        temporary.replace(self._path)
