"""Images, stylesheets, budgets and addresses: what takes more than one file to tell."""

from __future__ import annotations

import re
import shutil
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.site.check.sites import BODY, PAGE, edit, found


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


def test_budgets_of_a_channel(site):
    edit(site / PAGE, "</body>", "<!-- " + "x" * 30_000 + " --></body>")
    (line,) = found(site)
    size = (site / PAGE).stat().st_size
    assert line == f"{PAGE}: {size:,} bytes of HTML; the budget is 30,000"
    path = site / "media" / "renders" / "conv2d0" / "0.avif"
    path.write_bytes(path.read_bytes() + bytes(330_000))
    (line,) = found(site) - {line}
    assert re.fullmatch(
        rf"{PAGE}: [34]\d\d,\d\d\d bytes with its images, styles and scripts; "
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
