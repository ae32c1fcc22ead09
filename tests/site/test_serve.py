"""The server: what it serves, what it refuses whoever asks, and how pages learn of changes."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from atlas.errors import OutputError
from atlas.site.serve import ADDRESS, Changes, find, open_server

PAGE = (
    b"<!doctype html>\n<html>\n<head>\n<title>x</title>\n</head>\n<body>\n<p>x\n</body>\n</html>\n"
)


@contextmanager
def serving(root: Path, changes: Changes | None = None):
    with open_server(root, 0, changes) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder beside a secret, with links that lead to it."""
    base = tmp_path_factory.mktemp("served")
    (base / "secret.txt").write_text("secret")
    (base / "secrets").mkdir()
    (base / "secrets" / "index.html").write_text("secret")
    root = base / "site"
    (root / "mixed4c" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "index.html").write_bytes(PAGE)
    (root / "404.html").write_bytes(PAGE.replace(b"<p>x", b"<p>not here"))
    (root / "mixed4c" / "index.html").write_bytes(PAGE.replace(b"<p>x", b"<p>a layer"))
    (root / "mixed4c" / "a b+ü.html").write_bytes(PAGE.replace(b"<p>x", b"<p>spaces"))
    (root / ".hidden").write_text("secret")
    (root / "out.txt").symlink_to(base / "secret.txt")
    (root / "out").symlink_to(base / "secrets")
    (root / "inside.html").symlink_to(root / "index.html")
    (root / "circle").symlink_to(root / "circle")
    os.mkfifo(root / "pipe.html")
    for suffix in ("css", "js", "avif", "webp", "svg", "json", "xml", "parquet", "strange"):
        (root / f"file.{suffix}").write_bytes(b"data")
    return root


@pytest.fixture(scope="module")
def server(site):
    with serving(site) as server:
        yield server


def raw(server, request: bytes) -> bytes:
    """All that comes back for the bytes of a request, until the server closes."""
    with socket.create_connection((ADDRESS, server.server_port), 5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def get(server, path: str, method: str = "GET", **headers: str):
    """Status, headers and body."""
    connection = http.client.HTTPConnection(ADDRESS, server.server_port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_files_come_as_they_are_and_are_not_kept(server):
    status, headers, body = get(server, "/index.html")
    assert (status, body) == (200, PAGE)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert get(server, "/?q=1")[2] == PAGE
    assert get(server, "/inside.html")[2] == PAGE
    assert b"a layer" in get(server, "/mixed4c/")[2]
    assert b"spaces" in get(server, "/mixed4c/a%20b+%C3%BC.html?x#y")[2]


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("css", "text/css; charset=utf-8"), ("js", "text/javascript; charset=utf-8"),
        ("avif", "image/avif"), ("webp", "image/webp"), ("svg", "image/svg+xml"),
        ("json", "application/json"), ("xml", "application/xml"),
        ("parquet", "application/vnd.apache.parquet"), ("strange", "application/octet-stream"),
    ],
)  # fmt: skip
def test_the_type_is_the_suffix_s(server, suffix, kind):
    status, headers, body = get(server, f"/file.{suffix}")
    assert (status, headers["Content-Type"], body) == (200, kind, b"data")


def test_head_is_get_without_the_body(server):
    status, headers, body = get(server, "/index.html", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(PAGE)), b"")


def test_a_folder_without_its_slash_is_elsewhere(server):
    status, headers, _ = get(server, "/mixed4c")
    assert (status, headers["Location"]) == (301, "/mixed4c/")


NOT_HERE = [
    "/none.html", "/empty/", "/mixed4c/deep/", "/.hidden", "/pipe.html", "/circle",
    "/out.txt", "/out/", "/out/index.html", "/out",
    "/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/%2e%2e%2fsecret.txt",
    "/mixed4c/../../secret.txt", "/mixed4c/..%5c..%5csecret.txt", "/..\\secret.txt",
    "//secret.txt", "//evil.example/..", "/mixed4c//index.html", "/%2fetc/passwd",
    "/index.html%00.txt", "/index.html%0d%0aX:y", "/%ff%fe", "/....//secret.txt",
    "/%252e%252e/secret.txt", "/./index.html", "/" + "a" * 5000, "/" + "a/" * 2000,
    "/__atlas/reload.js", "/__atlas/changed.js?since=1", "/index.html/", "/index.html/x",
]  # fmt: skip


