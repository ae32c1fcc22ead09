"""Layers cut into pages: which channels are on which, and how large a page gets."""

from dataclasses import replace

import pytest
from building import QUICK, build, elements, page_of
from fake import TOY_LAYERS, catalogue, channel, googlenet_layers, renders

from atlas.site.layers import LayerTile, branch_groups, layer_pages
from atlas.units import Branch, Layer

WIDEST = googlenet_layers()[-1]


def bare(layer, index):
    """A channel of which nothing is known but one render."""
    return channel(
        layer, index, renders=renders(f"{layer.name}:{index}", ("positive",), 32), examples=(),
        spectrum=(), histogram=None, classes=(), stats={}, whole=None,
    )  # fmt: skip


def page_of_layer(layer, indices, notes=None):
    """What pages know of a layer with these channels."""
    atlas = catalogue((layer,), [bare(layer, i) for i in indices])
    return layer_pages(atlas, notes or {})[0]


def test_all_layers_are_there_and_channels_in_order():
    atlas = catalogue(channels=[channel(TOY_LAYERS[1], i) for i in (5, 0, 11)])
    pages = layer_pages(atlas, {})
    assert [page.folder for page in pages] == ["conv2d0", "mixed3a", "mixed4c", "mixed5b"]
    assert [page.short for page in pages] == ["c0", "3a", "4c", "5b"]
    assert [one.index for one in pages[1].channels] == [0, 5, 11]
    assert pages[0].parts() == []


@pytest.mark.parametrize(
    ("channels", "sizes"),
    [(1, [1]), (192, [192]), (193, [192, 1]), (1024, [192, 192, 192, 192, 192, 64])],
)
def test_a_page_has_192_channels_at_most(channels, sizes):
    parts = page_of_layer(WIDEST, range(channels)).parts()
    assert [len(shown) for _, shown in parts] == sizes
    assert [path for path, _ in parts] == [
        "mixed5b/index.html", *(f"mixed5b/page-{n}.html" for n in range(2, len(sizes) + 1))
    ]  # fmt: skip
    assert [one.index for _, shown in parts for one in shown] == list(range(channels))


def test_a_branch_goes_on_on_the_next_page():
    page = page_of_layer(WIDEST, range(1024))
    _, shown = page.parts()[2]  # channels 384 to 575, from where the second branch begins
    groups = branch_groups(page, [LayerTile(one.index, None, True) for one in shown])
    assert [(g.name, g.continued, len(g.tiles)) for g in groups] == [("3x3", False, 192)]
    _, shown = page.parts()[4]  # 768 to 959: two branches, of which neither began before
    groups = branch_groups(page, [LayerTile(one.index, None, True) for one in shown])
    assert [(g.name, g.continued, len(g.tiles)) for g in groups] == [
        ("5x5", False, 128), ("pool", False, 64),
    ]  # fmt: skip
    _, shown = page.parts()[5]
    (last,) = branch_groups(page, [LayerTile(one.index, None, True) for one in shown])
    assert (last.name, last.continued, last.shown) == ("pool", True, 128)
    assert (last.start, last.stop) == (896, 1024)


def test_a_branch_counts_what_is_shown_on_all_pages():
    page = page_of_layer(TOY_LAYERS[1], (1, 4, 6, 9))
    groups = branch_groups(page, [LayerTile(4, None, True), LayerTile(6, None, True)])
    assert [(g.name, g.shown, g.continued) for g in groups] == [("3x3", 3, False)]


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A site of all channels of GoogLeNet's widest layer and one of another."""
    out = tmp_path_factory.mktemp("wide")
    layers = googlenet_layers()
    channels = [bare(layers[0], 0), *(bare(WIDEST, i) for i in range(1024))]
    build(out, catalogue(layers, channels), replace(QUICK, quality=20))
    return out


PAGES = ["index.html", *(f"page-{n}.html" for n in range(2, 7))]


