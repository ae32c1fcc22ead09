"""What scripts do: search, keys, zoom, compare, a layer's tools, theme; from disk and server."""

from __future__ import annotations

import functools
import http.server
import math
import shutil
import threading
from dataclasses import replace

import pytest
from fake import (
    STATS,
    TOY_LAYERS,
    FakeIndex,
    FakeMedia,
    catalogue,
    channel,
    classes,
    examples,
    googlenet_layers,
    renders,
)

from atlas.site import SiteOptions, build_site
from atlas.site.catalogue import ClassRecord, LabelRecord, MemberRecord
from atlas.site.scripts import scripts
from atlas.site.sheets import plan_sheets
from atlas.units import Branch, Layer

pytestmark = pytest.mark.browser

BIG = Layer("mixed5b", (Branch("1x1", 0, 150), Branch("3x3", 150, 300), Branch("pool", 300, 420)))
HOSTILE = Layer('<img src=x onerror="console.error(1)">', (Branch("only", 0, 2),))
ABORTED = "net::ERR_ABORTED"
WIDTHS = (320, 390, 768, 1280)


def measured(index):
    """A channel of the large layer: a picture and numbers of its own, no photographs."""
    unit = f"mixed5b:{index}"
    one = replace(renders(unit, ("positive",), 32)[0], share=((index * 37) % 100) / 10)
    label = "golden retriever" if index % 40 == 0 else f"class {chr(97 + index % 26)}"
    found = () if index == 411 else (ClassRecord(label, 9.0, 50, ((index * 53) % 90) / 10),)
    stats = {**STATS, "fires": ((index * 7) % 100) / 100, "max": float(index % 97)}
    return channel(
        BIG, index, renders=(one,), examples=(), spectrum=(), classes=found, stats=stats, whole=None
    )


def toy():
    _, mixed3a, mixed4c, _ = TOY_LAYERS
    evil = '"><script>console.error(1)</script>\u202e' + "W" * 5000
    channels = [channel(mixed3a, i) for i in (0, 3, 11)]
    channels += [channel(mixed4c, i) for i in (4, 6, 7, 8, 40, 47)]
    channels += [measured(i) for i in range(420)]
    channels += [
        channel(HOSTILE, i, examples=examples("x", 3, (evil,)), classes=classes((evil,)))
        for i in range(2)
    ]
    labels = [
        LabelRecord(label, 50, (MemberRecord("mixed5b", 0, 9.0, 3.0),))
        for label in ("golden retriever", "golden eagle", "retriever, golden-haired", evil)
    ]
    made = catalogue(layers=(mixed3a, mixed4c, BIG, HOSTILE), channels=channels)
    return replace(made, labels=tuple(labels))


