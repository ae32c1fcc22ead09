"""The data files of the scripts say what the catalogue says."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fake import (
    LABELS,
    TOY_LAYERS,
    catalogue,
    channel,
    classes,
    examples,
    googlenet_layers,
    renders,
)

from atlas.site.catalogue import ClassRecord
from atlas.site.content import read_note
from atlas.site.scripts import scripts
from atlas.site.sheets import plan_sheets
from atlas.site.targets import Place
from atlas.units import Branch, Layer

CONV, MIXED3A, MIXED4C, _ = TOY_LAYERS


def written(atlas, notes=(), layer_notes=(), paths=None):
    """The data of each file by its path, and the bytes of all."""
    plan = plan_sheets(atlas, "avif")
    notes, layer_notes = ({note.name: note for note in every} for every in (notes, layer_notes))
    files = dict(scripts(atlas, plan, notes, layer_notes, paths or {}))
    data = {}
    for path, text in files.items():
        name = path.removeprefix("data/").removesuffix(".js")
        match = re.fullmatch(rf'atlas\.register\("{re.escape(name)}",(.*)\);\n', text.decode())
        data[path] = json.loads(match[1])
    return data, files


def a_note(name, text, page):
    """A note as it is read from a file, which is gone afterwards."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.md"
        path.write_text(text)
        return read_note(path, Place(page=page))


def test_every_layer_that_is_shown_has_its_files():
    data, _ = written(catalogue(channels=[channel(CONV, 0), channel(MIXED4C, 7)]))
    assert list(data) == [
        "data/search.js",
        "data/layers/conv2d0.js", "data/pictures/conv2d0.js",
        "data/layers/mixed4c.js", "data/pictures/mixed4c.js",
    ]  # fmt: skip
    assert [layer["name"] for layer in data["data/search.js"]["layers"]] == ["conv2d0", "mixed4c"]


def test_search_knows_channels_by_number_label_and_picture():
    atlas = catalogue(channels=[channel(MIXED4C, i) for i in (40, 7)])
    search = written(atlas)[0]["data/search.js"]
    [layer] = search["layers"]
    assert (layer["folder"], layer["short"], layer["indices"]) == ("mixed4c", "4c", [7, 40])
    width = search["columns"]["labels"]
    assert [search["labels"][i] for i in layer["labels"][:width]] == list(LABELS[:3])
    tiles = plan_sheets(atlas, "avif").thumbs
    for at, number in enumerate(layer["tiles"]):
        sheet, place = divmod(number, search["columns"]["tiles"])
        tile = tiles[f"mixed4c:{layer['indices'][at]}"][1]
        assert layer["sheets"][sheet] == [tile.sheet, tile.count, tile.size]
        assert place == tile.index


def test_a_channel_without_pictures_or_labels_is_found_by_its_number():
    bare = channel(CONV, 3, renders=(), examples=(), spectrum=(), classes=())
    [layer] = written(catalogue(channels=[bare]))[0]["data/search.js"]["layers"]
    assert (layer["indices"], layer["tiles"], layer["labels"]) == ([3], [-1], [-1, -1, -1])


def test_search_knows_aliases_classes_and_the_words_of_notes():
    layer = Layer("mixed4c", (Branch("1x1", 0, 4),), ("inception4c",))
    atlas = catalogue(layers=(layer,), channels=[channel(layer, 0)])
    paths = {"redbone": "classes/redbone.html", "chow": "classes/chow.html"}
    method = a_note("method", "# The method\n\nBegan as *noise* & ended", "method.html")
    about = a_note("mixed4c", "# Dogs\n\nSnouts.", "mixed4c/index.html")
    search = written(atlas, [method], [about], paths)[0]["data/search.js"]
    assert search["layers"][0]["aliases"] == ["inception4c"]
    found = [(search["labels"][label], page) for label, page in search["classes"]]
    assert found == list(paths.items())
    assert search["notes"] == [
        ["The method", "method.html", "Began as noise & ended"],
        ["Dogs", "mixed4c/index.html", "Snouts."],
    ]


def test_a_note_on_a_layer_that_is_not_shown_is_not_searched():
    atlas = catalogue(channels=[channel(CONV, 0)])
    about = a_note("mixed4c", "Snouts.", "mixed4c/index.html")
    assert written(atlas, (), [about])[0]["data/search.js"]["notes"] == []


def test_a_note_is_found_by_what_it_shows_of_the_atlas():
    tour = a_note("tour", 'See {{ unit mixed4c:7 }}, {{ class "chow" }}.', "tour.html")
    [[_, _, words]] = written(catalogue(), [tour])[0]["data/search.js"]["notes"]
    assert words == "See mixed4c:7, chow."


def test_rows_of_a_layer_say_what_its_page_sorts_and_filters_by():
    record = channel(
        MIXED3A,
        5,
        renders=tuple(replace(r, share=2.34567) for r in renders("mixed3a:5")),
        stats={"fires": 0.24, "max": 617.0},
        examples=examples("x", 2, ("chow",)),
        classes=(ClassRecord("husky", 9.0, 5, 1.25), ClassRecord("chow", 8.0, 5, 3.5)),
    )
    layer = written(catalogue(channels=[record]))[0]["data/layers/mixed3a.js"]
    [row] = layer["rows"]
    one = dict(zip(layer["columns"], row, strict=True))
    assert layer["branches"][one["branch"]] == "3x3"
    assert [layer["labels"][i] for i in one["labels"]] == ["chow", "husky"]
    measured = {key: one[key] for key in ("share", "selectivity", "sparsity", "max")}
    assert measured == {"share": 2.346, "selectivity": 1.25, "sparsity": 0.76, "max": 617}
    assert (one["index"], one["failed"]) == (5, 0)
    assert layer["sheets"][one["sheet"]][0].startswith("media/layers/mixed3a-")


