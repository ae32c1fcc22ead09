"""What a browser asks for when a page is opened, and nothing is scrolled."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Request

VIEW = (1280, 800)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def browser() -> str | None:
    """The Chromium there is, if it can be driven."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return shutil.which("chromium") or shutil.which("chromium-browser")


def first_views(root: Path, paths: Sequence[str], chromium: str) -> dict[str, set[str]]:
    """By page, the files that are asked for until the page is at rest; as a URL if they are of
    another origin."""
    from playwright.sync_api import sync_playwright

    found: dict[str, set[str]] = {}
    with _served(root) as base, sync_playwright() as engine:
        window = engine.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for path in paths:
            page = window.new_page(viewport={"width": VIEW[0], "height": VIEW[1]})
            asked: set[str] = set()

            def note(request: Request, asked: set[str] = asked) -> None:
                ours = request.url.startswith(base)
                asked.add(urlsplit(request.url.removeprefix(base)).path if ours else request.url)

            page.on("request", note)
            page.goto(base + path, wait_until="networkidle")
            found[path] = asked
            page.close()
        window.close()
    return found


@contextmanager
def _served(root: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
