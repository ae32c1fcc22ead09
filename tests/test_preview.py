"""`atlas serve` in a project: an edited note comes to the open page, and nothing else changes."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from atlas.config import load_config
from atlas.errors import AtlasError, StoreError
from atlas.preview import Preview

T = TypeVar("T")

CONFIG = """
units = "conv2d0:1"
store = "store"
[model]
name = "googlenet-mini"
[dataset]
source = "folder:{photos}"
examples = 3
[render]
size = 32
steps = 8
kinds = ["positive"]
[site]
out = "site"
content = "content"
templates = "templates"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory, photos):
    root = tmp_path_factory.mktemp("preview")
    (root / "content").mkdir()
    (root / "templates").mkdir()
    (root / "content" / "note.md").write_text("# A note\n\nFirst words.\n")
    (root / "atlas.toml").write_text(CONFIG.format(photos=photos))
    done = atlas("build", "-q", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def project(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / "project"))


def atlas(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "atlas", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def preview_of(project: Path) -> Preview:
    config = project / "atlas.toml"
    return Preview(lambda: load_config(config, {}), config)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_an_edited_note_rewrites_its_page_and_leaves_the_store_alone(project):
    preview = preview_of(project)
    store, site = contents(project / "store"), contents(project / "site")
    assert preview.rebuild([]).startswith("wrote 0 pages in ")
    assert contents(project / "site") == site
    note = project / "content" / "note.md"
    note.write_text("# A note\n\nOther words.\n")
    assert preview.rebuild([note]).startswith("note.md: wrote ")
    preview.close()
    after = contents(project / "site")
    changed = {name for name in after if after[name] != site.get(name)}
    assert "note.html" in changed
    assert b"Other words." in after["note.html"]
    assert not any(name.startswith(("media/", "conv2d0/")) for name in changed)
    assert contents(project / "store") == store


def test_the_config_is_read_again_when_it_has_changed_and_only_then(project):
    preview = preview_of(project)
    preview.rebuild([])
    config = project / "atlas.toml"
    config.write_text(config.read_text() + 'title = "Another title"\n')
    preview.rebuild([project / "content" / "note.md"])
    assert b"Another title" not in (project / "site" / "index.html").read_bytes()
    preview.rebuild([config])
    assert b"Another title" in (project / "site" / "index.html").read_bytes()
    config.write_text("units = 3")
    with pytest.raises(AtlasError, match="units"):
        preview.rebuild([config])
    config.write_text('[site]\nout = "elsewhere"\n')
    with pytest.raises(AtlasError, match=r"site\.out has changed"):
        preview.rebuild([config])
    preview.close()


def test_a_broken_template_is_one_error_and_its_removal_mends_it(project):
    preview = preview_of(project)
    template = project / "templates" / "article.html.jinja"
    template.write_text("{% if %}")
    with pytest.raises(AtlasError, match=r"template article\.html\.jinja, line 1"):
        preview.rebuild([template])
    template.write_text("<p>mine</p>")
    preview.rebuild([template])
    assert (project / "site" / "note.html").read_bytes() == b"<p>mine</p>"
    preview.close()


def test_what_the_store_lacks_is_said(project):
    config = project / "atlas.toml"
    config.write_text(config.read_text().replace("steps = 8", "steps = 9"))
    preview = preview_of(project)
    assert "; the site lacks 1 renders" in preview.rebuild([])
    config.write_text(config.read_text().replace("conv2d0:1", "conv2d0:1-2"))
    with pytest.raises(StoreError, match="is only being read; run atlas pages once"):
        preview.rebuild([config])
    preview.close()


def test_places_are_the_config_and_all_folders_of_texts_and_templates(project):
    preview = preview_of(project)
    root = Path(__file__).resolve().parents[1]
    assert preview.places() == [
        project / "atlas.toml", project / "content", project / "templates",
        root / "content", root / "templates",
    ]  # fmt: skip


class Served:
    """A running ``atlas serve``; `lines` are what it has said so far."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        command = [sys.executable, "-u", "-m", "atlas", "serve", "--port", "0", *arguments]
        self.log = cwd / "serve.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)
        found = self.wait(r"served at (http://127\.0\.0\.1:(\d+)/)")
        self.url, self.port = found[1], int(found[2])

    def wait(self, pattern: str) -> re.Match[str]:
        """Wait until it has said something."""
        return until(lambda: re.search(pattern, self.log.read_text()), self.log.read_text)

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


def until(look: Callable[[], T | None], explain: Callable[[], str]) -> T:
    """What `look` finds, as soon as it finds something."""
    for _ in range(600):
        if (found := look()) is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(explain())


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_serving_a_project_follows_its_files_until_ctrl_c(project):
    with Served(cwd=project) as served:
        served.wait(r"wrote \d+ page")
        asked = re.search(r"/__atlas/reload\.js\?since=(\d+)", served.get("/note.html"))
        (project / "content" / "note.md").write_text("# A note\n\nOther words.\n")
        answer = served.get(f"/__atlas/changed.js?since={asked[1]}")
        assert answer == "location.reload();"
        served.wait(r"note\.md: wrote \d+ page")
        assert "Other words." in served.get("/note.html")
        (project / "templates" / "article.html.jinja").write_text("{% if %}")
        served.wait("not rebuilt: template article.html.jinja, line 1")
        assert "Other words." in served.get("/note.html")
        assert served.interrupt() == 0
    assert "Traceback" not in served.log.read_text()
    assert not any(b"__atlas" in data for data in contents(project / "site").values())


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_a_folder_alone_is_served_as_it_is(project, tmp_path):
    with Served(str(project / "site"), cwd=tmp_path) as served:
        assert "__atlas" not in served.get("/index.html")
        assert served.interrupt() == 0
    assert "Traceback" not in served.log.read_text()
    assert "wrote" not in served.log.read_text()


def test_what_cannot_be_served_is_one_line(tmp_path):
    none = atlas("serve", "none", cwd=tmp_path)
    assert (none.returncode, none.stderr) == (
        2, "atlas: none is no folder; atlas build makes a site\n",
    )  # fmt: skip
    both = atlas("serve", "site", "--out", "x", cwd=tmp_path)
    assert both.returncode == 2
    assert both.stderr == "atlas: give either SITE or a config with -c and --out, not both\n"


@pytest.mark.browser
def test_an_open_page_reloads_when_its_note_is_edited(project):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on the PATH; install it to run the browser tests")

    def look() -> list[str]:
        troubles: list[str] = []
        with Served(cwd=project) as served, playwright.sync_playwright() as engine:
            served.wait(r"wrote \d+ page")
            browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            page.on("console", lambda m: m.type == "error" and troubles.append(m.text))
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.goto(f"{served.url}note.html")
            for words in ("Other words.", "Words once more."):
                assert page.get_by_text(words).count() == 0
                (project / "content" / "note.md").write_text(f"# A note\n\n{words}\n")
                page.get_by_text(words).wait_for(timeout=20_000)
            browser.close()
        return troubles

    # Of browsers driven synchronously a thread can have one, and the browser tests keep theirs.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(look).result() == []