@pytest.mark.parametrize(
    ("changes", "empty"),
    [
        ({"stats": {}}, {"sparsity", "max"}),
        ({"stats": {"max": math.nan, "fires": math.inf}}, {"sparsity", "max"}),
        ({"classes": (ClassRecord("chow", 1.0, 1),)}, {"selectivity"}),
        ({"renders": renders("x", ("negative",))}, {"share"}),
    ],
)
def test_what_was_not_measured_is_null(changes, empty):
    shares = tuple(replace(r, share=1.0) for r in renders("mixed3a:1"))
    record = channel(MIXED3A, 1, **({"renders": shares} | changes))
    layer = written(catalogue(channels=[record]))[0]["data/layers/mixed3a.js"]
    one = dict(zip(layer["columns"], layer["rows"][0], strict=True))
    assert {k for k in ("share", "selectivity", "sparsity", "max") if one[k] is None} == empty


def test_a_render_that_never_started_has_no_score():
    dead = channel(MIXED3A, 2, renders=renders("mixed3a:2", ("positive",), started=False))
    data, _ = written(catalogue(channels=[dead]))
    layer = data["data/layers/mixed3a.js"]
    assert layer["rows"][0][layer["columns"].index("failed")] == 1
    assert data["data/pictures/mixed3a.js"]["rows"]["2"][0][4:] == ["p", [None]]


def test_pictures_say_where_the_renders_and_the_strongest_photographs_are():
    atlas = catalogue(channels=[channel(MIXED4C, i) for i in (7, 8)])
    plan = plan_sheets(atlas, "avif")
    pictures = written(atlas)[0]["data/pictures/mixed4c.js"]
    for record in atlas.channels:
        shown, crops, labels, stats = pictures["rows"][str(record.index)]
        for kind, tiles, row in (
            ("renders", plan.renders[record.name], shown),
            ("photographs", plan.examples[record.name][:4], crops),
        ):
            start, end = pictures["paths"][kind]
            name, amount, size, places = row[:4]
            assert {(t.sheet, t.count, t.size) for t in tiles} == {
                (start + name + end, amount, size)
            }
            assert places == [t.index for t in tiles]
        assert shown[4] == "upddddn"
        assert shown[5] == [float(f"{r.activation:.4g}") for r in record.renders]
        assert [pictures["labels"][i] for i in crops[4]] == list(LABELS[:4])
        assert crops[5] == [617, 586, 555, 524]
        assert [pictures["labels"][i] for i in labels] == list(LABELS[:3])
        assert dict(zip(pictures["stats"], stats, strict=True)) == {
            "max": 617, "mean": -12.5, "fires": 0.24, "share": None, "selectivity": 3,
        }  # fmt: skip


def test_hostile_text_stays_text():
    evil = "</script><script>alert(1)</script>&\u202e" + "W" * 5000
    layer = Layer('<img src=x onerror="alert(1)">', (Branch(evil, 0, 1),))
    record = channel(layer, 0, examples=examples("x", 1, (evil,)), classes=classes((evil,)))
    data, files = written(
        catalogue(layers=(layer,), channels=[record]),
        [a_note("evil", f"---\ntitle: {evil}\n---\n{evil}", "evil.html")],
        paths={evil: "classes/evil.html"},
    )
    for path, text in files.items():
        assert text.isascii()
        assert not re.search(rb"[<>&]", text), path
        assert re.fullmatch(r"data/(?:(?:layers|pictures)/)?[\w-]+\.js", path)
    search = data["data/search.js"]
    assert search["layers"][0]["name"] == '<img src=x onerror="alert(1)">'
    assert all(len(label) <= 60 and "\u202e" not in label for label in search["labels"])
    assert search["notes"][0][2].startswith("</script><script>alert(1)</script>&")


def test_equal_catalogues_have_equal_files():
    assert written(catalogue())[1] == written(catalogue())[1]


def test_a_whole_googlenet_stays_small():
    layers = googlenet_layers()
    names = [f"a class of photographs {i}" for i in range(1000)]
    channels = [
        channel(
            layer,
            i,
            examples=examples("x", 4, [names[(7 * i + k) % 1000] for k in range(4)]),
            classes=classes([names[(11 * i + k) % 1000] for k in range(6)]),
            spectrum=(),
            whole=None,
        )
        for layer in layers
        for i in range(layer.channels)
    ]
    paths = {name: f"classes/{name.replace(' ', '-')}.html" for name in names}
    _, files = written(catalogue(layers=layers, channels=channels), paths=paths)
    assert len(files["data/search.js"]) < 300_000
    assert max(len(text) for path, text in files.items() if "/layers/" in path) < 120_000
    assert max(len(text) for path, text in files.items() if "/pictures/" in path) < 250_000
