"""Where the site will be: canonical links, cards, the sitemap, and media on another host."""

import json
from dataclasses import replace
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from building import QUICK, build, elements, page_of, small
from fake import TOY_LAYERS, FakeIndex, catalogue, channel, snapshot
from PIL import Image

from atlas.site.addresses import robots, sitemap

URL = "https://example.org/atlas"
MEDIA = "https://media.example.net/some/where"


def several():
    """An atlas of two layers."""
    conv, mixed3a, *_ = TOY_LAYERS
    few = [(conv, 0), (conv, 1), (mixed3a, 1), (mixed3a, 5)]
    return catalogue(channels=[channel(layer, index) for layer, index in few])


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A site that knows its address, at a host that shows its 404 page anywhere."""
    out = tmp_path_factory.mktemp("named")
    build(out, several(), replace(QUICK, url=URL))
    return out


@pytest.fixture(scope="module")
def nameless(tmp_path_factory):
    out = tmp_path_factory.mktemp("nameless")
    build(out, several())
    return out


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """A site with its media on another host."""
    out = tmp_path_factory.mktemp("apart")
    build(out, several(), replace(QUICK, url=URL, media=MEDIA))
    return out


def pages_of(out):
    return {
        path: elements(data.decode())
        for path, (_, data) in snapshot(out).items()
        if path.endswith(".html")
    }


def metas(found):
    return {
        attributes.get("property") or attributes.get("name"): attributes["content"]
        for tag, attributes in found
        if tag == "meta" and "content" in attributes
    }


def policy(found):
    """The Content-Security-Policy of a page: the sources of each directive."""
    (text,) = (
        attributes["content"]
        for tag, attributes in found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    parts = (part.split() for part in text.split(";"))
    return {name: sources for name, *sources in parts}


def test_every_page_but_404_has_its_own_canonical_address(named):
    for path, found in pages_of(named).items():
        links = [a["href"] for tag, a in found if tag == "link" and a["rel"] == "canonical"]
        assert links == ([] if path == "404.html" else [f"{URL}/{path}"])
        assert metas(found).get("og:url") == (None if path == "404.html" else f"{URL}/{path}")


def test_an_address_may_end_in_a_slash(tmp_path):
    build(tmp_path, small(), replace(QUICK, url=f"{URL}/"))
    assert f'rel="canonical" href="{URL}/recipe.html"' in page_of(tmp_path, "recipe.html")
    assert f"<loc>{URL}/recipe.html</loc>" in (tmp_path / "sitemap.xml").read_text()


def test_the_404_page_names_the_site_for_it_may_stand_anywhere(named, nameless):
    found = pages_of(named)["404.html"]
    assert [a["href"] for tag, a in found if tag == "base"] == [f"{URL}/"]
    rules = policy(found)
    for name in ("base-uri", "script-src", "style-src", "img-src"):
        assert rules[name] == ["'self'", f"{URL}/"]
    assert not [tag for tag, _ in pages_of(nameless)["404.html"] if tag == "base"]


def test_a_page_says_what_a_link_to_it_is_to_show(named):
    facts = metas(pages_of(named)["mixed3a/5.html"])
    assert facts["og:title"] == "mixed3a:5 · A toy atlas"
    assert facts["og:description"] == facts["description"]
    assert facts["og:site_name"] == "A toy atlas"
    assert facts["og:image"] == f"{URL}/media/cards/mixed3a.jpg"
    assert facts["twitter:card"] == "summary_large_image"


def test_pages_of_no_layer_have_the_card_of_the_one_in_the_middle(named):
    for path in ("index.html", "recipe.html", "classes/redbone.html"):
        image = metas(pages_of(named)[path])["og:image"]
        assert image == f"{URL}/media/cards/mixed3a.jpg"
    assert metas(pages_of(named)["conv2d0/1.html"])["og:image"].endswith("/conv2d0.jpg")


def test_cards_are_jpegs_twice_as_wide_as_high(named):
    cards = sorted((named / "media" / "cards").iterdir())
    assert [card.name for card in cards] == ["conv2d0.jpg", "mixed3a.jpg"]
    for card in cards:
        with Image.open(card) as image:
            assert (image.format, image.size) == ("JPEG", (1260, 630))


def test_without_an_address_there_is_nothing_of_this(nameless):
    for found in pages_of(nameless).values():
        assert not [a for tag, a in found if tag == "link" and a["rel"] == "canonical"]
        assert not [name for name in metas(found) if name and name.startswith(("og:", "twitter"))]
    left = set(snapshot(nameless))
    assert not {"sitemap.xml", "robots.txt"} & left
    assert not [path for path in left if "cards" in path]


def test_an_address_taken_away_takes_all_of_it_away(tmp_path):
    index = FakeIndex()
    build(tmp_path / "site", several(), replace(QUICK, url=URL), index)
    build(tmp_path / "site", several(), QUICK, index)
    build(tmp_path / "new", several())
    assert set(snapshot(tmp_path / "site")) == set(snapshot(tmp_path / "new"))


def test_the_sitemap_has_every_page_that_says_something(named):
    root = ElementTree.fromstring((named / "sitemap.xml").read_text())
    addresses = [one.text for one in root.findall(".//{*}loc")]
    pages = {path for path in pages_of(named) if path not in ("404.html", "compare.html")}
    assert addresses == sorted(f"{URL}/{path}" for path in pages)
    assert (named / "robots.txt").read_text() == f"Sitemap: {URL}/sitemap.xml\n"


def test_addresses_are_escaped_for_urls_and_for_xml():
    ((_, data),) = sitemap("https://a.example/b&c/", ["x y/é&.html"])
    (loc,) = ElementTree.fromstring(data).findall(".//{*}loc")
    assert loc.text == "https://a.example/b&c/x%20y/%C3%A9%26.html"
    assert b"b&amp;c" in data
    assert robots("https://a.example/b/") == (
        "robots.txt", b"Sitemap: https://a.example/b/sitemap.xml\n",
    )  # fmt: skip


def test_a_sitemap_has_no_more_addresses_than_it_may():
    ((_, data),) = sitemap(URL, [f"{i}.html" for i in range(50_001)])
    assert data.count(b"<loc>") == 50_000


def test_every_picture_is_on_the_other_host(apart, nameless):
    for path, found in pages_of(apart).items():
        pictures = [a["src"] for tag, a in found if tag == "img"]
        here = [a["src"] for tag, a in pages_of(nameless)[path] if tag == "img"]
        assert pictures == [f"{MEDIA}/{src.removeprefix('../')}" for src in here]


def test_only_the_other_host_may_give_pictures(apart, nameless):
    for path, found in pages_of(apart).items():
        own = ["'self'"] if path != "404.html" else ["'self'", f"{URL}/"]
        rules = policy(found)
        assert rules.pop("img-src") == [*own, "https://media.example.net"]
        assert "media.example.net" not in json.dumps(rules)
    for found in pages_of(nameless).values():
        assert policy(found)["img-src"] == ["'self'"]


def test_scripts_are_told_where_pictures_are(apart, nameless):
    for found in pages_of(apart).values():
        assert dict(found)["html"]["data-media"] == f"{MEDIA}/"
    for found in pages_of(nameless).values():
        assert "data-media" not in dict(found)["html"]
    for path, (_, data) in snapshot(apart).items():
        if path.startswith("data/"):
            assert data == (nameless / path).read_bytes()
            assert b"http" not in data.replace(b"https://distill.pub", b"")


def test_a_card_is_where_the_pictures_are(apart):
    image = metas(pages_of(apart)["mixed3a/5.html"])["og:image"]
    assert image == f"{MEDIA}/media/cards/mixed3a.jpg"


def test_nothing_else_is_on_another_host(apart):
    for found in pages_of(apart).values():
        for tag, attributes in found:
            if tag in ("script", "link") and attributes.get("rel") != "canonical":
                address = attributes.get("src") or attributes["href"]
                assert urlsplit(address).netloc == ""


def test_the_manifest_says_where_sheets_are_in_the_site(apart, nameless):
    """What is copied to the other host keeps its path."""
    sheets = [
        [tile["sheet"] for one in json.loads((out / "manifest.json").read_bytes())["channels"]
         for tile in one["renders"]]
        for out in (apart, nameless)
    ]  # fmt: skip
    assert sheets[0] == sheets[1]
