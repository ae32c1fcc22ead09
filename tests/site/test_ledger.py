"""What a build may leave alone, file by file and as a whole."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from building import MIXED, QUICK, build, changed, small
from fake import TOY_LAYERS, FakeIndex, FakeMedia, catalogue, channel, renders, snapshot

from atlas.site.ledger import Ledger, fingerprint
from atlas.site.templates import Templates


@pytest.fixture
def index():
    return FakeIndex()


@pytest.fixture
def left(tmp_path, index):
    """A folder with two files of one key and one of another, as a build of "all" left them."""
    ledger = Ledger(tmp_path, index)
    for name, key in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name).write_text(name)
        ledger.enter(name, key)
    ledger.save("all")
    return tmp_path


def test_what_was_left_is_fresh_for_its_own_key_only(left, index):
    ledger = Ledger(left, index)
    assert ledger.fresh("a", "one")
    assert not ledger.fresh("a", "two")
    assert not ledger.fresh("d", "one")
    assert ledger.left == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("touch", ["time", "size", "gone"])
def test_a_file_that_was_touched_is_not_fresh(left, index, touch):
    path = left / "a"
    stat = path.stat()
    if touch == "gone":
        path.unlink()
    else:
        path.write_text("a" if touch == "time" else "aa")
        later = stat.st_mtime_ns + (touch == "time")
        os.utime(path, ns=(later, later))
    ledger = Ledger(left, index)
    assert not ledger.fresh("a", "one")
    assert not ledger.complete("all")
    assert ledger.fresh_group("one") == []
    assert ledger.fresh("c", "two")


def test_a_group_is_fresh_if_all_of_it_is(left, index):
    ledger = Ledger(left, index)
    assert ledger.fresh_group("one") == ["a", "b"]
    assert ledger.fresh_group("three") == []


def test_it_is_complete_only_for_the_build_it_is_of(left, index):
    assert Ledger(left, index).complete("all")
    assert not Ledger(left, index).complete("other")
    assert not Ledger(left, FakeIndex()).complete("")


def test_what_was_announced_is_left_though_nothing_was_saved(left, index):
    Ledger(left, index).announce(["c", "d"])
    ledger = Ledger(left, index)
    assert ledger.left == {"a": 1, "b": 1, "c": 1, "d": 0}
    assert ledger.fresh("c", "two")
    assert not ledger.fresh("d", "")
    assert not ledger.complete("all")


def test_announcing_what_is_there_costs_nothing(left, index):
    before = dict(index.known)
    Ledger(left, index).announce(["a", "c"])
    assert index.known == before


def test_only_what_was_fresh_or_entered_is_kept(left, index):
    ledger = Ledger(left, index)
    ledger.fresh("c", "two")
    ledger.save("less")
    again = Ledger(left, index)
    assert list(again.left) == ["c"]
    assert again.complete("less")


def test_a_folder_has_a_ledger_of_its_own_however_it_is_named(left, index, monkeypatch):
    assert Ledger(left / "elsewhere", index).left == {}
    monkeypatch.chdir(left.parent)
    assert Ledger(Path(left.name), index).complete("all")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"whole": 1}', '{"whole": "", "files": 3}'])
def test_a_ledger_that_cannot_be_read_is_none(left, index, text):
    (name,) = index.known
    index.put(name, text)
    ledger = Ledger(left, index)
    assert ledger.left == {}
    assert not ledger.complete("all")


def test_fingerprints_tell_records_apart():
    one = channel(MIXED, 0)
    same = channel(MIXED, 0)
    other = replace(one, stats={**one.stats, "max": 618.0})
    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one, "a") != fingerprint((one, "a"))
    text = "of two characters or more"
    assert fingerprint(text, text) == fingerprint(text, "".join(list(text)))


@pytest.fixture
def filled(monkeypatch):
    """The pages for which a template has been filled since."""
    pages = []
    fill = Templates.fill

    def counted(self, name, **values):
        if not name.startswith("_"):  # not a page of its own
            pages.append(values["page"])
        return fill(self, name, **values)

    monkeypatch.setattr(Templates, "fill", counted)
    return pages


def test_the_same_again_reads_no_master_and_fills_no_template(tmp_path, index, filled):
    first = build(tmp_path, index=index)
    assert len(filled) == first.pages_written
    filled.clear()
    media = FakeMedia()
    again = build(tmp_path, index=index, media=media)
    assert not media.asked
    assert filled == []
    assert (again.pages_written, again.pages_unchanged) == (0, first.pages_written)
    assert (again.sheets_encoded, again.sheets_reused) == (0, first.sheets_encoded)
    assert (again.files, again.bytes) == (first.files, first.bytes)


@pytest.mark.parametrize(
    "name",
    ["mixed3a/0.html", "index.html", "media/renders/mixed3a/0.jpg", "data/search.js",
     "tables/channels.csv", "manifest.json", "static/css/atlas.css"],
)  # fmt: skip
def test_a_lost_or_spoilt_file_alone_is_made_again(tmp_path, index, name):
    build(tmp_path, small(), index=index)
    before = snapshot(tmp_path)
    (tmp_path / name).write_bytes(b"spoilt")
    build(tmp_path, small(), index=index)
    assert changed(before, tmp_path) == {name}
    assert (tmp_path / name).read_bytes() == before[name][1]
    (tmp_path / name).unlink()
    before.pop(name)
    build(tmp_path, small(), index=index)
    assert changed(before, tmp_path) == {name}


AGAIN = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from building import build, small
from fake import FakeIndex
from atlas.site import SiteOptions
folder = Path(sys.argv[2])
kept = folder / "index.json"
index = FakeIndex(json.loads(kept.read_text()) if kept.exists() else {})
options = SiteOptions(format="jpeg", content=folder / "content")
print(json.dumps(build(folder / "site", small(), options, index).sheet_seconds))
kept.write_text(json.dumps(index.known))
"""


