"""A whole site: the same bytes every time, nothing left of what is gone, and errors in words."""

import json
import os
from dataclasses import replace

import pytest
from building import MIXED, QUICK, build, changed, page_of, plain_bytes, small
from fake import (
    LABELS,
    TOY_LAYERS,
    FakeIndex,
    FakeMedia,
    catalogue,
    channel,
    noise,
    snapshot,
    whole,
)

from atlas.errors import ConfigError, OutputError
from atlas.site import build_site
from atlas.site.files import prune, write_if_changed
from atlas.units import Branch, Layer


def test_building_twice_changes_nothing(tmp_path):
    index = FakeIndex()
    build(tmp_path, small(), index=index)
    before = snapshot(tmp_path)
    report = build(tmp_path, small(), index=index)
    assert snapshot(tmp_path) == before
    assert (report.pages_written, report.sheets_encoded, report.removed) == (0, 0, 0)
    assert report.files == len(before)
    assert report.bytes == sum(len(data) for _, data in before.values())


def test_two_folders_get_the_same_bytes(tmp_path):
    for name in "ab":
        build(tmp_path / name, small(), replace(QUICK, format="avif", url="https://a.example"))
    one, two = ({p: d for p, (_, d) in snapshot(tmp_path / n).items()} for n in "ab")
    assert one == two


def test_progress_counts_every_sheet_and_page(tmp_path):
    told = []
    build_site(
        small(), FakeMedia(), tmp_path, FakeIndex(), QUICK, lambda *facts: told.append(facts)
    )
    for stage, pattern in (("sheets", "media/**/*.jpg"), ("pages", "**/*.html")):
        amount = len(list(tmp_path.glob(pattern)))
        found = [facts for facts in told if facts[0] == stage]
        assert found == [(stage, i, amount) for i in range(1, amount + 1)]


BARE = {"whole": None, "similar": ()}


def several():
    """An atlas of three layers, a few channels of each."""
    conv, mixed3a, mixed4c, _ = TOY_LAYERS
    few = [(conv, 0), (conv, 1), (mixed3a, 1), (mixed3a, 5), (mixed4c, 0), (mixed4c, 40)]
    return catalogue(channels=[channel(layer, index) for layer, index in few])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((small(), QUICK), (small(), replace(QUICK, format="webp"))),
        ((small(**BARE), QUICK), (small(**BARE), replace(QUICK, format="webp"))),
        ((small(), QUICK), (small(), replace(QUICK, quality=90, photograph_quality=90))),
        ((small(), QUICK), (small(), replace(QUICK, url="https://a.example/b"))),
        ((small(), replace(QUICK, url="https://a.example/b")), (small(), QUICK)),
        ((small(), QUICK), (small(), replace(QUICK, media="https://media.example"))),
        ((small(), QUICK), (small(), replace(QUICK, publish_examples=False))),
        ((small(), replace(QUICK, publish_examples=False)), (small(), QUICK)),
        ((several(), QUICK), (small(), QUICK)),
        ((small(), QUICK), (replace(several(), dataset=None), QUICK)),
        ((small(), QUICK), (replace(small(), recipe={"steps": 7}, title="Another"), QUICK)),
        ((small(), QUICK), (replace(small(), labels=small().labels[1:]), QUICK)),
    ],
)
def test_a_build_over_another_is_what_it_is_in_an_empty_folder(tmp_path, before, after):
    index = FakeIndex()
    for atlas, options in (before, after):
        build(tmp_path / "used", atlas, options, index)
    build(tmp_path / "new", *after)
    used, new = ({p: d for p, (_, d) in snapshot(tmp_path / n).items()} for n in ("used", "new"))
    assert used == new


def test_what_left_the_catalogue_goes_and_nothing_else(tmp_path):
    build(tmp_path, several())
    mine = [
        *("mixed4c/notes.txt", "media/own.jpg", "index2.html", "classes/own.html", "robots.txt"),
        *("media/renders/mixed3a/0.png", "data/own.js", "tables/own.csv", "manifest/own.json.gz"),
    ]
    for path in mine:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("mine")
    new = tmp_path.parent / "new"
    build(new, small())
    build(tmp_path, small())
    assert set(snapshot(tmp_path)) == {*snapshot(new), *mine}
    assert all((tmp_path / path).read_text() == "mine" for path in mine)


