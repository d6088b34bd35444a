"""Downloads that can be cancelled, resumed and trusted. Standard library only."""

import hashlib
import http.client
import json
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from meddl.errors import IntegrityError, ModelError
from meddl.progress import ProgressCallback, report

_BLOCK = 1 << 18
_TIMEOUT_S = 30
_ATTEMPTS = 3
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def sha256_of(path: str | Path, on_progress: ProgressCallback | None = None) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    place = Path(path)
    size, done, digest = max(place.stat().st_size, 1), 0, hashlib.sha256()
    with place.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            done += len(block)
            report(on_progress, done / size, f"Checking {place.name}")
    return digest.hexdigest()


def check_sha256(path: Path, expected: str, name: str) -> None:
    """Raises IntegrityError where the file's SHA-256 is another one."""
    found = sha256_of(path)
    if found != expected.lower():
        raise IntegrityError(f"{name} is not the file that was published: its SHA-256 is {found}, "
                             f"{expected.lower()} was expected. It is damaged or was exchanged; install it again.")


def download(url: str, folder: Path, sha256: str | None = None, on_progress: ProgressCallback | None = None) -> Path:
    """Fetch a URL to a file in `folder`.

    An interrupted or cancelled download leaves a `.part` file, and the next call for the same URL goes on from
    there where the server's file is still the same one. Proxies are taken from the environment and the system.

    Args:
        url: https; http also, but then with `sha256` unless the server is this machine.
        sha256: what the file must be.

    Returns:
        The complete file; the caller moves or deletes it.

    Raises:
        ModelError: no network, an answer that is no file, a connection that keeps breaking, a full disk.
        IntegrityError: another SHA-256; the file is deleted.
        Cancelled: from `on_progress`.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ModelError(f"Models are downloaded by https or http; '{url}' is neither.")
    if parts.scheme == "http" and sha256 is None and parts.hostname not in _LOOPBACK:
        raise ModelError(f"'{url}' is not encrypted, so anyone on the way could exchange the file. "
                         "Use https, or give the file's SHA-256.")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.part"
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _fetch(url, part, on_progress)
            break
        except urllib.error.HTTPError as error:
            raise ModelError(f"{parts.hostname} answered {error.code} {error.reason} for '{url}'. "
                             "Check the address, or try again later.") from error
        except urllib.error.URLError as error:
            raise ModelError(_offline(parts.hostname, error.reason)) from error
        except (ConnectionError, TimeoutError, http.client.HTTPException, ssl.SSLError) as error:
            if attempt == _ATTEMPTS:
                raise ModelError(_offline(parts.hostname, error or type(error).__name__)) from error
    if sha256 is not None:
        try:
            check_sha256(part, sha256, f"'{url}'")
        except IntegrityError:
            discard(part)
            raise
    return part


def discard(part: Path) -> None:
    """Delete a download and the note beside it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _offline(host: str | None, reason) -> str:
    return (f"The download from {host} failed: {reason}. Check the network and the proxy settings and try again (it "
            "goes on where it stopped), or download the file on another machine and install it from disk.")


def _note(part: Path) -> Path:
    """The file that remembers which version of the server's file a `.part` belongs to."""
    return part.with_suffix(".json")


def _fetch(url: str, part: Path, on_progress: ProgressCallback | None) -> None:
    have, version = 0, None
    if part.is_file() and _note(part).is_file():
        try:
            version = json.loads(_note(part).read_text(encoding="utf-8"))["version"]
            have = part.stat().st_size
        except (ValueError, KeyError, TypeError):
            discard(part)
    request = urllib.request.Request(url, headers={"User-Agent": "MedDL", "Accept-Encoding": "identity"})
    if have and version:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    report(on_progress, 0.0, f"Connecting to {urllib.parse.urlsplit(url).hostname}")
    try:
        # A new opener each time: urlopen's own one never learns of proxies that were set later.
        response = urllib.request.build_opener().open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # the range lies outside: start anew
            discard(part)
            _fetch(url, part, on_progress)
            return
        raise
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == 206 and not resumed:
            discard(part)
            raise http.client.HTTPException("the server sent another part than the one asked for")
        have = have if resumed else 0
        total = _total(response, have)
        if total is not None and shutil.disk_usage(part.parent).free < total - have:
            raise ModelError(f"The download needs {(total - have) / 1e6:.0f} MB; the disk of '{part.parent}' has "
                             f"{shutil.disk_usage(part.parent).free / 1e6:.0f} MB left.")
        if not resumed:
            tag = response.headers.get("ETag") or ""
            version = response.headers.get("Last-Modified") if tag.startswith("W/") or not tag else tag
            _note(part).write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")
        with part.open("ab" if resumed else "wb") as stream:
            while block := response.read(_BLOCK):
                stream.write(block)
                have += len(block)
                report(on_progress, have / total if total else 0.0,
                       f"Downloading {have / 1e6:.1f}" + (f" of {total / 1e6:.1f} MB" if total else " MB"))
    if total is not None and have != total:
        raise http.client.HTTPException(f"the connection ended after {have} of {total} bytes")


def _total(response, have: int) -> int | None:
    length = response.headers.get("Content-Length")
    return have + int(length) if length and length.isdigit() else None
