"""A toy atlas on the disk and on a server, and one Chromium for all browser tests."""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "site"))

from fake import (
    TOY_LAYERS,
    FakeIndex,
    FakeMedia,
    catalogue,
    channel,
    classes,
    examples,
    renders,
    spectrum,
)

from atlas.site import build_site

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The atlas: whole channels, one with hostile labels, one dead, one with a single kind, one
    with as many photographs as a page shows and more, one without labels."""
    out = tmp_path_factory.mktemp("browser-site")
    conv, mixed3a, mixed4c, _ = TOY_LAYERS
    hostile = ('"><script>console.error(1)</script>' + "W" * 5000,)
    channels = [channel(conv, i) for i in range(8)]
    channels += [
        channel(
            mixed3a,
            0,
            examples=examples("x", 10, hostile),
            spectrum=spectrum("x", 3, hostile),
            classes=classes(hostile),
        ),
        channel(mixed3a, 3, examples=examples("mixed3a:3", 30)),
        channel(mixed3a, 4, examples=examples("mixed3a:4", 25, ("",)), classes=()),
        channel(
            mixed3a,
            5,
            renders=renders("mixed3a:5", started=False),
            examples=(),
            spectrum=(),
            classes=(),
            histogram=None,
        ),
    ]
    channels += [channel(mixed3a, 11, renders=renders("mixed3a:11", ("negative",)), stats={})]
    channels += [channel(mixed4c, i) for i in range(48)]
    build_site(replace(catalogue(channels=channels)), FakeMedia(), out, FakeIndex())
    return out


@pytest.fixture(scope="session")
def served(site):
    """The address of a server for `site` on this machine only."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium; the tests are skipped where none is installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on the PATH; install it to run the browser tests")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()
