"""Where MedDL finds what ships with it, keeps what it downloads and its small records, and looks for test data."""

import contextlib
import json
import os
import sys
import uuid
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def resources_folder() -> Path:
    """The folder that holds `Models`, `Samples` and `Catalog.json`, in Slicer `requirements.txt` too.

    Looked for in this order: environment variable MEDDL_RESOURCES, inside an installed wheel (`meddl/Resources`),
    `Resources/MedDL` beside the package (Slicer's flat install, where other extensions have their `Resources` too),
    `Resources/MedDL` at the top of a source checkout.

    Raises:
        FileNotFoundError: none of them exists.
    """
    given = os.environ.get("MEDDL_RESOURCES")
    places = [Path(given)] if given else [
        _PACKAGE / "Resources", _PACKAGE.parent / "Resources" / "MedDL", _PACKAGE.parent.parent / "Resources" / "MedDL"]
    for place in places:
        if (place / "Models").is_dir():
            return place
    raise FileNotFoundError(
        f"MedDL's folder of resources (with Models in it) was expected at one of {', '.join(map(str, places))}. "
        "Reinstall MedDL, or set MEDDL_RESOURCES.")


def cache_folder() -> Path:
    """The folder for downloaded models and measured speeds (not created here). MEDDL_CACHE overrides it."""
    given = os.environ.get("MEDDL_CACHE")
    if given:
        return Path(given)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "MedDL"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "MedDL"
    return Path(os.environ.get("XDG_CACHE_HOME", home / ".cache")) / "MedDL"


def data_folder() -> Path | None:
    """The real volumes for tests, training and benchmarks: MEDDL_DATA, or `shared/data` beside the checkout."""
    given = os.environ.get("MEDDL_DATA")
    place = Path(given) if given else _PACKAGE.parent.parent.parent / "shared" / "data"
    return place if place.is_dir() else None


def read_record(file: Path) -> dict:
    """The object in a JSON file; {} where there is none, or no whole one."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_record(file: Path, content: dict) -> None:
    """Write a JSON file that appears whole or not at all; its folder is made.

    Raises:
        OSError: it could not be written; the earlier one is still there.
    """
    temporary = file.with_name(f".{uuid.uuid4().hex}.json")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        temporary.replace(file)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