@pytest.fixture(scope="module")
def tools_site(tmp_path_factory):
    """An atlas with a layer of three pages, one of a hostile name, and notes."""
    out, content = tmp_path_factory.mktemp("tools-site"), tmp_path_factory.mktemp("content")
    (content / "<svg onload=alert(1)>.md").write_text(
        "# Of zebras\n\nStripes are told from <script>console.error(1)</script> checks by conv2d0."
    )
    build_site(toy(), FakeMedia(), out, FakeIndex(), SiteOptions(content=content))
    return out


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def tools_served(tools_site):
    handler = functools.partial(_Quiet, directory=str(tools_site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(params=["file", "http"])
def base(request, tools_site):
    if request.param == "file":
        return tools_site.as_uri() + "/"
    return request.getfixturevalue("tools_served")


@pytest.fixture
def context(chromium):
    made = chromium.new_context(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(10_000)
    yield made
    made.close()


@pytest.fixture
def page(context):
    """A page that must not complain. A request that a click elsewhere cuts short is no failure."""
    made, troubles = context.new_page(), []
    made.on("console", lambda m: m.type in ("error", "warning") and troubles.append(m.text))
    made.on("pageerror", lambda error: troubles.append(str(error)))
    made.on("requestfailed", lambda r: r.failure == ABORTED or troubles.append(r.url))
    made.on("response", lambda r: r.status >= 400 and troubles.append(r.url))
    yield made
    assert troubles == []


def until(page, condition, arg=None):
    """Wait for a condition; `wait_for_function` evaluates strings, which the pages forbid."""
    for _ in range(200):
        if page.evaluate(condition, arg):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}, {arg}")


def found(page, query):
    """What search finds for a query typed from the start."""
    page.keyboard.press("/")
    page.locator("#search input").fill(query)
    until(page, "document.querySelector('#search [role=status]').innerText != 'Loading …'")
    kinds = page.eval_on_selector_all("#found a", "all => all.map(a => a.dataset.kind)")
    names = page.locator("#found b").all_inner_texts()
    return list(zip(kinds, names, strict=True))


# Search


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("mixed4c:47", [("channel", "mixed4c:47")]),
        ("mixed4c 47", [("channel", "mixed4c:47")]),
        ("4c 47", [("channel", "mixed4c:47")]),
        ("4C47", [("channel", "mixed4c:47")]),
        ("4c 4", [("channel", "mixed4c:4"), ("channel", "mixed4c:40"), ("channel", "mixed4c:47")]),
        ("11", [("channel", "mixed3a:11"), ("channel", "mixed5b:11")]),
        ("4c", [("layer", "mixed4c")]),
        ("golden retr", [("class", "golden retriever"), ("class", "retriever, golden-haired")]),
        ("Gölden", [("class", "golden eagle"), ("class", "golden retriever")]),
        ("stripes checks", [("note", "Of zebras")]),
        ("zebra", [("note", "Of zebras")]),
        ("5b retriever", [("channel", "mixed5b:0"), ("channel", "mixed5b:40")]),
        ("qqq zzz", []),
    ],
)
def test_search_finds(page, base, query, first):
    page.goto(base + "mixed4c/7.html")
    hits = found(page, query)
    assert hits[: len(first)] == first
    assert bool(hits) == bool(first)


def test_search_is_worked_by_keyboard(page, base):
    page.goto(base + "mixed4c/7.html")
    page.get_by_role("button", name="Search").click()
    box = page.locator("#search input")
    box.press_sequentially("4c 4")
    options = page.get_by_role("option")
    assert options.first.get_attribute("aria-selected") == "true"
    box.press("ArrowDown")
    box.press("ArrowDown")
    box.press("ArrowUp")
    chosen = page.locator("[aria-selected=true]")
    assert chosen.locator("b").inner_text() == "mixed4c:40"
    assert box.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    box.press("Enter")
    page.wait_for_url("**/mixed4c/40.html")


def test_escape_closes_search_and_gives_the_focus_back(page, base):
    page.goto(base + "mixed4c/7.html")
    button = page.get_by_role("button", name="Search")
    button.click()
    page.keyboard.type("terrier")
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    assert button.evaluate("button => button === document.activeElement")


def test_pictures_of_what_was_found_come_once_typing_rests(page, base):
    page.goto(base + "index.html")
    found(page, "4c 7")
    page.locator("#found img").first.wait_for()
    source = page.locator("#found img").first.get_attribute("src")
    assert source.startswith("media/layers/mixed4c-00")


def test_without_scripts_there_are_no_dead_controls(chromium, base):
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        for name in ("mixed4c/7.html", "mixed5b/index.html", "compare.html"):
            page.goto(base + name)
            for control in page.locator("button, input, select").all():
                assert not control.is_visible(), name
        assert "scripts are off" in page.locator("noscript").inner_text()
    finally:
        context.close()


def test_a_keystroke_takes_under_100_ms_with_a_whole_googlenet(chromium, tools_site, tmp_path):
    layers = googlenet_layers()
    names = [f"{a} {b}" for a in "abcdefghijklmnopqrstuvwxyzäöüéåøñ" for b in range(31)][:1000]
    channels = [
        channel(
            layer, i, examples=examples("x", 3, [names[(i * k) % 1000] for k in (1, 7, 31)]),
            spectrum=(), classes=(), whole=None,
        )
        for layer in layers for i in range(layer.channels)
    ]  # fmt: skip
    whole = catalogue(layers=layers, channels=channels)
    assert len(channels) == 5808
    site = tmp_path / "site"
    for name in ("static", "mixed4c"):
        shutil.copytree(tools_site / name, site / name)
    plan = plan_sheets(whole, "avif")
    paths = {name: f"classes/{i}.html" for i, name in enumerate(names)}
    name, data = next(iter(scripts(whole, plan, {}, {}, paths)))
    (site / name).parent.mkdir()
    (site / name).write_bytes(data)
    page = chromium.new_page()
    try:
        page.goto((site / "mixed4c/7.html").as_uri())
        assert found(page, "4c 447")[0] == ("channel", "mixed4c:447")
        times = page.locator("#search input").evaluate(
            """(input, queries) => queries.map(query => {
          const start = performance.now();
          input.value = query;
          input.dispatchEvent(new Event("input"));
          document.body.getBoundingClientRect();
          return performance.now() - start;
        })""",
            ["4", "44", "447", "4c", "4c 4", "m", "mixed", "a", "a 1", "z 30", "5b é", "zzz"],
        )
        assert max(times) < 100
    finally:
        page.close()


