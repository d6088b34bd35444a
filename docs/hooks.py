"""Hooks of mkdocs: links that leave the pages lead to the site's pictures, or to the repository on the web.

The reference is written from the docstrings of the package's public names: see `reference`.
"""

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import reference  # noqa: E402

_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?\)")
_PICTURES = "Resources/Screenshots/"


def on_files(files, config):
    """Add the pictures of the repository to the site."""
    for path in (*sorted((ROOT / _PICTURES).glob("*.png")), ROOT / "Resources" / "Icons" / "MedDL.png"):
        files.append(File.generated(config, f"pictures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead links that leave the pages to the site's pictures, or to the repository on the web."""
    folder = posixpath.dirname(page.file.src_uri)
    if page.file.src_uri == "reference.md":
        markdown = reference.page(markdown)

    def rewritten(match):
        start, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        place = posixpath.normpath(posixpath.join("docs", folder, target))
        if place.startswith("docs/"):
            return match[0]
        if place.startswith(_PICTURES):
            return f"{start}{posixpath.relpath('pictures/' + posixpath.basename(place), folder or '.')}{anchor})"
        kind = "tree" if (ROOT / place).is_dir() else "blob"
        return f"{start}{config.extra['repository']}/{kind}/main/{place}{anchor})"

    return _LINK.sub(rewritten, markdown)
