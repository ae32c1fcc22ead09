"""`atlas check`: a good site has no problems, and every way to break it gives its line."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from fake import TOY_LAYERS, FakeIndex, FakeMedia, catalogue, channel
from PIL import Image

from atlas.cli_site import HOSTS as NAMED_HOSTS
from atlas.errors import AtlasError
from atlas.site import SiteOptions, build_site
from atlas.site.check import HOSTS, check_site, lines
from atlas.site.check import hosts as host_module
from atlas.site.check.folder import Folder
from atlas.site.check.hosts import check_host
from atlas.site.check.links import missing, of_srcset, of_stylesheet, resolve
from atlas.site.check.page import Context, read_page
from atlas.site.check.problems import Findings, Problem

CONV, MIXED3A = TOY_LAYERS[:2]


def make(out: Path, **options: object) -> Path:
    """Five channels of two layers."""
    channels = [channel(CONV, 0), channel(CONV, 1), *(channel(MIXED3A, i) for i in (0, 3, 4))]
    atlas = catalogue(channels=channels)
    build_site(atlas, FakeMedia(), out, FakeIndex(), SiteOptions(**options))  # type: ignore[arg-type]
    return out


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good") / "site")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A site that knows its address, with its media elsewhere."""
    out = tmp_path_factory.mktemp("published") / "site"
    return make(out, url="https://example.org/atlas/", media="https://cdn.example.org/a/")


@pytest.fixture
def site(good, tmp_path):
    return Path(shutil.copytree(good, tmp_path / "site"))


def found(folder: Path, **options) -> set[str]:
    return set(lines(check_site(folder, **options).problems, most=1000))


def edit(file: Path, old: str, new: str) -> None:
    """Replace the first `old` of a text file, which has to be there."""
    text = file.read_text("utf-8")
    assert old in text, f"{old!r} is not in {file}"
    file.write_text(text.replace(old, new, 1), "utf-8")


def edit_manifest(site: Path, change) -> None:
    path = site / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_site_as_it_is_built_has_no_problems(good):
    report = check_site(good, thorough=True)
    assert lines(report.problems, 10) == []
    assert report.pages == len(list(good.rglob("*.html")))
    assert report.images == len([*good.rglob("*.avif")])
    assert report.files == sum(path.is_file() for path in good.rglob("*"))
    assert report.bytes == sum(path.stat().st_size for path in good.rglob("*") if path.is_file())
    assert report.links > 5 * report.pages


def test_neither_has_one_with_an_address_and_its_media_elsewhere(published):
    assert found(published) == set()
    assert found(published, media="https://cdn.example.org/a") == set()


def test_several_processes_find_what_one_finds(site):
    edit(site / "conv2d0" / "1.html", 'alt="', 'data-alt="')
    (site / "media" / "renders" / "conv2d0" / "0.avif").write_bytes(b"not an image")
    one, three = check_site(site, processes=1), check_site(site, processes=3)
    assert one.problems == three.problems
    assert len(one.problems) == 2
    assert (one.pages, one.links) == (three.pages, three.links)


PAGE = "conv2d0/0.html"
BODY = "<main id"

