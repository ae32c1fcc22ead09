"""Every kind of page, in a real browser, from the disk and from a server."""

from __future__ import annotations

import json
from urllib.parse import urldefrag, urljoin

import pytest

pytestmark = pytest.mark.browser

PAGES = (
    "index.html", "method.html", "404.html", "conv2d0/index.html", "mixed4c/index.html",
    "mixed4c/7.html", "mixed3a/0.html", "mixed3a/3.html", "mixed3a/4.html", "mixed3a/5.html",
    "mixed3a/11.html", "classes/index.html", "classes/redbone.html", "compare.html",
    "compare.html#mixed4c:7,mixed3a:3", "recipe.html",
)  # fmt: skip
WIDTHS = (320, 390, 768, 1280)

_SETTLE = """async () => {
  const later = () => new Promise(done => setTimeout(done, 50));
  for (let still = 0, known = -1; still < 3; await later()) {  // scripts may add more
    const images = [...document.images];
    images.forEach(image => { image.loading = 'eager'; });
    await Promise.all(images.map(image => image.decode().catch(() => null)));
    still = images.length === known && images.every(i => i.complete) ? still + 1 : 0;
    known = images.length;
  }
}"""
_FACTS = """() => ({
  width: document.documentElement.scrollWidth,
  room: document.documentElement.clientWidth,
  broken: [...document.images].filter(i => !i.naturalWidth).map(i => i.src),
  bare: [...document.images].filter(
    i => !i.alt || !i.getAttribute('width') || !i.getAttribute('height')).map(i => i.src),
  oblong: [...document.images].filter(
    i => i.checkVisibility() && Math.abs(i.clientWidth - i.clientHeight) > 1).map(i => i.src),
  scripts: [...document.scripts].filter(s => !s.src).length,
  inline: document.querySelectorAll('[style], style').length,
})"""


class Watch:
    """What a page did that it should not have done."""

    def __init__(self, page, base):
        self.troubles = []
        page.on("console", lambda m: m.type in ("error", "warning") and self.add(m.text))
        page.on("pageerror", lambda error: self.add(str(error)))
        page.on("requestfailed", self.fail)
        page.on("request", lambda r: r.url.startswith(base) or self.add(f"elsewhere: {r.url}"))
        page.on("response", lambda r: r.status >= 400 and self.add(f"{r.status}: {r.url}"))

    def add(self, trouble):
        self.troubles.append(trouble)

    def fail(self, request):
        if request.failure != "net::ERR_ABORTED":  # the test went on to the next page
            self.add(f"failed: {request.url}: {request.failure}")


@pytest.fixture(params=["file", "http"])
def base(request, site):
    if request.param == "file":
        return site.as_uri() + "/"
    return request.getfixturevalue("served")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_whole_at_every_width(chromium, base, scheme):
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    watch = Watch(page, base)
    try:
        for name in PAGES:
            page.set_viewport_size({"width": WIDTHS[0], "height": 800})
            if "#" in name:  # on the page itself nothing but the address would change
                page.goto("about:blank")
            page.goto(base + name)
            if "#" in name:
                page.locator("main img").first.wait_for(state="attached")
            page.evaluate(_SETTLE)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 800})
                facts = page.evaluate(_FACTS)
                assert facts.pop("width") <= facts.pop("room"), f"{name} scrolls at {width} px"
                nothing = {"broken": [], "bare": [], "oblong": [], "scripts": 0, "inline": 0}
                assert facts == nothing, f"{name} at {width} px"
        assert watch.troubles == []
    finally:
        context.close()


