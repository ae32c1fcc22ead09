"""What a browser asks for when a page is opened and nothing is scrolled, and how it gets there."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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

_PAINTED = """() => new Promise(done => {
  const seen = {paint: 0, shift: 0};
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) seen.paint = entry.startTime;
  }).observe({type: 'largest-contentful-paint', buffered: true});
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) seen.shift += entry.value;
  }).observe({type: 'layout-shift', buffered: true});
  setTimeout(() => done(seen), 300);
})"""


@dataclass(frozen=True)
class View:
    """A page as it was first seen.

    Attributes:
        asked: the files that were asked for until the page was at rest; as a URL if they are of
            another origin.
        paint: milliseconds from the start of navigation to the largest contentful paint.
        shift: cumulative layout shift.
    """

    asked: set[str]
    paint: float
    shift: float


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def browser() -> str | None:
    """The Chromium there is, if it can be driven."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return shutil.which("chromium") or shutil.which("chromium-browser")


def first_views(root: Path, paths: Sequence[str], chromium: str) -> dict[str, View]:
    """Each page over http, in a fresh tab whose cache is empty."""
    from playwright.sync_api import sync_playwright

    found: dict[str, View] = {}
    with _served(root) as base, sync_playwright() as engine:
        window = engine.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for path in paths:
            # A page of its own has a context of its own, and with it an empty cache.
            page = window.new_page(viewport={"width": VIEW[0], "height": VIEW[1]})
            asked: set[str] = set()

            def note(request: Request, asked: set[str] = asked) -> None:
                ours = request.url.startswith(base)
                asked.add(urlsplit(request.url.removeprefix(base)).path if ours else request.url)

            page.on("request", note)
            page.goto(base + path, wait_until="networkidle")
            seen = page.evaluate(_PAINTED)
            found[path] = View(asked, seen["paint"], seen["shift"])
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