@pytest.mark.parametrize("path", NOT_HERE)
def test_what_is_not_of_the_site_is_not_found(server, path):
    request = f"GET {path} HTTP/1.1\r\nHost: {ADDRESS}:{server.server_port}\r\n\r\n"
    answer = raw(server, request.encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"<p>not here" in answer
    assert b"secret" not in answer


def test_the_page_for_what_is_not_there_finds_its_files_from_anywhere(server):
    _, _, body = get(server, "/mixed4c/deep/none.html")
    assert body.count(b'<base href="/">') == 1
    assert body.index(b"<base") < body.index(b"<title>")


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET http://evil.example/index.html HTTP/1.1", b"GET index.html HTTP/1.1",
        b"GET * HTTP/1.1", b"GET / HTTP/1.1\r\nContent-Length: 5", b"GET / HTTP/9.9",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked", b"POST / HTTP/1.1", b"PUT /x HTTP/1.1",
        b"DELETE /index.html HTTP/1.1", b"OPTIONS / HTTP/1.1", b"CONNECT x:1 HTTP/1.1",
        b"<script> / HTTP/1.1", b"GET", b"\xff\xfe / HTTP/1.1", b"GET /" + b"a" * 70_000,
    ],
)  # fmt: skip
def test_other_requests_are_refused_in_a_line_of_plain_text(server, request_line):
    host = f"\r\nHost: {ADDRESS}:{server.server_port}\r\n\r\nhello".encode()
    answer = raw(server, request_line + host)
    assert PAGE not in answer
    assert b"script" not in answer
    if answer.startswith(b"HTTP/1.1"):
        assert answer[9:10] in (b"4", b"5")
        assert b"text/plain" in answer


HOSTS = [
    "evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "", "127.0.0.1",
    "localhost:1", "127.0.0.1:{port}@evil.example", "[::1]:{port}", "0.0.0.0:{port}",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_requests_meant_for_another_host_read_nothing(server, host):
    status, _, body = get(server, "/index.html", Host=host.format(port=server.server_port))
    assert (status, body) == (421, b"Misdirected Request\n")


def test_a_request_without_a_host_or_with_two_reads_nothing(server):
    port = server.server_port
    for headers in (b"", f"Host: localhost:{port}\r\nHost: evil.example\r\n".encode()):
        assert raw(server, b"GET / HTTP/1.1\r\n" + headers + b"\r\n").startswith(b"HTTP/1.1 421 ")


def test_both_names_of_this_machine_are_right(server):
    for name in ("localhost", "LocalHost", "127.0.0.1"):
        assert get(server, "/", Host=f"{name}:{server.server_port}")[0] == 200


def test_it_listens_on_this_machine_only(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_a_site_without_a_page_for_it_has_a_plain_answer(tmp_path):
    with serving(tmp_path) as server:
        status, headers, body = get(server, "/")
    assert (status, headers["Content-Type"], body) == (404, "text/plain", b"Not Found\n")


def test_a_taken_port_is_passed_over(site):
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with open_server(site, port) as server:
            assert port < server.server_port < port + 10


def test_ports_that_are_all_taken_are_an_error(site, monkeypatch):
    monkeypatch.setattr("atlas.site.serve.PORTS", 1)
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        with pytest.raises(OutputError, match="are taken; give another with --port"):
            open_server(site, taken.getsockname()[1])


def test_finding_never_leaves_the_site_by_any_spelling(site):
    dots = ["..", "%2e%2e", "%2E.", ".%2e", "..%2f..", "..%5c", "%c0%ae%c0%ae", "..;", "\u2025"]
    for dot in dots:
        for tail in ("secret.txt", "secrets/index.html", "etc/passwd"):
            for depth in range(1, 5):
                found = find(site, f"/{'/'.join([dot] * depth)}/{tail}")
                assert found is None


# Reloading


def test_only_served_copies_of_pages_ask_for_changes(site):
    with serving(site, changes := Changes()) as server:
        before = (site / "index.html").read_bytes()
        _, headers, body = get(server, "/")
        script = f'<script src="/__atlas/reload.js?since={changes.version}"></script>\n'.encode()
        assert body == PAGE.replace(b"</body>", script + b"</body>")
        assert headers["Content-Length"] == str(len(body))
        assert get(server, "/file.css")[2] == b"data"
        status, headers, code = get(server, "/__atlas/reload.js?since=1")
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        assert b"/__atlas/changed.js" in code
        assert get(server, "/__atlas/../index.html")[0] == 404
        assert get(server, "/__atlas/changed.js?since=x")[0] == 404
    assert (site / "index.html").read_bytes() == before


def test_a_question_is_answered_as_soon_as_there_is_news(site):
    changes = Changes()
    with serving(site, changes) as server:
        asked = f"/__atlas/changed.js?since={changes.version}&at=1"
        timer = threading.Timer(0.3, changes.announce)
        timer.start()
        started = time.monotonic()
        assert get(server, asked)[2] == b"location.reload();"
        assert 0.2 < time.monotonic() - started < 5
        started = time.monotonic()
        assert get(server, asked)[2] == b"location.reload();"  # it was out of date already
        assert time.monotonic() - started < 0.3


def test_a_question_without_news_is_answered_in_the_end(site, monkeypatch):
    monkeypatch.setattr("atlas.site.serve.PATIENCE", 0.2)
    changes = Changes()
    with serving(site, changes) as server:
        assert get(server, f"/__atlas/changed.js?since={changes.version}")[2] == b""
