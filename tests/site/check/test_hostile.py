"""Folders that were made to lead a check astray."""

from __future__ import annotations

import os

import pytest

from atlas.errors import AtlasError
from atlas.site.check import check_site
from atlas.site.check.folder import Folder
from atlas.site.check.page import Context, read_page
from tests.site.check.sites import BODY, PAGE, edit, found


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