BROKEN_PAGES = [
    ('<p><a href="1.htm">x</a></p>', "links to '1.htm', which does not exist"),
    ('<p><a href="INDEX.html">x</a></p>',
     "links to 'INDEX.html', but the file is called conv2d0/index.html"),
    ('<p><a href="../mixed3a/">x</a></p>',
     "links to '../mixed3a/', a folder; name the page in it, for that works from a disk too"),
    ('<p><a href="../mixed3a">x</a></p>',
     "links to '../mixed3a', a folder; name the page in it, for that works from a disk too"),
    ('<p><a href="..">x</a></p>',
     "links to '..', a folder; name the page in it, for that works from a disk too"),
    ('<p><a href="/index.html">x</a></p>',
     "links to '/index.html', which from a disk leads nowhere; drop the /"),
    ('<p><a href="../../secret.html">x</a></p>',
     "links to '../../secret.html', which leads out of the site"),
    ('<p><a href="..%2f..%2fsecret.html">x</a></p>',
     "links to '..%2f..%2fsecret.html', which leads out of the site"),
    ('<p><a href="..\\index.html">x</a></p>',
     r"links to '..\\index.html' with a backslash; write /"),
    ('<p><a href="1.html#nowhere">x</a></p>',
     "links to conv2d0/1.html#nowhere, but there is no such id"),
    ('<p><a href="#nowhere">x</a></p>', "links to '#nowhere', but has no such id"),
    ('<p><a href="../compare.html#conv2d0%3A1,mixed4c%3A7">x</a></p>',
     "compares mixed4c:7, not in this atlas"),
    ('<p><a href="javascript:alert(1)">x</a></p>',
     "links to 'javascript:alert(1)'; only http, https and mailto lead out"),
    ('<p><a href="http://[">x</a></p>', "links to 'http://[', which is no address"),
    ('<p><img src="https://evil.example/x.png" alt="x" width=1 height=1></p>',
     "<img src='https://evil.example/x.png'> loads 'https://evil.example/x.png', "
     "which is not of this site"),
    ('<p><img src="//evil.example/x.png" alt="x" width=1 height=1></p>',
     "<img src='//evil.example/x.png'> loads '//evil.example/x.png', which is not of this site"),
    ('<p><img srcset="no.avif 2x" src="../media/renders/conv2d0/0.avif" alt="x" width=7 height=1>'
     "</p>", "links to 'no.avif', which does not exist"),
    ('<script src="../static/js/none.js"></script>',
     "links to '../static/js/none.js', which does not exist"),
    ('<p><img src="../media/renders/conv2d0/0.avif" alt=" " width=7 height=1></p>',
     "<img src='../media/renders/conv2d0/0.avif'> has no alternative text"),
    ('<p><img src="../media/renders/conv2d0/0.avif" alt="x" width=7></p>',
     "<img src='../media/renders/conv2d0/0.avif'> has no height in pixels, so the page jumps"),
    ('<p><img src="../media/renders/conv2d0/0.avif" alt="x" width=70 height=70></p>',
     "shows media/renders/conv2d0/0.avif, 336 × 48 pixels, as 70 × 70"),
    ('<p><img class="s n7 i7" src="../media/renders/conv2d0/0.avif" alt="x" width=9 height=9></p>',
     "shows tile 7 of media/renders/conv2d0/0.avif, counted from 0, of 7"),
    ('<p><img class="s n8 i1" src="../media/renders/conv2d0/0.avif" alt="x" width=9 height=9></p>',
     "shows media/renders/conv2d0/0.avif as 8 square tiles in a row; it is 336 × 48"),
    ('<p><img class="s n7 i1" src="../media/renders/conv2d0/0.avif" alt="x" width=9 height=8></p>',
     "shows media/renders/conv2d0/0.avif, 48 × 48 pixels, as 9 × 8"),
    ('<p style="color: red">x</p>', "<p> has a style of its own; use a class"),
    ("<style>p { color: red }</style>", "<style> in the page; put it into a stylesheet"),
    ("<script>alert(1)</script>", "a script in the page; put it into a file"),
    ('<p onclick="alert(1)">x</p>', "<p> has the event handler onclick"),
    ('<p id="main">x</p>', "the id 'main' is used 2 times"),
    ('<p id="a b">x</p>', "the id 'a b' is empty or has a space in it"),
    ('<p aria-labelledby="nobody">x</p>', "<p> names the id 'nobody', which is not there"),
    ("<h1>x</h1>", "has 2 <h1>; a page has one"),
    ("<h4>x</h4>", "<h4> follows a heading of level 1"),
    ("<div><span><div>x</div></span></div>", "<div> cannot stand in <span>"),
    ("<ul><p>x</p></ul>", "<p> cannot stand directly in <ul>"),
    ("<div><li>x</li></div>", "<li> has to stand directly in <menu>"),
    ("<p><button><a href='1.html'>x</a></button></p>",
     "<a href='1.html'> cannot stand in <button>"),
    ("<details><p>x</p></details>", "<details> has no <summary> as its first element"),
    ("<center>x</center>", "<center> is obsolete or no element of HTML"),
    ('<table align="left"><tbody><tr><td>x</td></tr></tbody></table>',
     "<table> has the obsolete attribute align"),
]  # fmt: skip


