"""What can be wrong on a page: each gives its line, and no other."""

from __future__ import annotations

import re

import pytest

from tests.site.check.sites import BODY, PAGE, edit, found

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