def test_every_kind_of_file_that_is_no_longer_made_goes(tmp_path, monkeypatch):
    """Pages of a layer, articles, classes, parts of the manifest, cards, sitemap, strips."""
    wide = Layer("wide", (Branch("all", 0, 200),))
    plain = channel(wide, 0, examples=(), spectrum=(), whole=None, classes=(), histogram=None)
    channels = [replace(plain, index=i) for i in range(200)] + list(several().channels)
    content = tmp_path / "content"
    content.mkdir()
    (content / "colophon.md").write_text("Hello.")
    rich = replace(QUICK, url="https://a.example", content=content)
    out, index = tmp_path / "site", FakeIndex()
    with monkeypatch.context() as patched:
        patched.setattr("atlas.site.manifest.LIMIT", 1000)
        build(out, catalogue((*TOY_LAYERS, wide), channels), rich, index)
    made = set(snapshot(out))
    going = {
        *("wide/page-2.html", "wide/199.html", "colophon.html", "classes/redbone.html"),
        *("manifest/mixed3a.json.gz", "media/cards/mixed3a.jpg", "sitemap.xml", "robots.txt"),
        *("media/layers/wide-samples.jpg", "media/examples/mixed3a/whole-000.jpg"),
        *("media/examples/mixed3a/5.jpg", "data/layers/wide.js", "tables/classes.parquet"),
    }
    assert going <= made
    bare = replace(small(**BARE, examples=(), spectrum=(), classes=()), labels=())
    report = build(out, bare, QUICK, index)
    left = set(snapshot(out))
    assert report.removed == len(made - left)
    assert going & left == set()
    assert {"mixed3a/0.html", "recipe.html", "tables/channels.csv"} <= left
    assert not (out / "wide").exists()


def test_what_another_store_made_goes_by_the_manifest(tmp_path):
    build(tmp_path, several(), replace(QUICK, url="https://a.example"))
    build(tmp_path, small())
    build(tmp_path.parent / "new", small())
    assert set(snapshot(tmp_path)) == set(snapshot(tmp_path.parent / "new"))


@pytest.mark.parametrize(
    "name",
    [
        *("../o.html", "../classes/o.html", "a/../../1.html", "/o.html", "a/b/1.html", ".o.html"),
        *("media/own.jpg", "static/1.html", "static/css/atlas.css", "media/page-2.html", "a.txt"),
        *("data/o.json", "data/a/b/o.js", "manifest.json", "tables/o.txt", "manifest/o.json"),
        *("media/cards/a/o.jpg", "media/renders/o.jpg", "media/renders/a/o.jpg", "x.xml"),
    ],
)
def test_pruning_never_leaves_our_folders(tmp_path, name):
    out = tmp_path / "site"
    path = out / name.lstrip("/")
    (out / "a" / "b").mkdir(parents=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    assert prune(out, [name], []) == 0
    assert path.read_text() == "mine"


def test_pruning_does_not_follow_links(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.html").write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a").symlink_to(tmp_path / "elsewhere")
    assert prune(tmp_path / "site", ["a/1.html"], []) == 0
    assert (tmp_path / "elsewhere" / "1.html").exists()


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"generator": 1}', '{"generator":"channel-atlas","layers":3}'),
        *('{"generator":"channel-atlas","channels":[],"files":3}', "[" * 100_000),
        '{"generator":"someone else","channels":[],"files":["a/1.html"]}',
    ],
)
def test_a_broken_or_foreign_manifest_is_no_obstacle(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.html").write_text("mine")
    assert build(tmp_path, small()).removed == 0
    assert (tmp_path / "a" / "1.html").exists()


@pytest.mark.parametrize("at", ["crop", "whole", "mixed4c/0.html", "tables/examples.parquet"])
def test_what_a_build_that_was_cut_short_left_goes(tmp_path, monkeypatch, at):
    """Photographs above all, where the next build is one without."""
    index, media = FakeIndex(), FakeMedia()

    def cut(*_):
        raise KeyboardInterrupt

    def cut_at(path, data):
        return cut() if path.as_posix().endswith(at) else write_if_changed(path, data)

    with monkeypatch.context() as patched:
        if at in ("crop", "whole"):
            calls = [True, False, False, False, False]
            patched.setattr(media, at, lambda _: cut() if calls.pop() else noise("0", 224))
        else:
            patched.setattr("atlas.site.write.write_if_changed", cut_at)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "used", several(), index=index, media=media)
    options = replace(QUICK, publish_examples=False)
    build(tmp_path / "used", small(), options, index)
    build(tmp_path / "new", small(), options)
    assert set(snapshot(tmp_path / "used")) == set(snapshot(tmp_path / "new"))


