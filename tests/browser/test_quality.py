"""What others say of the pages: axe-core (WCAG 2.2 A and AA), the Nu checker, the browser itself.

Both checkers come by npm (``make`` puts them into the virtual environment); without them their
tests are skipped with a message.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .test_pages import PAGES, Watch

pytestmark = pytest.mark.browser

CHECKERS = Path(sys.prefix) / "checkers" / "node_modules"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")

_SHIFTS = """() => new Promise(done => {
  let sum = 0;
  const all = new PerformanceObserver(list => {
    for (const entry of list.getEntries()) sum += entry.value;
  });
  all.observe({type: 'layout-shift', buffered: true});
  setTimeout(() => done(sum), 300);
})"""


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core."""
    path = CHECKERS / "axe-core" / "axe.min.js"
    if not path.is_file():
        pytest.skip("axe-core is not installed; make test installs it")
    return path.read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_has_a_barrier(chromium, served, axe, scheme, width):
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    found = []
    try:
        for name in PAGES:
            page.goto(served + name)
            page.evaluate(axe)
            result = page.evaluate(
                "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", list(TAGS)
            )
            assert result["passes"], name
            found += [
                f"{name}: {one['id']} at {one['nodes'][0]['target']}"
                for one in result["violations"]
            ]
    finally:
        context.close()
    assert found == []


@pytest.mark.parametrize("opened", ["[data-search]", "[data-keys]", ".hero img"])
def test_no_dialog_has_a_barrier(chromium, served, axe, opened):
    page = chromium.new_page()
    try:
        page.goto(served + "mixed4c/7.html")
        page.locator(opened).first.click()
        page.locator("dialog[open]").wait_for()
        page.evaluate(axe)
        result = page.evaluate(
            "tags => axe.run('dialog[open]', {runOnly: {type: 'tag', values: tags}})", list(TAGS)
        )
        assert [one["id"] for one in result["violations"]] == []
    finally:
        page.close()


def test_the_nu_checker_finds_no_error(site):
    jar = CHECKERS / "vnu-jar" / "build" / "dist" / "vnu.jar"
    java = shutil.which("java")
    if java is None or not jar.is_file():
        pytest.skip("the Nu checker needs java and make test")
    pages = sorted({name.partition("#")[0] for name in PAGES})
    done = subprocess.run(
        [java, "-jar", str(jar), "--errors-only", "--format", "json", *pages],
        cwd=site, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    messages = json.loads(done.stderr)["messages"]
    assert [(one["url"].rpartition("/")[2], one["message"]) for one in messages] == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["mixed4c/7.html", "mixed4c/index.html", "index.html"])
def test_nothing_moves_while_a_page_loads(chromium, served, name, width):
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    try:
        page.goto(served + name, wait_until="networkidle")
        page.mouse.wheel(0, 3000)
        page.wait_for_timeout(200)
        assert page.evaluate(_SHIFTS) == 0
    finally:
        context.close()


def test_everything_can_be_read_without_scripts(chromium, site):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    watch = Watch(page, site.as_uri())
    try:
        for name in PAGES:
            page.goto(f"{site.as_uri()}/{name}")
            controls = page.locator("button:visible, input:visible, select:visible")
            assert controls.count() == 0, f"{name} shows what only scripts can serve"
            assert len(page.locator("main").inner_text()) > 40, name
        page.goto(f"{site.as_uri()}/mixed4c/7.html")
        words = page.locator("main").inner_text()
        parts = ("Positive.", "Diverse.", "Negative.", "Strongest classes", "The whole spectrum")
        for part in (*parts, "How these were made", "atlas show mixed4c:7"):
            assert part in words
        page.goto(f"{site.as_uri()}/compare.html")
        assert "script" in page.locator("main").inner_text()
    finally:
        context.close()
    assert watch.troubles == []


def test_hostile_text_runs_nothing_and_shows_as_text(chromium, site, served):
    for base in (site.as_uri() + "/", served):
        page = chromium.new_page()
        watch = Watch(page, base)
        dialogs = []
        page.on("dialog", lambda dialog, seen=dialogs: seen.append(dialog.message))
        try:
            page.goto(base + "mixed3a/0.html")
            assert "<script>console.error(1)</script>" in page.locator("main").inner_text()
            assert page.locator("main script, main iframe, main [onerror]").count() == 0
            page.keyboard.press("/")
            page.locator("dialog[open] input").fill("<script>")
            page.wait_for_timeout(300)
            assert page.locator("dialog[open] script").count() == 0
        finally:
            page.close()
        assert (watch.troubles, dialogs) == ([], [])
