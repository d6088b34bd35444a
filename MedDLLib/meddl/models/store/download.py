"""Downloads that can be cancelled, resumed and trusted. Standard library only.

Proxies are taken from the environment (http_proxy, https_proxy, no_proxy) and from the system's settings.
"""

import errno
import functools
import hashlib
import http.client
import queue
import shutil
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn, TypeVar

from meddl.core.errors import IntegrityError, ModelError
from meddl.core.paths import read_record, write_record
from meddl.core.progress import ProgressCallback, report

T = TypeVar("T")

_BLOCK = 1 << 18
_TIMEOUT_S = 30
_SHOW_S = 0.25
_ATTEMPTS = 3
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NOTE = "download.json"
_MAXIMUM_BYTES = 64 << 30  # of a file whose length nobody states
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Checksum:
    """A file's checksum: "sha256", "sha1" or "md5", and its hexadecimal digits."""

    algorithm: str
    value: str


def sha256_of(path: str | Path, on_progress: ProgressCallback | None = None) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    return digest_of(path, "sha256", on_progress)


def digest_of(path: str | Path, algorithm: str, on_progress: ProgressCallback | None = None) -> str:
    """A file's digest by hashlib's algorithm of that name, in hexadecimal digits."""
    place = Path(path)
    size, done, digest = max(place.stat().st_size, 1), 0, hashlib.new(algorithm, usedforsecurity=False)
    with place.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            done += len(block)
            report(on_progress, done / size, f"Checking {place.name}")
    return digest.hexdigest()


def check_sha256(path: Path, expected: str, name: str) -> None:
    """Raises IntegrityError where the file's SHA-256 is another one."""
    _compare(Checksum("sha256", expected), sha256_of(path), name)


def check_file(path: Path, expected: Checksum, name: str, on_progress: ProgressCallback | None = None) -> None:
    """Raises IntegrityError where the file's checksum is another one."""
    _compare(expected, digest_of(path, expected.algorithm, on_progress), name)


def download(url: str, folder: Path, checksum: Checksum | None = None, on_progress: ProgressCallback | None = None, *,
             expected_bytes: int | None = None) -> Path:
    """Fetch a URL to a file below `folder`, named as in the URL.

    An interrupted or cancelled download stays there, and the next call for the same URL goes on from there where the
    server's file is still the same one; a complete one is not fetched again. A cancel is answered within a second,
    also while the server says nothing. Never more is written than is expected.

    A server may send to another address: from https to https alone, and from this machine to this machine alone.

    Args:
        url: https; http also, but then with `checksum` unless the server is this machine.
        checksum: what the file must have.
        expected_bytes: its length, where it is known.

    Returns:
        The complete file; the caller lets go of it with `discard`.

    Raises:
        ModelError: no network, an answer that is no file, a connection that keeps breaking, a full disk (what came
            stays, and the next call goes on from there).
        IntegrityError: another checksum or length; the file is deleted.
        Cancelled: from `on_progress`.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ModelError(f"Models are downloaded by https or http; '{url}' is neither.")
    if parts.scheme == "http" and checksum is None and parts.hostname not in _LOOPBACK:
        raise ModelError(f"'{url}' is not encrypted, so anyone on the way could exchange the file. "
                         "Use https, or give the file's SHA-256.")
    part = place_of(url, folder)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(_unwritten(part, error)) from error
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _fetch(url, part, on_progress, expected_bytes)
            break
        except urllib.error.HTTPError as error:
            raise ModelError(f"{parts.hostname} answered {error.code} {error.reason} for '{url}'. "
                             "Check the address, or try again later.") from error
        except urllib.error.URLError as error:
            raise ModelError(_offline(parts.hostname, error.reason)) from error
        except (ConnectionError, TimeoutError, http.client.HTTPException, ssl.SSLError) as error:
            if attempt == _ATTEMPTS:
                raise ModelError(_offline(parts.hostname, error or type(error).__name__)) from error
        except OSError as error:
            raise ModelError(_unwritten(part, error)) from error
    try:
        if expected_bytes is not None and part.stat().st_size != expected_bytes:
            raise IntegrityError(f"'{url}' is not the file that was published: it has {part.stat().st_size} bytes, "
                                 f"{expected_bytes} were expected.")
        if checksum is not None:
            check_file(part, checksum, f"'{url}'", on_progress)
    except IntegrityError:
        discard(part)
        raise
    return part


def place_of(url: str, folder: Path) -> Path:
    """Where `download` keeps the file of a URL."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name)
    return folder / hashlib.sha256(url.encode()).hexdigest()[:24] / (safe.lstrip(".")[-100:] or "file")