def test_no_page_of_the_widest_layer_has_800_elements_or_150_kilobytes(wide):
    for name in PAGES:
        text = page_of(wide, f"mixed5b/{name}")
        assert len(elements(text)) < 800
        assert len(text.encode()) <= 150_000


def test_every_channel_is_on_one_page(wide):
    found = []
    for name in PAGES:
        found += [
            attributes["href"] for tag, attributes in elements(page_of(wide, f"mixed5b/{name}"))
            if tag == "a" and attributes.get("href", "")[0].isdigit()
        ]  # fmt: skip
    assert found == [f"{i}.html" for i in range(1024)]


def test_pages_of_a_layer_lead_to_each_other(wide):
    for number, name in enumerate(PAGES):
        text = page_of(wide, f"mixed5b/{name}")
        pages = text.split('<nav class="pages"')[1].split("</nav>")[0]
        links = [attributes for tag, attributes in elements(pages) if tag == "a"]
        assert [link["href"] for link in links] == PAGES
        assert [link.get("aria-current") for link in links] == [
            "page" if i == number else None for i in range(6)
        ]
    assert "192–383" in page_of(wide, "mixed5b/index.html")


def test_a_page_says_which_it_is_and_what_goes_on(wide):
    first, second, third, *_, last = (page_of(wide, f"mixed5b/{name}") for name in PAGES)
    assert "1x1 branch <span" in first
    assert "1x1 branch, continued <span" in second
    assert "continued" not in third
    assert "pool branch, continued <span" in last
    assert "<title>mixed5b, page 2 · " in second
    assert "<title>mixed5b, page 2 · A toy atlas</title>" in second


def test_the_note_of_a_layer_is_on_its_first_page_only(wide):
    first, second = (page_of(wide, f"mixed5b/{name}") for name in PAGES[:2])
    assert '<div class="lede">' in first
    assert '<div class="lede">' not in second


def test_a_layer_of_one_page_has_no_list_of_pages(toy_site):
    text = page_of(toy_site, "mixed4c/index.html")
    assert '<nav class="pages"' not in text
    assert ", page " not in text.split("<main")[1]


def test_only_the_first_row_is_loaded_at_once(toy_site):
    tiles = [a for tag, a in elements(page_of(toy_site, "mixed4c/index.html")) if tag == "img"]
    assert [("loading" in one) for one in tiles] == [False] * 9 + [True] * 39


def test_layers_lead_to_those_before_and_after_that_are_shown(tmp_path):
    atlas = catalogue(channels=[bare(TOY_LAYERS[i], 0) for i in (0, 1, 3)])
    build(tmp_path, atlas)
    page = page_of(tmp_path, "mixed3a/index.html")
    assert '<a rel="prev" href="../conv2d0/index.html">' in page
    assert '<a rel="next" href="../mixed5b/index.html">' in page
    assert "layer 2 of 4" in page
    assert 'rel="next"' not in page_of(tmp_path, "mixed5b/index.html")


def test_a_channel_without_renders_and_one_that_never_started_are_told(tmp_path):
    layer = Layer("plain", (Branch("all", 0, 3),))
    dead = renders("plain:1", ("positive",), started=False)
    channels = [channel(layer, 0, renders=()), channel(layer, 1, renders=dead), bare(layer, 2)]
    build(tmp_path, catalogue((layer,), channels))
    tiles = page_of(tmp_path, "plain/index.html").split('<ul class="grid">')[1].split("<li>")[1:]
    assert '<span class="blank">no render</span>0<' in tiles[0]
    assert "1 · failed" in tiles[1]
    assert "never" not in tiles[2]


def test_branches_are_named_only_where_there_are_several(toy_site):
    assert "branch" not in page_of(toy_site, "conv2d0/index.html").split('<div id="tiles"')[1]
    mixed = page_of(toy_site, "mixed3a/index.html")
    assert mixed.count("<h2 id=") == 3
    assert "channels 4–9</span>" in mixed