@pytest.mark.parametrize(("html", "wrong"), BROKEN_PAGES, ids=[case[0] for case in BROKEN_PAGES])
def test_what_is_wrong_on_a_page(site, html, wrong):
    edit(site / PAGE, BODY, html + "\n" + BODY)
    assert found(site) == {f"{PAGE}: {wrong}"}


def test_references_of_every_kind_that_are_right(site):
    html = (
        '<p><a href="https://example.org/">x</a> <a href="mailto:a@example.org">x</a> '
        '<a href="1.html?x=1#main">x</a> <a href="../mixed3a/index.html#sort=maximum&amp;page=2">x'
        '</a> <a href="./../conv2d0/%31.html">x</a> <a href="#">x</a> <a href="#main">x</a> '
        '<a href="../compare.html#conv2d0:1,mixed3a:4">x</a></p>'
        '<details><summary><h2 id="q">x</h2></summary></details>'
        '<p id="n"><svg role="img" aria-labelledby="t"><title id="t">x</title></svg></p>'
        '<script type="application/ld+json">{}</script>'
    )
    edit(site / PAGE, BODY, html + BODY)
    assert found(site) == set()


BROKEN_HEADS = [
    ('<html lang="en"', "<html", {"<html> has no lang"}),
    ('<meta charset="utf-8">', "", {"does not say that it is UTF-8 (<meta charset>)"}),
    ('<meta name="viewport"', '<meta name="port"',
     {"has no <meta name=viewport>, so phones shrink it"}),
    ("default-src 'none'", "default-src 'self'", {"the policy's default-src has to be 'none'"}),
    ("script-src ", "script-src 'unsafe-inline' ",
     {"the policy's script-src allows 'unsafe-inline'"}),
    ("script-src ", "script-src https://cdn.example ",
     {"the policy's script-src allows https://cdn.example, another origin"}),
    ("<meta http-equiv", '<link rel="icon" href="../static/icon.svg"><meta http-equiv',
     {"the policy stands after <link href='../static/icon.svg'>, which it cannot govern"}),
    ('http-equiv="Content-Security-Policy"', 'name="policy"', {"has no Content-Security-Policy"}),
    ("</head>", '<link rel="canonical" href="https://example.org/x.html"></head>',
     {"<link href='https://example.org/x.html'> 'https://example.org/x.html' is not below the "
      "site’s address"}),
    ("</head>", '<link rel="stylesheet" href="https://example.org/x.css"></head>',
     {"<link href='https://example.org/x.css'> loads 'https://example.org/x.css', which is not of "
      "this site"}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "wrong"), BROKEN_HEADS)
def test_what_is_wrong_in_a_head(site, old, new, wrong):
    edit(site / PAGE, old, new)
    assert found(site) == {f"{PAGE}: {text}" for text in wrong}


def test_a_page_with_an_empty_title(site):
    text = (site / PAGE).read_text("utf-8")
    (site / PAGE).write_text(re.sub("<title>.*?</title>", "<title> </title>", text), "utf-8")
    assert found(site) == {f"{PAGE}: has no title"}


@pytest.mark.parametrize(
    ("html", "wrong"),
    [
        ("<p>a</p></p>", "Unexpected end tag (p). Ignored."),
        ("<p>&nosuch;</p>", "Named entity expected. Got none."),
        ("<div/></div>", "Trailing solidus not allowed on element div"),
        ('<p class="a" class="b">a</p>', "Dropped duplicate attribute on tag."),
    ],
)
def test_parse_errors_come_with_their_lines(site, html, wrong):
    text = (site / PAGE).read_text("utf-8")
    number = text[: text.index(BODY)].count("\n") + 1
    edit(site / PAGE, BODY, html + BODY)
    assert found(site) == {f"{PAGE}: line {number}: {wrong}"}