def discard(part: Path) -> None:
    """Delete a download and the note beside it."""
    shutil.rmtree(part.parent, ignore_errors=True)


def _compare(expected: Checksum, found: str, name: str) -> None:
    if found != expected.value.lower():
        label = {"sha256": "SHA-256", "sha1": "SHA-1", "md5": "MD5"}.get(expected.algorithm, expected.algorithm)
        raise IntegrityError(f"{name} is not the file that was published: its {label} is {found}, "
                             f"{expected.value.lower()} was expected. It is damaged or was exchanged; install it "
                             "again.")


def _offline(host: str | None, reason: object) -> str:
    return (f"The download from {host} failed: {reason}. Check the network and the proxy settings and try again (it "
            "goes on where it stopped), or download the file on another machine and install it from disk.")


def _unwritten(part: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return (f"The disk of '{part.parent}' is full. Free some of it and try again: the download goes on where it "
                "stopped.")
    return f"The download cannot be kept in '{part.parent}': {error.strerror or error}."


def _write_note(part: Path, url: str, version: str | None, complete: bool) -> None:
    write_record(part.parent / _NOTE, {"url": url, "version": version, "complete": complete})


def _fetch(url: str, part: Path, on_progress: ProgressCallback | None, expected_bytes: int | None = None) -> None:
    note = read_record(part.parent / _NOTE)
    have = part.stat().st_size if part.is_file() else 0
    if note.get("complete") and have:
        return
    version = note.get("version")
    request = urllib.request.Request(url, headers={"User-Agent": "MedDL", "Accept-Encoding": "identity"})
    if have and version:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    message = f"Connecting to {urllib.parse.urlsplit(url).hostname}"
    try:
        # A new opener each time: urlopen's own one never learns of proxies that were set later.
        opener = urllib.request.build_opener(_StaySafe)
        response = _run_in_thread(lambda: opener.open(request, timeout=_TIMEOUT_S),
                              lambda: report(on_progress, 0.0, message))
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # the range lies outside: start anew
            part.unlink()
            _write_note(part, url, None, False)
            _fetch(url, part, on_progress, expected_bytes)
            return
        raise
    resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    if response.status == 206 and not resumed:
        part.unlink(missing_ok=True)
        raise http.client.HTTPException("the server sent another part than the one asked for")
    have = have if resumed else 0
    total = _total(response, have)
    most = min(_MAXIMUM_BYTES if size is None else size for size in (expected_bytes, total))
    if total is not None and total > most:
        response.close()
        discard(part)
        raise IntegrityError(f"'{url}' is not the file that was published: the server announces {total} bytes, {most} "
                             "were expected.")
    _check_room(part.parent, None if total is None else total - have)
    if not resumed:
        version = _version(response)
        _write_note(part, url, version, False)
    have = _receive(response, part, (have, total, most), on_progress)
    if total is not None and have != total:
        raise http.client.HTTPException(f"the connection ended after {have} of {total} bytes")
    _write_note(part, url, version, True)


def _receive(response: http.client.HTTPResponse, part: Path, sizes: tuple[int, int | None, int],
             on_progress: ProgressCallback | None) -> int:
    """Write what comes to the end of a file; returns its length.

    Args:
        sizes: bytes that the file has, that it will have (None: nobody says), and that it may have at most.

    Raises:
        IntegrityError: more comes than may; the file is deleted.
    """
    have, total, most = sizes
    begun, first = time.monotonic(), have

    def show_progress() -> None:
        speed = (have - first) / max(time.monotonic() - begun, 1e-6)
        report(on_progress, have / total if total else 0.0, _describe_speed(have, total, speed))

    with part.open("ab" if have else "wb") as stream:
        while block := _run_in_thread(lambda: response.read(_BLOCK), show_progress):
            if have + len(block) > most:
                break
            stream.write(block)
            have += len(block)
            show_progress()
    response.close()
    if block:
        discard(part)
        raise IntegrityError(f"'{part.name}' is not the file that was published: the server sends more than the {most} "
                             "bytes that were expected.")
    return have


def _describe_speed(have: int, total: int | None, speed: float) -> str:
    text = f"Downloading {have / 1e6:.1f}" + (f" of {total / 1e6:.1f} MB" if total else " MB")
    if total and speed > 0 and (left := (total - have) / speed) >= 5:
        text += f", {speed / 1e6:.1f} MB/s, {left:.0f} s left" if left < 120 else f", {left / 60:.0f} min left"
    return text


def _run_in_thread(work: Callable[[], T], show_progress: Callable[[], None]) -> T:
    """The result of `work`, run in a thread, so that `show_progress` is called (and may raise) while it waits.

    Where `show_progress` raises, the thread is left to end by itself, at the latest after the connection's timeout.
    """
    outcomes: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()

    def run() -> None:
        try:
            value = work()
            outcomes.put(lambda: value)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is raised where it is waited for
            outcomes.put(functools.partial(_raise, error))

    show_at = time.monotonic()
    threading.Thread(target=run, daemon=True).start()
    while True:
        try:
            outcome = outcomes.get(timeout=_SHOW_S)
        except queue.Empty:
            show_progress()
            continue
        value = outcome()
        if time.monotonic() - show_at > _SHOW_S:
            show_progress()
        return value


def _raise(error: BaseException) -> NoReturn:
    raise error


class _StaySafe(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never from https to anything else, and never from this machine to another one."""

    def redirect_request(self, request: urllib.request.Request, stream: IO[bytes], code: int, reason: str,
                         headers: http.client.HTTPMessage, address: str) -> urllib.request.Request | None:
        """The request for the new address."""
        old, new = urllib.parse.urlsplit(request.full_url), urllib.parse.urlsplit(address)
        if new.scheme not in ("http", "https"):
            raise urllib.error.URLError(f"it leads to '{address}', which is neither https nor http")
        if old.scheme == "https" and new.scheme != "https":
            raise urllib.error.URLError(f"it leads to the unencrypted address '{address}'")
        if old.hostname in _LOOPBACK and old.scheme == "http" and new.hostname not in _LOOPBACK:
            raise urllib.error.URLError(f"it leads from this machine to '{address}'")
        return super().redirect_request(request, stream, code, reason, headers, address)


def _check_room(folder: Path, needed: int | None) -> None:
    free = shutil.disk_usage(folder).free
    if needed is not None and free < needed:
        raise ModelError(f"The download needs {needed / 1e6:.0f} MB; the disk of '{folder}' has {free / 1e6:.0f} MB "
                         "left.")


def _version(response: http.client.HTTPResponse) -> str | None:
    """What names this version of the file, so that a later request can ask for the rest of the same one."""
    tag = response.headers.get("ETag") or ""
    return response.headers.get("Last-Modified") if tag.startswith("W/") or not tag else tag


def _total(response: http.client.HTTPResponse, have: int) -> int | None:
    length = response.headers.get("Content-Length")
    return have + int(length) if length and length.isdigit() else None
