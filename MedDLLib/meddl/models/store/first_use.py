"""Checksums of downloads whose publisher states none: remembered at the first download, held at each later one."""

import datetime
from pathlib import Path

from meddl.core.errors import IntegrityError
from meddl.core.paths import read_record, write_record


class FirstUse:
    """What was downloaded from which address.

    Args:
        path: a JSON file; made when first needed.
    """

    def __init__(self, path: Path):
        self._path = path

    def sha256(self, url: str) -> str | None:
        """The SHA-256 of what came from this address the first time; None: nothing has yet."""
        entry = read_record(self._path).get(url)
        return entry.get("sha256") if isinstance(entry, dict) else None

    def check(self, url: str, sha256: str) -> None:
        """Compare a download with the first one; an address that is new is remembered.

        Raises:
            IntegrityError: something else came the first time.
        """
        known = read_record(self._path)
        entry = known.get(url)
        if not isinstance(entry, dict):
            known[url] = {"sha256": sha256, "date": datetime.date.today().isoformat()}
            write_record(self._path, known)
        elif entry.get("sha256") != sha256:
            raise IntegrityError(f"'{url}' is not the file that was downloaded there on {entry.get('date')}: its "
                                 f"SHA-256 is {sha256}, then it was {entry.get('sha256')}. If its publisher announces "
                                 "a new file, install it with --accept-changed; otherwise do not trust it.")

    def forget(self, url: str) -> None:
        """Take the next download from this address as the first one."""
        known = read_record(self._path)
        if known.pop(url, None) is not None:
            write_record(self._path, known)
