"""Downloads from a server on this machine: resumed, through a proxy, cancelled, checked. More in test_store."""

import base64
import errno
import hashlib
import signal
import time
import urllib.error
import urllib.request

import pytest
from model_server import FileServer, running

from meddl.core.errors import Cancelled, IntegrityError, ModelError
from meddl.models.store import download as download_module
from meddl.models.store.download import Checksum, _StaySafe, discard, download, place_of

try:
    import resource
except ImportError:  # Windows
    resource = None

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server(monkeypatch):
    with running(FileServer(CONTENT), monkeypatch) as started:
        yield started


@pytest.fixture
def through_proxy(server, monkeypatch):
    """The server is the proxy; any address of any host is asked of it."""
    monkeypatch.setenv("http_proxy", server.host)
    return server


def broken_off(server, tmp_path):
    """Download until the connection has broken three times; a part of the file stays."""
    server.break_after = [200_000] * 3
    with pytest.raises(ModelError, match="goes on where it stopped"):
        download(server.url, tmp_path)
    return place_of(server.url, tmp_path)


def test_a_file_comes_whole_and_under_its_own_name(server, tmp_path):
    part = download(server.url, tmp_path)
    assert part.name == "file.zip"
    assert part.read_bytes() == CONTENT


def test_a_complete_download_is_not_fetched_again_until_it_is_discarded(server, tmp_path):
    part = download(server.url, tmp_path)
    assert download(server.url, tmp_path) == part
    assert len(server.ranges) == 1
    discard(part)
    assert list(tmp_path.iterdir()) == []
    download(server.url, tmp_path)
    assert len(server.ranges) == 2


def test_a_server_that_knows_no_ranges_sends_the_file_again(server, tmp_path):
    server.resumes = False
    assert broken_off(server, tmp_path).stat().st_size == 200_000
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=200000-"


def test_a_server_that_names_no_version_is_asked_for_the_whole_file_again(server, tmp_path):
    server.etag = None
    broken_off(server, tmp_path)
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert set(server.ranges) == {None}


def test_a_part_in_which_nothing_is_known_of_its_version_is_not_trusted(server, tmp_path):
    part = broken_off(server, tmp_path)
    (part.parent / "download.json").write_text("[")
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] is None


def test_a_cancel_is_answered_while_the_server_says_nothing(server, tmp_path):
    server.silent_s = 5.0
    begun = time.monotonic()

    def stop(fraction, message):
        if time.monotonic() - begun > 0.3:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        download(server.url, tmp_path, on_progress=stop)
    assert time.monotonic() - begun < 1.5


def test_the_checksum_that_a_publisher_states_is_held(server, tmp_path):
    for algorithm in ("sha256", "sha1", "md5"):
        right = Checksum(algorithm, hashlib.new(algorithm, CONTENT).hexdigest().upper())
        discard(download(server.url, tmp_path, right))
    with pytest.raises(IntegrityError, match="its SHA-1 is"):
        download(server.url, tmp_path, Checksum("sha1", "0" * 40))
    assert not list(tmp_path.iterdir())


def test_another_length_than_published_is_refused(server, tmp_path):
    with pytest.raises(IntegrityError, match=r"1024000 bytes, 5 were expected"):
        download(server.url, tmp_path, expected_bytes=5)
    assert not list(tmp_path.iterdir())


def test_a_proxy_brings_the_file(through_proxy, tmp_path):
    url = "http://models.invalid/file.zip"
    right = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())
    assert download(url, tmp_path, right).read_bytes() == CONTENT
    assert through_proxy.addresses == [url]


def test_a_proxy_that_asks_who_is_there_is_told(through_proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", through_proxy.host.replace("//", "//me:secret@"))
    download("http://models.invalid/file.zip", tmp_path, Checksum("sha256", hashlib.sha256(CONTENT).hexdigest()))
    assert through_proxy.headers[0]["Proxy-Authorization"] == f"Basic {base64.b64encode(b'me:secret').decode()}"


def test_hosts_that_are_excepted_are_asked_without_the_proxy(through_proxy, server, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    download(server.url, tmp_path)
    assert server.addresses == ["/file.zip"]


def test_a_proxy_that_is_not_there_is_named_with_the_way_out(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="proxy settings"):
        download(server.url, tmp_path)


@pytest.mark.parametrize(("path", "name"), [("a/model.zip?download=1", "model.zip"), ("..%2F..%2Fevil.zip", "evil.zip"),
                                            ("", "file"), ("%2E%2E", "file"), ("a b;c.zip", "a_b_c.zip")])
def test_the_name_in_an_address_never_leads_out(tmp_path, path, name):
    place = place_of(f"https://example.org/{path}", tmp_path)
    assert place.name == name
    assert place.parent.parent == tmp_path


def test_a_redirection_may_not_end_the_encryption():
    request = urllib.request.Request("https://example.org/a.zip")
    with pytest.raises(urllib.error.URLError, match="unencrypted"):
        _StaySafe().redirect_request(request, None, 302, "Found", {}, "http://example.org/a.zip")
    assert _StaySafe().redirect_request(request, None, 302, "Found", {}, "https://example.com/a.zip")


def test_a_redirection_leads_nowhere_but_to_the_web():
    request = urllib.request.Request("https://example.com/a.zip")
    with pytest.raises(urllib.error.URLError, match="neither https nor http"):
        _StaySafe().redirect_request(request, None, 302, "Found", {}, "ftp://example.com/a.zip")


def test_this_machine_sends_on_to_this_machine_alone():
    request = urllib.request.Request("http://127.0.0.1:8000/a.zip")
    with pytest.raises(urllib.error.URLError, match="leads from this machine"):
        _StaySafe().redirect_request(request, None, 302, "Found", {}, "http://example.com/a.zip")
    with pytest.raises(urllib.error.URLError, match="leads from this machine"):
        _StaySafe().redirect_request(request, None, 302, "Found", {}, "https://example.com/a.zip")
    assert _StaySafe().redirect_request(request, None, 302, "Found", {}, "http://localhost:9000/a.zip")


def test_no_more_is_written_than_is_expected(server, tmp_path):
    with pytest.raises(IntegrityError, match="announces 1024000 bytes, 1000 were expected"):
        download(server.url, tmp_path, expected_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_unstated_length_ends_at_the_expected_one(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "_total", lambda response, have: None)
    with pytest.raises(IntegrityError, match="more than the 600000 bytes"):
        download(server.url, tmp_path, expected_bytes=600_000)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(download_module, "_MAXIMUM_BYTES", 500_000)
    with pytest.raises(IntegrityError, match="more than the 500000 bytes"):
        download(server.url, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(resource is None, reason="a file's length is limited on POSIX")
def test_a_full_disk_is_an_error_and_the_next_call_goes_on(server, tmp_path, monkeypatch):
    """The system refuses to write more than a limit, as a full disk would."""
    monkeypatch.setattr(download_module, "_FULL", (errno.EFBIG,))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(ModelError, match="is full.*goes on where it stopped"):
            download(server.url, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert 0 < place_of(server.url, tmp_path).stat().st_size <= 300_000
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1].startswith("bytes=")
