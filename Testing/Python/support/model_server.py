"""A server of one file on this machine, which can do what servers do badly; and as a proxy."""

import contextlib
import http.server
import threading
import time
import urllib.parse

PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class FileServer(http.server.ThreadingHTTPServer):
    """Serves one file with Range and ETag.

    Attributes:
        ranges, headers: of the requests so far; `addresses`, what they asked for.
        break_after: bytes after which the next answers end, one each.
        etag: sent with each answer, None: none is.
        resumes: whether it knows Range.
        lie_about_length: bytes added to the length that it states.
        silent_s: how long it says nothing before the body.
    """

    daemon_threads = True

    def __init__(self, content: bytes, name: str = "file.zip"):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.name = content, name
        self.etag, self.resumes, self.lie_about_length, self.silent_s = '"one"', True, 0, 0.0
        self.ranges, self.headers, self.addresses, self.break_after = [], [], [], []
        self.host = f"http://127.0.0.1:{self.server_port}"
        self.url = f"{self.host}/{name}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server, content, start = self.server, self.server.content, 0
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        server.headers.append(dict(self.headers))
        server.addresses.append(self.path)
        if urllib.parse.urlsplit(self.path).path != f"/{server.name}":
            self.send_error(404)
            return
        if asked and server.resumes and server.etag and self.headers.get("If-Range") == server.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(content) - start + server.lie_about_length))
        self.end_headers()
        self.wfile.flush()
        time.sleep(server.silent_s)
        stop = start + server.break_after.pop(0) if server.break_after else len(content)
        with contextlib.suppress(OSError):
            self.wfile.write(content[start:stop])
        self.close_connection = True


@contextlib.contextmanager
def running(server: FileServer, monkeypatch):
    """The server at work, with no proxy between."""
    for name in PROXY_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
