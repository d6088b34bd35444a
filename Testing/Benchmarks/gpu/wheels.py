"""Packages that come as wheel files, for machines without a network."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path


def use_wheels(folder: Path, target: Path) -> list[str]:
    """Unpack all wheels of a folder, compiled ones too, to `target`, which becomes the first place to import from.

    Returns:
        Their file names.

    Raises:
        FileNotFoundError: there are none.
    """
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise FileNotFoundError(f"'{folder}' was expected to hold wheels (*.whl).")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    sys.path.insert(0, str(target))
    return [wheel.name for wheel in wheels]