def test_a_page_without_doctype(site):
    edit(site / PAGE, "<!doctype html>", "")
    assert len(found(site)) == 1
    assert "Expected DOCTYPE" in found(site).pop()


def test_pictures_that_cannot_be_opened(site):
    renders = site / "media" / "renders" / "conv2d0"
    (renders / "0.avif").write_bytes(b"GIF89a is not enough")
    (renders / "1.avif").write_bytes((renders / "1.avif").read_bytes()[:40])
    first, second = sorted(found(site))
    assert first == "media/renders/conv2d0/0.avif: is no image that a browser shows"
    assert second.startswith("media/renders/conv2d0/1.avif: ")


def test_a_thorough_check_sees_damage_behind_the_header(site):
    path = site / "media" / "renders" / "conv2d0" / "0.avif"
    path.write_bytes(path.read_bytes()[:-10])
    assert found(site) == set()
    assert found(site, thorough=True) == {
        "media/renders/conv2d0/0.avif: cannot be opened: Failed to decode frame 0: Truncated data"
    }


def test_an_image_of_another_size_than_its_tiles(site):
    path = site / "media" / "renders" / "conv2d0" / "0.avif"
    Image.new("RGB", (336 - 48, 48)).save(path)
    lines = found(site)
    assert (
        "conv2d0/0.html: shows media/renders/conv2d0/0.avif as 7 square tiles in a row; "
        "it is 288 × 48" in lines
    )
    assert (
        "manifest.json: conv2d0:0 negative: tile [288, 0, 48, 48] is not inside "
        "media/renders/conv2d0/0.avif, 288 × 48" in lines
    )


@pytest.mark.parametrize("bomb", [(60_000, 60_000), (30_000, 4_000)])
def test_an_image_that_would_fill_the_memory_is_not_decoded(site, bomb):
    path = site / "media" / "renders" / "conv2d0" / "0.avif"
    Image.new("1", (8, 8)).save(path, "PNG")
    data = bytearray(path.read_bytes())
    data[16:24] = b"".join(side.to_bytes(4, "big") for side in bomb)
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    (line,) = found(site, thorough=True)
    assert line.startswith("media/renders/conv2d0/0.avif: cannot be opened: Image size")


def channels(manifest):
    return manifest["channels"]


BROKEN_MANIFESTS = [
    (lambda m: m.update(format=2), "format: Input should be 1"),
    (lambda m: m.pop("layers"), "layers: Field required"),
    (lambda m: m.update(generator="other 1"),
     "generator: String should match pattern '^channel-atlas '"),
    (lambda m: channels(m)[0].update(page="conv2d0/9.html"),
     "conv2d0:0: 'conv2d0/9.html' is no file of the site"),
    (lambda m: channels(m)[0]["renders"][0].update(sheet="../../etc/passwd"),
     "conv2d0:0 neuron: '../../etc/passwd' is no file of the site"),
    (lambda m: channels(m)[0]["renders"][0].update(tile=[-1, 0, 48, 48]),
     "channels.0.renders.0.tile.0: Input should be greater than or equal to 0"),
    (lambda m: channels(m)[0]["renders"][0].update(tile=[300, 0, 48, 48]),
     "conv2d0:0 neuron: tile [300, 0, 48, 48] is not inside media/renders/conv2d0/0.avif, "
     "336 × 48"),
    (lambda m: channels(m)[0]["thumbnail"].update(tile=[0, 100, 128, 128]),
     "conv2d0:0 thumbnail: tile [0, 100, 128, 128] is not inside media/layers/conv2d0-00.avif, "
     "256 × 128"),
    (lambda m: channels(m)[0]["renders"][1].update(kind="neuron"),
     "conv2d0:0: neuron render 0 is there 2 times"),
    (lambda m: channels(m).append(channels(m)[0]), "conv2d0:0 is there 2 times"),
    (lambda m: channels(m)[1].update(index=8), "conv2d0:8: the layer has only 8 channels"),
    (lambda m: channels(m)[2].update(branch="pool"), "mixed3a:0 is not of branch 'pool'"),
    (lambda m: channels(m)[4].update(layer="mixed9z"), "mixed9z:4 is of a layer that is not there"),
    (lambda m: m["layers"].append(m["layers"][0]), "layer conv2d0 is there 2 times"),
    (lambda m: m["layers"][1]["branches"].pop(),
     "the branches of layer mixed3a do not make up its 12 channels"),
    (lambda m: channels(m)[0]["examples"].pop(3),
     "conv2d0:0: the ranks of its positive examples are not 0, 1, 2 …"),
    (lambda m: channels(m)[0]["examples"][3].update(activation=9000.0),
     "conv2d0:0: its positive examples are not in order of activation"),
    (lambda m: m["classes"][0]["channels"][0].update(index=5),
     "class 'Afghan hound' names conv2d0:5, not in this atlas"),
    (lambda m: m["classes"][0].update(page="classes/none.html"),
     "class 'Afghan hound': 'classes/none.html' is no file of the site"),
    (lambda m: m["files"].append("data/none.js"), "files: 'data/none.js' is no file of the site"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "wrong"), BROKEN_MANIFESTS)