def test_every_link_leads_to_a_page(chromium, base, site):
    page = chromium.new_page()
    try:
        page.goto(base + "index.html")
        seen, queue = set(), [page.url]
        names = set()
        while queue:
            url = queue.pop()
            names.add(url.removeprefix(base))
            page.goto(url, wait_until="domcontentloaded")
            links = page.eval_on_selector_all(
                "a[href]", "links => links.map(link => link.getAttribute('href'))"
            )
            anchors = set(page.eval_on_selector_all("[id]", "found => found.map(e => e.id)"))
            for link in links:
                target, anchor = urldefrag(urljoin(url, link))
                if not target.startswith(base):
                    assert target.startswith("https://"), link
                    continue
                assert target.endswith(".html"), link
                assert (site / target.removeprefix(base)).is_file(), f"{url} → {link}"
                if not target.endswith("/compare.html"):  # what follows # is channels there
                    assert target != url or not anchor or anchor in anchors, f"{url} → {link}"
                # Of the many channels of one layer a few will do: they are made alike.
                kind = target.rsplit("/", 1)
                if target not in seen and len([s for s in seen if s.startswith(kind[0])]) < 12:
                    seen.add(target)
                    queue.append(target)
        assert {"method.html", "mixed3a/index.html", "mixed4c/index.html"} <= names
    finally:
        page.close()


def test_pages_show_the_tiles_the_manifest_names(chromium, site):
    manifest = json.loads((site / "manifest.json").read_bytes())
    page = chromium.new_page()
    try:
        for entry in manifest["channels"]:
            if entry["page"] not in PAGES:
                continue
            page.goto(f"{site.as_uri()}/{entry['page']}")
            page.evaluate(_SETTLE)
            page.eval_on_selector_all(".alike", "all => all.forEach(one => one.remove())")
            shown = page.eval_on_selector_all(
                "main img",
                """images => images.map(image => {
                  const css = getComputedStyle(image), side = image.naturalHeight;
                  const share = parseFloat(css.objectPosition) / 100;
                  const x = css.objectFit === 'cover' ? share * (image.naturalWidth - side) : NaN;
                  return [decodeURI(image.src), Math.round(x), side, image.naturalWidth];
                })""",
            )
            found = {(src.removeprefix(site.as_uri() + "/"), x, side) for src, x, side, _ in shown}
            tiles = entry["renders"] + entry["examples"]
            tiles += [crop for band in entry["spectrum"] for crop in band["examples"]]
            if whole := entry["whole"]:
                tiles += [whole, {"sheet": whole["sheet"], "tile": whole["activation_tile"]}]
            named = {(t["sheet"], t["tile"][0], t["tile"][2]) for t in tiles}
            assert found == named, entry["page"]
            widths = {src.removeprefix(site.as_uri() + "/"): w for src, _, _, w in shown}
            for tile in tiles:
                x, y, width, height = tile["tile"]
                assert (y, width) == (0, height)
                assert x + width <= widths[tile["sheet"]]
    finally:
        page.close()


def test_bands_stand_under_their_part_of_the_histogram(chromium, site):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    try:
        page.goto(f"{site.as_uri()}/mixed4c/7.html")
        drawn = page.locator("svg.drawn").bounding_box()
        bands = page.locator(".bands > li")
        assert bands.count() == 10
        for i in range(10):
            box = bands.nth(i).bounding_box()
            middle = drawn["x"] + drawn["width"] * (i + 0.5) / 10
            assert abs(box["x"] + box["width"] / 2 - middle) < 4
        outline = page.locator("svg.drawn path").first.bounding_box()
        zero = page.locator("svg.drawn line").bounding_box()
        assert abs(outline["x"] + outline["width"] - zero["x"]) < 1.5
        # Left to right over −45 to 617.
        assert abs(zero["x"] - drawn["x"] - drawn["width"] * 45 / 662) < 1.5
    finally:
        page.close()