# Keys


def test_arrows_lead_to_the_neighbours_and_up(page, base):
    page.goto(base + "mixed4c/7.html")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/mixed4c/8.html")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/mixed4c/7.html")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/mixed4c/6.html")
    page.keyboard.press("ArrowUp")
    page.wait_for_url("**/mixed4c/index.html")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/mixed5b/index.html")


@pytest.mark.parametrize("key", ["Control+ArrowRight", "Alt+x", "Shift+ArrowRight", "Control+/"])
def test_keys_with_a_modifier_are_the_browsers(page, base, key):
    page.goto(base + "mixed4c/7.html")
    page.keyboard.press(key)
    page.wait_for_timeout(150)
    assert page.url == base + "mixed4c/7.html"
    assert page.locator("dialog").count() == 0


def test_keys_are_text_in_a_field_and_nothing_behind_a_dialog(page, base):
    page.goto(base + "mixed5b/index.html")
    page.locator("#tools [name=q]").press_sequentially("4/?")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#tools [name=q]").input_value() == "4/?"
    assert page.locator("dialog").count() == 0
    page.goto(base + "mixed4c/7.html")
    page.keyboard.press("?")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(150)
    assert page.url == base + "mixed4c/7.html"


def test_up_scrolls_before_it_leads_up(page, base):
    page.goto(base + "mixed4c/7.html")
    page.mouse.wheel(0, 600)
    until(page, "scrollY > 300")
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(150)
    assert page.url == base + "mixed4c/7.html"


def test_the_keys_are_listed(page, base):
    page.goto(base + "mixed4c/7.html")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    assert dialog.locator("kbd").all_inner_texts() == ["←", "→", "↑", "/", "Enter", "Esc", "?"]
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.get_by_role("button", name="Keyboard").click()
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="detached")


# Zoom


def test_a_picture_is_enlarged_and_back_closes_it(page, base):
    page.goto(base + "index.html")
    page.goto(base + "mixed4c/7.html")
    picture = page.locator(".photos img").nth(1)
    small = picture.bounding_box()["width"]
    picture.click()
    dialog = page.get_by_role("dialog", name="Enlarged picture")
    assert dialog.locator("img").bounding_box()["width"] > 2 * small
    assert dialog.locator("img").get_attribute("alt") == picture.get_attribute("alt")
    assert dialog.locator("figcaption").inner_text().startswith("Norfolk terrier 586")
    page.go_back()
    dialog.wait_for(state="detached")
    assert page.url == base + "mixed4c/7.html"
    assert picture.evaluate("picture => picture === document.activeElement")
    page.go_back()
    page.wait_for_url("**/index.html")


def test_escape_closes_a_picture_and_leaves_no_step_behind(page, base):
    page.goto(base + "index.html")
    page.goto(base + "mixed4c/7.html")
    page.locator(".hero img").first.click()
    assert "Began as noise" in page.locator("#zoom figcaption").inner_text()
    page.keyboard.press("Escape")
    page.locator("#zoom").wait_for(state="detached")
    until(page, "history.state === null")
    page.go_back()
    page.wait_for_url("**/index.html")