def test_what_is_wrong_in_a_manifest(site, change, wrong):
    edit_manifest(site, change)
    lines = {line for line in found(site) if "warning: is not in the manifest" not in line}
    assert f"manifest.json: {wrong}" in lines
    assert all(line.startswith(("manifest.json: ", "conv2d0/", "mixed3a/")) for line in lines)


@pytest.mark.parametrize("text", ["", "[", "[]", "\x00", '"x"', "[" * 200_000, "{}" * 9])
def test_a_manifest_that_is_none(site, text):
    (site / "manifest.json").write_text(text)
    assert any(line.startswith("manifest.json: ") for line in found(site))


def test_a_file_the_manifest_does_not_know(site):
    (site / "old.html").write_bytes((site / "index.html").read_bytes())
    (site / ".nojekyll").touch()
    assert found(site) == {"old.html: warning: is not in the manifest"}


@pytest.fixture
def split(tmp_path, monkeypatch):
    """A site whose manifest is in parts, one of them, and its content."""
    monkeypatch.setattr("atlas.site.manifest.LIMIT", 1000)
    site = make(tmp_path / "split")
    name = json.loads((site / "manifest.json").read_text())["channels"][0]["examples_in"]
    return site, name, json.loads(gzip.decompress((site / name).read_bytes()))


def test_a_split_manifest_is_read_with_its_parts(split):
    site, name, part = split
    assert found(site) == set()
    part["channels"][0]["examples"][0]["tile"] = [90_000, 0, 112, 112]
    del part["channels"][1]
    (site / name).write_bytes(gzip.compress(json.dumps(part).encode()))
    first, second = sorted(found(site))
    assert first.startswith(
        "manifest.json: conv2d0:0 positive example 0: tile [90000, 0, 112, 112] is not inside "
    )
    assert second == f"manifest.json: {name} has other channels than those that name it"


def test_a_part_that_is_not_there_or_none(split):
    site, name, part = split
    path, packed = site / name, (site / name).read_bytes()
    path.write_bytes(packed[:-30])
    no_part = f"manifest.json: {name} is no whole file of at most 134,217,728 bytes"
    assert found(site) == {no_part}
    path.write_bytes(gzip.compress(bytes(140_000_000)))
    assert found(site) == {no_part}
    path.write_bytes(gzip.compress(json.dumps(part | {"format": 3}).encode()))
    assert found(site) == {"manifest.json: format: Input should be 1"}
    path.unlink()
    assert f"manifest.json: conv2d0:0: '{name}' is no file of the site" in found(site)


def test_budgets_of_a_channel(site):
    edit(site / PAGE, "</body>", "<!-- " + "x" * 30_000 + " --></body>")
    (line,) = found(site)
    size = (site / PAGE).stat().st_size
    assert line == f"{PAGE}: {size:,} bytes of HTML; the budget is 30,000"
    path = site / "media" / "renders" / "conv2d0" / "0.avif"
    path.write_bytes(path.read_bytes() + bytes(330_000))
    (line,) = found(site) - {line}
    assert re.fullmatch(
        rf"{PAGE}: [34]\d,\d\d\d bytes with its images, styles and scripts; "
        "the budget is 350,000",
        line,
    )