def test_the_spectrum_says_in_words_what_it_draws(chromium, site):
    page = chromium.new_page()
    try:
        page.goto(f"{site.as_uri()}/mixed4c/7.html")
        drawn = page.get_by_role("img", name="Histogram of the maxima of 1,000 photographs")
        assert drawn.count() == 1
        assert "400 photographs" in drawn.locator("desc").text_content()
        table = page.get_by_role("table", name="Strongest classes")
        assert table.get_by_role("rowheader").all_inner_texts()[:2] == [
            "redbone",
            "Norfolk terrier",
        ]
    finally:
        page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_whole_photograph_stands_beside_or_above_the_crops(chromium, site, width):
    page = chromium.new_page(viewport={"width": width, "height": 900})
    try:
        for name in ("mixed4c/7.html", "mixed3a/4.html"):  # the second has no classes
            page.goto(f"{site.as_uri()}/{name}")
            page.evaluate(_SETTLE)
            figure = page.locator(".agree > figure")
            one, two = (figure.locator("img").nth(i).bounding_box() for i in (0, 1))
            wall = page.locator(".agree > .wall").bounding_box()
            assert one["y"] == two["y"]
            assert one["x"] + one["width"] < two["x"]
            assert 130 < one["width"] < 240
            if width > 900:
                assert abs(wall["y"] - one["y"]) < 2
                assert two["x"] + two["width"] < wall["x"]
            else:
                assert one["y"] + one["height"] < wall["y"]
    finally:
        page.close()


def test_more_photographs_open_by_keyboard(chromium, site):
    page = chromium.new_page()
    try:
        page.goto(f"{site.as_uri()}/mixed3a/3.html")
        hidden = page.locator(".other .contacts img")
        assert (hidden.count(), hidden.first.is_visible()) == (20, False)
        page.locator(".other summary").focus()
        page.keyboard.press("Enter")
        assert hidden.first.is_visible()
        box = hidden.first.bounding_box()
        assert abs(box["width"] - box["height"]) < 1
    finally:
        page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_labels_and_numbers_do_not_run_into_each_other(chromium, site, width):
    page = chromium.new_page(viewport={"width": width, "height": 900})
    try:
        for name in ("mixed4c/7.html", "mixed3a/0.html"):
            page.goto(f"{site.as_uri()}/{name}")
            spilt = page.eval_on_selector_all(
                ".classes :is(th, td), .photos li, .bands li",
                "all => all.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.innerText)",
            )
            assert spilt == [], name
    finally:
        page.close()


@pytest.mark.parametrize("scale", [1, 1.5, 2])
def test_neighbouring_tiles_do_not_bleed(chromium, tmp_path, scale):
    """A red tile between two blue ones is red to its edge, at widths that are no whole pixels."""
    import io

    import numpy as np
    from PIL import Image

    from atlas.site.encode import compose, encode
    from atlas.site.sheets import stylesheet

    blue, red = np.zeros((112, 112, 3), np.uint8), np.zeros((112, 112, 3), np.uint8)
    blue[..., 2], red[..., 0] = 255, 255
    strip = compose([blue, blue, blue, red, blue, blue, blue], 112)
    (tmp_path / "strip.avif").write_bytes(encode(strip, "avif", 50))
    boxes = "".join(
        f'<p style="position:absolute;margin:0;left:{20.3 + i * 161.7}px;top:20.6px;'
        f'width:{60.37 + 14.19 * i}px"><img class="s n7 i3" src="strip.avif" alt="" '
        'style="display:block;width:100%;height:auto"></p>'
        for i in range(7)
    )
    (tmp_path / "a.html").write_text(
        f"<!doctype html><style>{stylesheet()}body{{background:#000}}</style>{boxes}"
    )
    context = chromium.new_context(
        viewport={"width": 1180, "height": 180}, device_scale_factor=scale
    )
    try:
        page = context.new_page()
        page.goto((tmp_path / "a.html").as_uri())
        page.evaluate(_SETTLE)
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    finally:
        context.close()
    pixels = np.asarray(shot, int)
    assert (pixels[..., 0] > 200).sum() > 7 * 56 * 56 * scale**2
    assert pixels[..., 2].max() < 40