def test_arrows_go_through_the_neighbours_of_a_picture(page, base):
    page.goto(base + "mixed4c/7.html")
    first = page.locator("main img[tabindex='0']").first
    first.focus()
    page.keyboard.press("Enter")
    shown = page.locator("#zoom img")
    hero = page.eval_on_selector_all(".hero img", "all => all.map(one => one.alt)")
    assert len(hero) == 6
    seen = [shown.get_attribute("alt")]
    for _ in range(6):
        page.keyboard.press("ArrowRight")
        seen.append(shown.get_attribute("alt"))
    assert seen == [*hero, hero[0]]
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Previous").click()
    assert shown.get_attribute("alt") == hero[4]
    page.go_back()
    page.locator("#zoom").wait_for(state="detached")
    assert page.url == base + "mixed4c/7.html"


def test_forward_enlarges_again_and_a_reload_does_not(page, base):
    page.goto(base + "mixed4c/7.html")
    page.locator(".photos img").first.click()
    page.go_back()
    page.locator("#zoom").wait_for(state="detached")
    page.go_forward()
    page.locator("#zoom").wait_for()
    page.reload()
    assert page.locator("dialog").count() == 0
    page.go_back()
    assert page.url == base + "mixed4c/7.html"


def test_an_address_with_zoom_in_it_is_the_page(page, base):
    page.goto(base + "mixed4c/7.html#zoom")
    assert page.locator("dialog").count() == 0
    page.locator(".photos img").first.click()
    page.keyboard.press("Escape")
    page.locator("#zoom").wait_for(state="detached")
    assert page.url == base + "mixed4c/7.html#zoom"


def test_each_group_of_pictures_is_one_stop_of_the_tab_key(page, base):
    page.goto(base + "mixed4c/7.html")
    stops = page.locator("main img[tabindex='0']").count()
    assert stops < 8 < page.locator("main img[role=button]").count()
    assert page.locator("main a img[role=button]").count() == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_an_enlarged_picture_fits_the_screen(page, base, width):
    page.set_viewport_size({"width": width, "height": 640})
    page.goto(base + "mixed4c/7.html")
    page.locator(".hero img").first.click()
    box = page.locator("#zoom").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= 640
    image = page.locator("#zoom img").bounding_box()
    assert abs(image["width"] - image["height"]) < 1
    button = page.get_by_role("button", name="Close").bounding_box()
    assert image["y"] + image["height"] < button["y"]
    assert button["y"] + button["height"] <= 640


# Compare


def units(page):
    until(
        page,
        "document.querySelector('#add .found').innerText !== '' || document.querySelector('.unit')",
    )
    return page.locator(".unit h2 a").all_inner_texts()


def test_channels_are_compared_by_address(page, base):
    page.goto(base + "compare.html#mixed4c:7,mixed5b:411")
    page.locator(".unit").nth(1).wait_for()
    assert units(page) == ["mixed4c:7", "mixed5b:411"]
    scores = {render.kind: render.activation for render in renders("mixed4c:7")}
    first = page.locator(".unit").first
    captions = first.locator("figcaption").all_inner_texts()
    assert [caption.split()[1] for caption in captions] == [
        "Positive", "Diverse", "Neuron", "Negative",
    ]  # fmt: skip
    assert captions[0].endswith(f" {scores['positive']:.0f}")
    assert captions[3].endswith(f" −{-scores['negative']:.0f}")
    assert first.locator("img").count() == 7 + 4
    assert first.locator(".labels").inner_text() == "redbone, Norfolk terrier, Pembroke"
    assert first.locator("dd").all_inner_texts() == ["617", "−12.5", "24 %", "–", "3.00 σ"]
    other = page.locator(".unit").nth(1)
    assert "No photographs." in other.inner_text()
    assert "No diverse image." in other.inner_text()
    rows = [page.locator(".unit figure").nth(i).bounding_box()["y"] for i in (0, 4)]
    assert rows[0] == rows[1]


def test_channels_are_added_removed_and_kept_in_the_address(page, base):
    page.goto(base + "mixed4c/7.html")
    page.get_by_role("link", name="compare", exact=True).click()
    page.locator(".unit").wait_for()
    field = page.get_by_label("Channel", exact=True)
    field.fill("4c 8")
    field.press("Enter")
    page.locator(".unit").nth(1).wait_for()
    assert page.url == base + "compare.html#mixed4c:7,mixed4c:8"
    field.fill("mixed4c:9")
    field.press("Enter")
    page.get_by_text("Not in this atlas: mixed4c:9.").wait_for()
    page.get_by_role("button", name="Remove mixed4c:7").click()
    until(page, "document.querySelectorAll('.unit').length === 1")
    assert page.url == base + "compare.html#mixed4c:8"
    page.go_back()
    page.locator(".unit").nth(1).wait_for()
    assert units(page) == ["mixed4c:7", "mixed4c:8"]