def test_budgets_of_a_layer(site):
    page = site / "conv2d0" / "index.html"
    edit(page, BODY, "<p>" + "<b>x</b>" * 800 + "</p>" + "<!-- " + "x" * 150_000 + " -->" + BODY)
    path = site / "media" / "layers" / "conv2d0-00.avif"
    path.write_bytes(path.read_bytes() + bytes(1_000_000))
    amounts = {line.partition(": ")[2] for line in found(site)}
    units = {re.sub("^[0-9,]+ ", "", text) for text in amounts if text.count("budget")}
    assert units == {
        "bytes of HTML; the budget is 150,000",
        "bytes of images in the first view; the budget is 1,000,000",
        "elements; the budget is 800",
    }


def test_budgets_of_styles_and_scripts(site):
    (site / "static" / "css" / "atlas.css").write_text("/* " + "x" * 20_000 + " */")
    edit(site / "static" / "js" / "atlas.js", "", "/* " + "x" * 30_000 + " */")
    budgets = {line for line in found(site) if "budget" in line and line.startswith("static")}
    assert {re.sub(r"\d+,\d+ bytes", "N bytes", line) for line in budgets} == {
        "static: N bytes in all *.css files; the budget is 20,000",
        "static: N bytes in all *.js files; the budget is 30,000",
    }


def test_a_stylesheet_that_loads_what_is_not_there(site):
    css = site / "static" / "css" / "tools.css"
    css.write_text(
        "/* url(comment.png) */ a { background: url(none.png) } @import 'https://evil.example/x';"
        "b { background: url('data:image/png;base64,x') } i { background: url( \"../icon.svg\" ) }"
    )
    assert found(site) == {
        "static/css/tools.css: links to 'none.png', which does not exist",
        "static/css/tools.css: loads 'https://evil.example/x', which is not of this site",
    }


def test_addresses_of_the_site_itself(published, tmp_path):
    site = Path(shutil.copytree(published, tmp_path / "site"))
    edit(site / "sitemap.xml", "conv2d0/0.html", "conv2d0/9.html")
    edit(site / "conv2d0" / "1.html", 'href="https://example.org/atlas/conv2d0/1.html"',
         'href="https://example.org/atlas/index.html"')  # fmt: skip
    shutil.rmtree(site / "media" / "layers")
    wrong = {line for line in found(site) if "media/layers" not in line}
    assert wrong == {
        "sitemap.xml: links to 'https://example.org/atlas/conv2d0/9.html', which does not exist",
        "conv2d0/1.html: <link href='https://example.org/atlas/index.html'> "
        "'https://example.org/atlas/index.html' is the address of another page",
    }
    url = "https://cdn.example.org/a/media/layers/conv2d0-00.avif"
    assert f"index.html: links to {url!r}, which does not exist" in found(site)


def test_media_from_another_place_than_said(published):
    wrong = found(published, media="https://other.example/")
    url = "https://cdn.example.org/a/media/layers/conv2d0-00.avif"
    assert f"index.html: <img class='s n2 i0'> loads {url!r}, which is not of this site" in wrong
    assert (
        "index.html: the policy's img-src allows https://cdn.example.org, another origin" in wrong
    )


# Hostile folders


def test_links_out_of_the_site_are_not_followed(site, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "page.html").write_text("<p>secret")
    (site / "out.html").symlink_to(secret / "page.html")
    (site / "folder").symlink_to(secret)
    (site / "circle").symlink_to(site)
    os.mkfifo(site / "pipe.html")
    edit(site / PAGE, BODY, '<p><a href="../out.html">x</a></p>' + BODY)
    assert found(site) == {
        "out.html: is a symbolic link; put the file itself here",
        "folder: is a symbolic link; put the file itself here",
        "circle: is a symbolic link; put the file itself here",
        "pipe.html: is neither a file nor a folder",
    }


