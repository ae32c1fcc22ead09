"""A server for looking at a site on this machine, and at nothing else.

It listens on 127.0.0.1 only, answers GET and HEAD for the files of one folder, and refuses
requests that were meant for another host: a page elsewhere on the web whose name was made to lead
to 127.0.0.1 (DNS rebinding) reads nothing. It lists no folders and follows no link out of the
site. It is no server for the web.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from atlas.errors import OutputError

ADDRESS = "127.0.0.1"
PORTS = 10
"""Ports that are tried one after the other where one is taken."""
PATIENCE = 25.0
"""Seconds a browser's question for changes is held open."""

_TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8", ".json": "application/json",
    ".svg": "image/svg+xml", ".avif": "image/avif", ".webp": "image/webp", ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8",
    ".xml": "application/xml", ".parquet": "application/vnd.apache.parquet",
    ".woff2": "font/woff2",
}  # fmt: skip
_OURS = "/__atlas/"
_BODY_END = re.compile(rb"</body\s*>", re.IGNORECASE)
_BASE = re.compile(rb"<base\b[^>]*>", re.IGNORECASE)


class Changes:
    """Tells waiting browsers that the site has changed. May be used from several threads."""

    def __init__(self) -> None:
        # A random start: pages of an earlier run of the server are out of date, too.
        self._version = secrets.randbelow(2**31)
        self._news = threading.Condition()

    @property
    def version(self) -> int:
        """Changes with every change."""
        return self._version

    def announce(self) -> None:
        """Say that the site has changed."""
        with self._news:
            self._version += 1
            self._news.notify_all()

    def wait(self, since: int, seconds: float) -> bool:
        """Wait until the version is another than `since`; whether it became so in time."""
        with self._news:
            return self._news.wait_for(lambda: self._version != since, seconds)


class SiteServer(ThreadingHTTPServer):
    """Serves the folder `root`; pages reload themselves if there are `changes` to tell them of."""

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere it lets two servers share a port

    def __init__(self, root: Path, port: int, changes: Changes | None = None) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.root = root.resolve()
        self.changes = changes
        self.hosts = {f"{name}:{self.server_port}" for name in ("localhost", ADDRESS)}
        if self.server_port == 80:
            self.hosts |= {"localhost", ADDRESS}

    @property
    def url(self) -> str:
        """Where to find it."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle is no news."""


def open_server(root: Path, port: int, changes: Changes | None = None) -> SiteServer:
    """A server on `port` or, if it is taken, on one of the next ones; 0 is any that is free.

    Raises:
        OutputError: all of them are taken, or this one may not be used.
    """
    for candidate in range(port, port + (PORTS if port else 1)):
        try:
            return SiteServer(root, candidate, changes)
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) != errno.EADDRINUSE:
                raise OutputError(f"cannot serve on port {candidate}: {error}") from error
    raise OutputError(f"ports {port} to {port + PORTS - 1} are taken; give another with --port")


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: SiteServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    server_version = "atlas"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def send_error(self, code: int, *_: object, **__: object) -> None:
        """Refusals, also those of the base class, are one line of text without any of the input."""
        self.close_connection = True
        self._send(HTTPStatus(code), f"{HTTPStatus(code).phrase}\n".encode(), "text/plain")

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

    def _answer(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.send_error(HTTPStatus.BAD_REQUEST)  # a body would be read as the next request
        elif not self.path.startswith("/"):
            self.send_error(HTTPStatus.BAD_REQUEST)
        elif self.path.startswith(_OURS) and self.server.changes is not None:
            self._reload(self.path.removeprefix(_OURS), self.server.changes)
        else:
            self._file(self.path.partition("?")[0].partition("#")[0])

    def _reload(self, name: str, changes: Changes) -> None:
        """The script that asks for changes, and the answer to its question."""
        parts = urlsplit(name)
        since = re.match(r"since=(\d{1,20})(?:&|$)", parts.query)
        if parts.path == "reload.js":
            script = Path(__file__).with_name("reload.js").read_bytes()
            self._send(HTTPStatus.OK, script, _TYPES[".js"])
        elif parts.path == "changed.js" and since is not None:
            news = changes.wait(int(since[1]), PATIENCE)
            self._send(HTTPStatus.OK, b"location.reload();" if news else b"", _TYPES[".js"])
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _file(self, path: str) -> None:
        found = find(self.server.root, path)
        if isinstance(found, str):
            self._send(HTTPStatus.MOVED_PERMANENTLY, b"", "text/plain", Location=found)
            return
        status = HTTPStatus.OK
        if found is None:
            status, found = HTTPStatus.NOT_FOUND, find(self.server.root, "/404.html")
        if not isinstance(found, Path):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            data = found.read_bytes()
        except OSError:  # it has been replaced since, or may not be read
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        kind = _TYPES.get(found.suffix.lower(), "application/octet-stream")
        if kind.startswith("text/html"):
            data = self._live(data, missing=status == HTTPStatus.NOT_FOUND)
        self._send(status, data, kind)

    def _live(self, page: bytes, missing: bool) -> bytes:
        """A page as it is served: it reloads itself, and finds its files wherever it is shown."""
        if missing:
            page = _BASE.sub(b"", page).replace(b"<head>", b'<head>\n<base href="/">', 1)
        if self.server.changes is None:
            return page
        version = str(self.server.changes.version).encode()
        script = b'<script src="/__atlas/reload.js?since=' + version + b'"></script>\n'
        ends = list(_BODY_END.finditer(page))
        end = ends[-1].start() if ends else len(page)
        return page[:end] + script + page[end:]

    def _send(self, status: HTTPStatus, data: bytes, kind: str, **headers: str) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        # Other sites that are open in the same browser can neither show nor measure what is here.
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def find(root: Path, path: str) -> Path | str | None:
    """The file of the site that an address means.

    Args:
        root: the site's folder, without links in its own path.
        path: what follows the host in the address, still with its ``%`` escapes.

    Returns:
        The file; the address to go to instead, if it means a folder and does not say so by a last
        slash; None if there is nothing, nothing to be listed, or nothing of this site.
    """
    try:
        plain = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not plain.startswith("/") or "\\" in plain or not plain.isprintable():
        return None
    *folders, name = plain[1:].split("/")
    if any(not part or part.startswith(".") for part in folders) or name.startswith("."):
        return None
    try:
        target = root.joinpath(*folders, name).resolve()
        if not target.is_relative_to(root):
            return None
        if stat.S_ISDIR(target.stat().st_mode):
            if name:
                return f"{path}/"
            target = (target / "index.html").resolve()
        elif not name:
            return None
        inside = target.is_relative_to(root) and stat.S_ISREG(target.stat().st_mode)
    except (OSError, ValueError, RuntimeError):  # not there; not a name; links in a circle
        return None
    return target if inside else None