def test_what_is_not_there_or_too_much_is_said(page, base):
    page.goto(base + "compare.html#mixed4c:7,mixed9z:1,%E0%A4%A,4c%207,mixed4c:999999")
    assert units(page) == ["mixed4c:7"]
    said = page.locator("#add .found").inner_text()
    assert said.startswith("Not in this atlas: mixed9z:1, %E0%A4%A, mixed4c:999999.")
    page.goto("about:blank")
    page.goto(base + "compare.html#" + ",".join(f"mixed5b:{i}" for i in range(8)))
    page.locator(".unit").nth(5).wait_for()
    assert len(units(page)) == 6
    assert "Only the first 6" in page.locator("#add .found").inner_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_comparison_scrolls_in_its_own_box(page, base, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(base + "compare.html#4c:4,4c:6,4c:7,4c:8,4c:40,3a:3")
    page.locator(".unit").nth(5).wait_for()
    wide = "one => one.scrollWidth - one.clientWidth"
    assert page.locator("html").evaluate(wide) == 0
    assert page.locator("#compare").evaluate(wide) >= 0
    assert all(one.bounding_box()["width"] > 130 for one in page.locator(".unit").all())


def test_a_picture_of_a_comparison_is_enlarged_and_the_address_stays(page, base):
    page.goto(base + "compare.html#mixed4c:7,mixed4c:8")
    page.locator(".unit").nth(1).wait_for()
    page.locator(".unit img").nth(2).click()
    page.locator("#zoom").wait_for()
    page.go_back()
    page.locator("#zoom").wait_for(state="detached")
    assert page.url == base + "compare.html#mixed4c:7,mixed4c:8"
    assert len(units(page)) == 2


# A layer's tools


def tiles(page):
    return page.locator("#tiles li").all_inner_texts()


def wait_for(page, said):
    until(page, "said => document.querySelector('#tools .found').innerText.startsWith(said)", said)


@pytest.mark.parametrize(
    ("sort", "value"),
    [
        ("share", lambda record: record.renders[0].share),
        ("selectivity", lambda r: r.classes[0].selectivity if r.classes else math.nan),
        ("sparsity", lambda record: 1 - record.stats["fires"]),
        ("max", lambda record: record.stats["max"]),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_channels_are_sorted_by_a_measure(page, base, sort, value, reverse):
    page.goto(base + "mixed5b/index.html")
    page.get_by_label("Sort by").select_option(sort)
    if reverse:
        page.get_by_label("reversed").check()
    wait_for(page, "420 of 420")
    until(page, "document.querySelectorAll('#tiles li').length === 192")
    channels = [record for record in toy().channels if record.layer == "mixed5b"]
    known = [r for r in channels if not math.isnan(value(r))]
    known.sort(key=lambda r: ((1 if reverse else -1) * round(value(r), 6), r.index))
    until(
        page,
        "first => document.querySelector('#tiles li').innerText.startsWith(first)",
        f"{known[0].index} ",
    )
    assert [int(text.split()[0]) for text in tiles(page)] == [r.index for r in known[:192]]
    assert page.url.endswith(f"#sort={sort}" + ("&reverse=1" if reverse else ""))


def test_the_measure_is_on_the_tile_and_what_was_not_measured_comes_last(page, base):
    page.goto(base + "mixed5b/index.html#sort=selectivity&page=3")
    wait_for(page, "420 of 420 channels, page 3 of 3")
    texts = tiles(page)
    assert len(texts) == 420 - 2 * 192
    assert texts[-1] == "411 · –"
    assert texts[-2].endswith("0 σ")


def test_channels_are_filtered_by_number_label_and_branch(page, base):
    page.goto(base + "mixed5b/index.html")
    field = page.get_by_label("Find")
    for query, amount, first in (
        ("golden retr", 11, "0"), ("mixed5b:41", 11, "41"), ("pool", 120, "300"), ("zzz", 0, None),
    ):  # fmt: skip
        field.fill(query)
        wait_for(page, f"{amount} of 420")
        texts = tiles(page)
        assert len(texts) == amount
        assert texts[:1] == ([first] if first else [])
    field.fill("")
    until(page, "document.querySelectorAll('#tiles section').length > 0")
    assert tiles(page)[0] == "0"
    assert page.url == base + "mixed5b/index.html"


def test_back_takes_away_what_was_asked_for(page, base):
    page.goto(base + "mixed5b/index.html")
    before = page.locator("#tiles").inner_html()
    page.get_by_label("Sort by").select_option("max")
    wait_for(page, "420")
    page.get_by_label("Find").press_sequentially("pool")
    wait_for(page, "120")
    page.go_back()
    wait_for(page, "420 of 420")
    assert page.get_by_label("Find").input_value() == ""
    assert page.get_by_label("Sort by").input_value() == "max"
    page.go_back()
    until(page, "document.querySelector('#tools .found').innerText === ''")
    assert page.locator("#tiles").inner_html() == before
    assert page.get_by_label("Sort by").input_value() == ""


def test_pages_of_what_was_found_lead_on(page, base):
    page.goto(base + "mixed5b/index.html#sort=max")
    wait_for(page, "420 of 420 channels, page 1 of 3")
    page.locator("#pages a").nth(1).click()
    wait_for(page, "420 of 420 channels, page 2 of 3")
    assert page.url.endswith("#sort=max&page=2")
    assert page.locator("#pages [aria-current]").inner_text() == "2"
    assert len(tiles(page)) == 192
    page.go_back()
    wait_for(page, "420 of 420 channels, page 1 of 3")


@pytest.mark.parametrize("hash", ["", "#sort=share", "#q=class&page=2"])
def test_a_layer_has_at_most_800_elements(page, base, hash):
    page.goto(base + "mixed5b/index.html" + hash)
    if hash:
        wait_for(page, "4")
    amount = "document.querySelectorAll('*').length"
    assert page.evaluate(amount) <= 800
    found(page, "class")
    page.locator("#found img").first.wait_for()
    assert page.evaluate(amount) <= 800


def test_the_size_of_tiles_is_remembered(page, base):
    page.goto(base + "mixed5b/index.html")
    tile = page.locator("#tiles img").first
    for size in (48, 224):
        page.get_by_label("Size").fill(str(size))
        width = tile.bounding_box()["width"]
        assert size <= width < 1.3 * size
        page.goto(base + "mixed4c/index.html")
        assert abs(tile.bounding_box()["width"] - width) < 1
        assert page.get_by_label("Size").input_value() == str(size)
        page.goto(base + "mixed5b/index.html")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_layer_never_scrolls_sideways(page, base, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(base + "mixed5b/index.html#sort=selectivity")
    wait_for(page, "420")
    for size in (48, 224):
        page.get_by_label("Size").fill(str(size))
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".bar").bounding_box()["height"] < 150


# Theme, copying, and what must not happen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_kept_and_can_be_given_back_to_the_system(chromium, base, scheme):
    other = {"light": "dark", "dark": "light"}[scheme]
    context = chromium.new_context(color_scheme=scheme)
    try:
        page = context.new_page()
        page.goto(base + "mixed4c/7.html")
        paint = "getComputedStyle(document.body).backgroundColor"
        before = page.evaluate(paint)
        button = page.get_by_role("button", name="Dark theme")
        assert button.get_attribute("aria-pressed") == str(scheme == "dark").lower()
        button.click()
        after = page.evaluate(paint)
        assert after != before
        page.goto(base + "index.html")
        assert page.evaluate("document.documentElement.dataset.theme") == other
        assert page.evaluate(paint) == after
        assert button.get_attribute("aria-pressed") == str(other == "dark").lower()
        button.click()
        page.goto(base + "mixed4c/index.html")
        assert page.evaluate("document.documentElement.dataset.theme ?? null") is None
        assert page.evaluate(paint) == before
    finally:
        context.close()


@pytest.mark.parametrize("clipboard", [True, False])
def test_the_name_of_a_channel_is_copied(context, page, base, clipboard):
    if clipboard and base.startswith("http"):
        context.grant_permissions(["clipboard-read", "clipboard-write"])
    if not clipboard:
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.goto(base + "mixed4c/7.html")
    button = page.locator("button.copy")
    width = button.bounding_box()["width"]
    button.click()
    page.get_by_role("button", name="copied").wait_for()
    assert button.bounding_box()["width"] == width
    assert page.locator("p.unseen[role=status]").text_content() == "mixed4c:7 copied"
    page.keyboard.press("/")
    page.keyboard.press("Control+V")
    assert page.locator("#search input").input_value() == "mixed4c:7"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="copy name").wait_for()


def test_hostile_names_are_shown_as_text(page, base):
    page.goto(base + "mixed4c/7.html")
    assert found(page, "onerror")[0] == ("layer", HOSTILE.name)
    href = page.locator("#found a[data-kind=layer]").get_attribute("href")
    page.goto(base + href.removeprefix("../") + "#sort=share")
    wait_for(page, "2 of 2")
    folder = page.locator("#tiles").get_attribute("data-folder")
    page.goto(f"{base}compare.html#{folder}:0,{folder}:1")
    page.locator(".unit").nth(1).wait_for()
    assert units(page) == [f"{HOSTILE.name}:0", f"{HOSTILE.name}:1"]
    assert page.locator(".unit").first.locator("bdi").first.inner_text().startswith('"><script>')
    assert page.locator("html").evaluate("one => one.scrollWidth - one.clientWidth") == 0
    assert page.locator("img[onerror], main script:not([src])").count() == 0


def test_the_policy_lets_the_site_in_and_nothing_else(page, base):
    page.goto(base + "mixed4c/7.html")
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert policy == (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_a_published_site_says_where_it_is_and_where_its_pictures_are(tmp_path):
    options = SiteOptions(url="https://atlas.example/g/", media="https://cdn.example/m")
    mixed4c = TOY_LAYERS[2]
    atlas = catalogue(channels=[channel(mixed4c, 7), channel(mixed4c, 8)])
    build_site(atlas, FakeMedia(), tmp_path, FakeIndex(), options)
    text = (tmp_path / "mixed4c/7.html").read_text()
    for line in (
        "img-src 'self' https://cdn.example; style-src 'self'; script-src 'self'; base-uri 'none'",
        '<html lang="en" data-root="../" data-media="https://cdn.example/m/">',
        '<link rel="canonical" href="https://atlas.example/g/mixed4c/7.html">',
        '<meta property="og:url" content="https://atlas.example/g/mixed4c/7.html">',
        '<meta property="og:title" content="mixed4c:7 · A toy atlas">',
        '<meta property="og:image" content="https://cdn.example/m/media/cards/mixed4c.jpg">',
        '<meta name="twitter:card" content="summary_large_image">',
    ):
        assert line in text
    lost = (tmp_path / "404.html").read_text()
    assert '<base href="https://atlas.example/g/">' in lost
    assert "script-src 'self' https://atlas.example/g/; base-uri 'self' https://atl" in lost
    assert "og:" not in lost


@pytest.mark.parametrize(
    "code",
    [
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; "
        "document.body.append(s)",
        "const b = document.createElement('b'); b.setAttribute('onclick', 'window.ran = 1'); "
        "document.body.append(b); b.click()",
        "const i = new Image(); i.onload = () => { window.ran = 1; }; "
        "i.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA='",
    ],
)
def test_the_policy_stops_what_is_inline(chromium, base, code):
    page = chromium.new_page()
    try:
        page.goto(base + "mixed4c/7.html")
        page.evaluate(
            "window.stopped = 0; addEventListener('securitypolicyviolation', () => { stopped++; })"
        )
        page.evaluate(code)
        until(page, "window.stopped === 1")
        assert page.evaluate("window.ran") is None
    finally:
        page.close()


@pytest.mark.parametrize("name", ["mixed4c/7.html", "mixed5b/index.html", "index.html"])
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_moves_while_a_page_loads(page, base, name, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script("""window.moved = 0; new PerformanceObserver(list => {
      for (const entry of list.getEntries()) window.moved += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
    try { localStorage.setItem("atlas-tile", "160"); } catch (_) {}""")
    for _ in range(2):
        page.goto(base + name)
        page.wait_for_timeout(400)
        assert page.evaluate("window.moved") == 0