def test_a_file_that_becomes_a_link_after_the_walk_is_not_read(tmp_path):
    (tmp_path / "secret").write_text("secret")
    folder = Folder(tmp_path, {"page.html": 6}, frozenset(), frozenset())
    (tmp_path / "page.html").symlink_to(tmp_path / "secret")
    (problem,) = read_page("page.html", Context(folder, {})).problems
    assert problem.rule == "unreadable"


def test_pages_that_are_no_pages(site):
    with (site / "conv2d0" / "0.html").open("wb") as file:
        file.truncate(50_000_000)
    (site / "conv2d0" / "1.html").write_bytes(b"<!doctype html>\xff")
    lines = {line for line in found(site) if "no such id" not in line}
    assert "conv2d0/0.html: 50,000,000 bytes of HTML; above 2,000,000 nothing is checked" in lines
    assert "conv2d0/1.html: is not UTF-8 (byte 15)" in lines


def test_a_page_that_would_take_for_ever_is_given_up(site, monkeypatch):
    monkeypatch.setattr("atlas.site.check.page.PATIENCE", 0.5)
    attributes = " ".join(f"a{i}" for i in range(200_000))
    (site / "conv2d0" / "1.html").write_text(f"<!doctype html><p {attributes}>", "utf-8")
    assert "conv2d0/1.html: takes more than 0 s to parse; not checked" in found(site)


@pytest.mark.parametrize("name", ["bad\nname.html", "\x1b[31mred.html", "b\udcffd.html"])
def test_names_that_a_terminal_would_obey_are_shown_as_text(site, name):
    (site / name).write_bytes((site / "404.html").read_bytes())
    for line in found(site):
        assert line.isprintable()
        line.encode()


def test_names_that_not_every_disk_can_hold(site):
    page = (site / "404.html").read_bytes()
    for name in ("a:b.html", "Index.html", ".atlas-x.tmp"):
        (site / name).write_bytes(page)
    warnings = {line for line in found(site) if "manifest" not in line}
    assert warnings == {
        "a:b.html: warning: has characters that not every disk and host can hold",
        "index.html: warning: differs from Index.html in upper and lower case only",
        ".atlas-x.tmp: warning: was left by a build that was cut short; delete it",
    }


def test_what_is_no_atlas_is_refused(tmp_path):
    with pytest.raises(AtlasError, match="is no folder"):
        check_site(tmp_path / "none")
    with pytest.raises(AtlasError, match=r"is no atlas: it has no manifest\.json"):
        check_site(tmp_path)


# Hosts


def folder_of(**files: int) -> Folder:
    return Folder(Path(), files, frozenset({"a", "b"}), frozenset())


def test_the_command_line_offers_every_host():
    assert set(NAMED_HOSTS) == set(HOSTS)


@pytest.mark.parametrize(
    ("host", "files", "wrong"),
    [
        ("github", {"a": 90 * 2**20}, []),
        ("github", {"a": 101 * 2**20},
         ["a: 105,906,176 bytes; GitHub Pages takes no more than 104,857,600"]),
        ("github", {str(i): 10**7 for i in range(91)},
         [".: warning: 910,000,000 bytes; GitHub Pages is close to its limit of 1,000,000,000"]),
        ("github", {str(i): 10**7 for i in range(101)},
         [".: 1,010,000,000 bytes; GitHub Pages takes no more than 1,000,000,000"]),
        ("github", {"_x/a.html": 1, "b_.html": 1},
         ["_x/a.html: GitHub Pages leaves out names that begin with _ unless the site has an empty "
          "file named .nojekyll"]),
        ("github", {"_x/a.html": 1, ".nojekyll": 0}, []),
        ("cloudflare", {str(i): 1 for i in range(18_000)}, []),
        ("cloudflare", {str(i): 1 for i in range(20_001)},
         [".: 20,001 files; Cloudflare Pages (free plan) takes no more than 20,000"]),
        ("cloudflare", {"a": 26_214_400, "_headers": 1},
         ["_headers: Cloudflare Pages (free plan) reads it as settings and does not serve it",
          "a: warning: 26,214,400 bytes; Cloudflare Pages (free plan) is close to its limit of "
          "26,214,400"]),
        ("netlify", {f"a/{i}": 1 for i in range(54_001)} | {"b/c#d": 1},
         ["a: 54,001 files; Netlify takes no more than 54,000",
          "b/c#d: Netlify takes no # in a name"]),
        ("gitlab", {str(i): 1 for i in range(199_999)},
         [".: 200,001 files and folders; GitLab Pages takes no more than 200,000"]),
    ],
)  # fmt: skip
def test_what_a_host_takes(host, files, wrong):
    assert lines(check_host(folder_of(**files), host), 10) == wrong