def test_what_changes_a_whole_photograph_makes_its_strip_again(tmp_path):
    index = FakeIndex()
    build(tmp_path, small(), index=index)
    before = snapshot(tmp_path)
    other = replace(whole("mixed3a:1"), map_sha256="0" * 64)
    channels = [channel(MIXED, i, **({"whole": other} if i == 1 else {})) for i in range(3)]
    report = build(tmp_path, catalogue(channels=channels), index=index)
    assert (report.sheets_encoded, report.pages_written) == (1, 0)
    strip = "media/examples/mixed3a/whole-000.jpg"
    assert changed(before, tmp_path) == {strip}
    assert build(tmp_path, small(whole=None), index=index).removed == 1
    assert not (tmp_path / strip).exists()


def test_unpublished_photographs_leave_no_trace(tmp_path):
    """No label, source, class or table of examples in any byte, packed ones unpacked."""
    index = FakeIndex()
    build(tmp_path, several(), index=index)
    shown = dict(plain_bytes(tmp_path))
    build(tmp_path, several(), replace(QUICK, publish_examples=False), index)
    hidden = dict(plain_bytes(tmp_path))
    words = [
        *(label.encode() for label in LABELS), *(b"/positive/0", b"/negative/8", b"/band/3-0"),
        *(b"media/examples", b"classes/", b"tables/examples", b"tables/classes"),
    ]  # fmt: skip
    for word in words:
        assert any(word in data for data in shown.values()), word
        assert [path for path, data in hidden.items() if word in data] == []
    gone = shown.keys() - hidden.keys()
    assert {path.rpartition("/")[0] for path in gone} == {
        *(f"media/examples/{name}" for name in ("conv2d0", "mixed3a", "mixed4c")),
        *("classes", "tables"),
    }
    assert not (tmp_path / "classes").exists()


def test_unpublished_photographs_leave_no_trace_in_a_split_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr("atlas.site.manifest.LIMIT", 100)
    build(tmp_path, several(), replace(QUICK, publish_examples=False))
    hidden = dict(plain_bytes(tmp_path))
    assert "manifest/mixed3a.json.gz" in hidden
    for label in LABELS:
        assert [path for path, data in hidden.items() if label.encode() in data] == []


def test_the_numbers_of_unpublished_photographs_may_stay(tmp_path):
    build(tmp_path, small(), replace(QUICK, publish_examples=False))
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    assert manifest["classes"] == []
    entry = manifest["channels"][0]
    assert entry["histogram"]["width"] == 16.0
    assert entry["stats"]["fires"] == 0.24
    assert (entry["examples"], entry["spectrum"], entry["classes"], entry["whole"]) == (
        [], [], [], None,
    )  # fmt: skip


def test_similar_channels_stay_without_photographs_in_strips_of_their_own(tmp_path):
    build(tmp_path, small(), replace(QUICK, publish_examples=False))
    page = page_of(tmp_path, "mixed3a/1.html")
    assert page.count('src="../media/renders/mixed3a/1-similar.jpg"') == 2
    assert (tmp_path / "media/renders/mixed3a/1-similar.jpg").is_file()


@pytest.mark.parametrize("text", ["{% if %}", "{{ nothing_like_it }}", "{% extends 'no' %}"])
def test_a_broken_template_is_one_sentence(tmp_path, text):
    (tmp_path / "channel.html.jinja").write_text(text)
    with pytest.raises(ConfigError, match="channel"):
        build(tmp_path / "out", small(), replace(QUICK, templates=tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"format": "png"}, "'png'"), ({"quality": 0}, "not 0"), ({"photograph_quality": 101}, "101")],
)
def test_an_option_out_of_range_is_named(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        build(tmp_path, small(), replace(QUICK, **changes))
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        build(tmp_path, small(), replace(QUICK, content=tmp_path / "nowhere"))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        build(tmp_path / "out", small())
    assert os.listdir(tmp_path) == ["out"]


def test_an_atlas_without_channels_is_a_site_all_the_same(tmp_path):
    build(tmp_path, catalogue(channels=[]))
    assert "0 channels of the 84" in page_of(tmp_path, "index.html")
    assert (tmp_path / "tables" / "channels.csv").is_file()