def test_another_process_sees_at_once_that_all_is_as_it_has_to_be(tmp_path):
    """Sets, such as that of a note's links, come in another order there."""
    content = tmp_path / "content"
    content.mkdir()
    for name in "abcdefgh":
        (content / f"{name}.md").write_text("[a](a.md) [b](b.md) [c](c.md) [d](d.md) [e](e.md)")
    seconds = []
    for seed in ("1", "2"):
        command = [sys.executable, "-c", AGAIN, Path(__file__).parent, tmp_path]
        run = subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        seconds.append(json.loads(run.stdout))
    assert seconds[0] > 0
    assert seconds[1] == 0  # not even the sheets were gone through


def test_without_the_ledger_nothing_is_written_again(tmp_path):
    build(tmp_path, small())
    before = snapshot(tmp_path)
    report = build(tmp_path, small())
    assert changed(before, tmp_path) == set()
    assert report.pages_unchanged > 0


def test_one_note_edited_rewrites_its_page_and_the_words_of_search(tmp_path, index, filled):
    content = tmp_path / "content"
    content.mkdir()
    note = content / "colophon.md"
    note.write_text("---\ntitle: Colophon\n---\nHello.")
    options = replace(QUICK, content=content)
    out = tmp_path / "site"
    build(out, options=options, index=index)
    before = snapshot(out)
    filled.clear()
    note.write_text("---\ntitle: Colophon\n---\nGoodbye.")
    build(out, options=options, index=index)
    assert changed(before, out) == {"colophon.html", "data/search.js"}
    assert "mixed3a/0.html" not in filled


def test_the_title_of_a_note_is_on_every_page(tmp_path, index):
    content = tmp_path / "content"
    content.mkdir()
    options = replace(QUICK, content=content)
    out = tmp_path / "site"
    pages = {}
    for title in ("Colophon", "Impressum"):
        (content / "colophon.md").write_text(f"---\ntitle: {title}\n---\nHello.")
        build(out, small(), options, index)
        pages[title] = (out / "mixed3a" / "1.html").read_text("utf-8")
    assert "Impressum" in pages["Impressum"]
    assert pages["Impressum"].replace("Impressum", "Colophon") == pages["Colophon"]


DATA = {
    "manifest.json", "tables/channels.csv", "tables/channels.parquet", "data/layers/mixed3a.js",
    "data/pictures/mixed3a.js",
}  # fmt: skip


def test_one_channel_changed_rewrites_its_own_page(tmp_path, index, filled):
    build(tmp_path, index=index)
    before = snapshot(tmp_path)
    filled.clear()
    atlas = catalogue()
    channels = [
        replace(one, stats={**one.stats, "max": 700.0}) if one.name == "mixed3a:5" else one
        for one in atlas.channels
    ]
    build(tmp_path, replace(atlas, channels=channels), index=index)
    assert changed(before, tmp_path) == {"mixed3a/5.html", *DATA}
    assert [path for path in filled if path.startswith("mixed3a/")] == [
        "mixed3a/index.html", "mixed3a/5.html",
    ]  # fmt: skip


def test_another_picture_makes_the_strips_again_that_show_it(tmp_path, index):
    atlas = catalogue()
    build(tmp_path, atlas, index=index)
    before = snapshot(tmp_path)
    channels = [
        replace(one, renders=renders("another")) if one.name == "mixed3a:5" else one
        for one in atlas.channels
    ]
    build(tmp_path, replace(atlas, channels=channels), index=index)
    found = changed(before, tmp_path)
    like_it = {
        f"media/examples/{one.layer}/{one.index}.jpg"
        for one in atlas.channels
        if "mixed3a:5" in {other.name for other in one.similar}
    }
    assert len(like_it) == 3
    assert {path for path in found if path.startswith("media/")} == like_it | {
        "media/renders/mixed3a/5.jpg", "media/layers/mixed3a-00.jpg",
    }  # fmt: skip
    assert {path for path in found if path.endswith(".html")} == {"mixed3a/5.html"}


def test_a_channel_that_goes_rewrites_its_neighbours_and_its_layer(tmp_path, index):
    names = ("mixed3a:0", "mixed3a:3", "mixed3a:5", "mixed3a:8")
    whole = catalogue(channels=[channel(MIXED, int(name[8:])) for name in names])
    plain = [replace(one, similar=(), whole=None) for one in whole.channels]
    build(tmp_path, replace(whole, channels=plain, labels=()), index=index)
    before = snapshot(tmp_path)
    build(tmp_path, replace(whole, channels=plain[:3], labels=()), index=index)
    pages = {path for path in changed(before, tmp_path) if path.startswith("mixed3a/")}
    assert pages == {"mixed3a/5.html", "mixed3a/8.html", "mixed3a/index.html"}
    assert not (tmp_path / "mixed3a" / "8.html").exists()


def test_a_branch_or_layer_that_changes_is_on_all_its_pages(tmp_path, index):
    build(tmp_path, index=index)
    before = snapshot(tmp_path)
    first, *rest = TOY_LAYERS
    atlas = catalogue((replace(first, branches=(replace(first.branches[0], stop=9),)), *rest))
    build(tmp_path, replace(atlas, channels=catalogue().channels), index=index)
    found = changed(before, tmp_path)
    assert {f"conv2d0/{i}.html" for i in range(8)} <= found