def test_a_good_site_fits_every_host(good, monkeypatch):
    for host in HOSTS:
        assert found(good, host=host) == set()
    small = {"github": replace(HOSTS["github"], bytes=1000)}
    monkeypatch.setattr(host_module, "HOSTS", small)
    (line,) = found(good, host="github")
    assert line.endswith("GitHub Pages takes no more than 1,000")


# The parts


def test_problems_are_grouped_and_counted():
    problems = [Problem(f"{i}.html", "link", "x") for i in range(812)]
    problems.insert(3, Problem("a.html", "id", "y", warning=True))
    assert lines(problems, 2) == [
        "0.html: x", "1.html: x", "and 810 more of the kind “link”", "a.html: warning: y",
    ]  # fmt: skip


def test_of_one_file_the_same_is_said_once_and_much_is_counted():
    findings = Findings("a.html")
    for i in [1, 1, 2, 3, 4, 5, 6, 7]:
        findings.add("link", f"x{i}")
    assert [problem.text for problem in findings] == [
        "x1", "x2", "x3", "x4", "x5; 2 more like it here",
    ]  # fmt: skip


def test_addresses_below_a_base_are_files_of_the_site():
    assert resolve("a/b.html", "https://x.org/m/c.png", "https://x.org/m/").path == "c.png"
    assert resolve("a/b.html", "https://x.org/c.png", "https://x.org/m/").elsewhere
    out = resolve("a/b.html", "https://x.org/m/../../c.png", "https://x.org/m/")
    assert "leads out of the site" in out.wrong
    assert resolve("a/b.html", " c.html\n").path == "a/c.html"
    folder = folder_of(**{"a/C.html": 1})
    assert missing(resolve("a/b.html", "c.html"), "c.html", folder) == (
        "links to 'c.html', but the file is called a/C.html"
    )


def test_addresses_in_stylesheets_and_srcsets():
    css = "@import url(a.css); @import 'b.css'; x { y: url('c d.png') URL( e.png ) } /* url(f) */"
    assert sorted(of_stylesheet(css)) == ["a.css", "b.css", "c d.png", "e.png"]
    assert list(of_srcset("a.png 1x, b.png 200w")) == ["a.png", "b.png"]


# The command


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "atlas", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_the_command_says_what_it_did_and_ends_with_a_code(site, tmp_path):
    fine = run("check", cwd=tmp_path)  # ./site is what is checked when nothing is said
    assert (fine.returncode, fine.stderr) == (0, "")
    pages = len(list(site.rglob("*.html")))
    assert fine.stdout.startswith("0 problems, 0 warnings; checked ")
    assert f" {pages} pages parsed, " in fine.stdout
    assert run("check", site, "-q", cwd=tmp_path).stdout == ""
    (site / "old.html").write_bytes((site / "404.html").read_bytes())
    assert run("check", site, cwd=tmp_path).returncode == 0
    strict = run("check", site, "--strict", "-q", cwd=tmp_path)
    assert (strict.returncode, strict.stdout) == (
        1, "old.html: warning: is not in the manifest\n",
    )  # fmt: skip
    edit(site / PAGE, 'alt="', 'data-alt="')
    assert run("check", site, cwd=tmp_path).returncode == 1


def test_the_command_refuses_what_is_no_atlas_in_one_line(tmp_path):
    wrong = run("check", "none", cwd=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr == "atlas: none is no folder; give the folder of a site, such as site\n"
    assert run("check", ".", "--host", "geocities", cwd=tmp_path).returncode == 2
