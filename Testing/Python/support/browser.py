"""Chromium without a screen, for pages that MedDL writes."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
          "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions")
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium")
_OWN_HOSTS = ("google.com", "googleapis.com", "gstatic.com")  # of the browser's clock, updates and accounts
# Its result is written into the page, which is then read: widths, names in plots that are cut, headers of one word in
# several lines, and pictures that were not drawn.
_PROBE = """<script>window.onload = function () {
  const root = document.documentElement;
  const wide = [...document.querySelectorAll("body *")].filter(one => !one.closest("svg, .scroll, head")
    && one.getBoundingClientRect().right > window.innerWidth + 1).map(one => one.tagName + " " + one.className);
  const cut = [...document.querySelectorAll("svg text")].filter(one => one.getBBox().x < 0).map(one => one.textContent);
  const torn = [...document.querySelectorAll("th")].filter(one => !one.textContent.includes(" ")
    && one.offsetHeight > 40).map(one => one.textContent);
  document.title = JSON.stringify({width: window.innerWidth, needed: root.scrollWidth, wide: wide, cut: cut, torn: torn,
    images: document.images.length, broken: [...document.images].filter(one => !one.naturalWidth).length});
};</script></body>"""


def screenshot(page: Path, width: int, picture: Path, height: int = 2400) -> None:
    """A picture of a page in a window of this width."""
    _run(page, picture.parent, f"--screenshot={picture}", f"--window-size={width},{height}")
    assert picture.stat().st_size > 5000


def layout(page: Path, width: int, folder: Path) -> dict:
    """What the browser says of the page's layout: see `_PROBE`. The probe is put into a copy that allows scripts."""
    text = re.sub(r"<meta http-equiv='Content-Security-Policy'[^>]*>", "", page.read_text(encoding="utf-8"))
    copy = folder / f"probe-{width}.html"
    copy.write_text(text.replace("</body>", _PROBE), encoding="utf-8")
    shown = _run(copy, folder, "--dump-dom", f"--window-size={width},1200")
    return json.loads(re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1])


def requested_addresses(page: Path, folder: Path) -> set[str]:
    """The addresses outside of files that a page made the browser ask for; its own, of its maker, are left out."""
    log = folder / f"{page.stem}-net.json"
    _run(page, folder, "--dump-dom", f"--log-net-log={log}")
    text = log.read_text(encoding="utf-8", errors="replace")
    found = set(re.findall(r'"url":"((?:https?|wss?|ftp):[^"]+)"', text))
    return {address for address in found if not (urlsplit(address).hostname or "").endswith(_OWN_HOSTS)}


def _run(page: Path, folder: Path, *flags: str) -> str:
    command = [PROGRAM, *_FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.absolute().as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
