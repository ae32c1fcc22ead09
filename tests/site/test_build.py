import json
import os
from dataclasses import replace

import pytest
from fake import (
    LABELS,
    TOY_LAYERS,
    FakeIndex,
    FakeMedia,
    catalogue,
    channel,
    classes,
    examples,
    googlenet_layers,
    renders,
    snapshot,
    spectrum,
    whole,
)

from atlas.errors import ConfigError, OutputError
from atlas.site import SiteOptions, build_site
from atlas.site.files import prune
from atlas.site.text import number

QUICK = SiteOptions(format="jpeg")
MIXED = TOY_LAYERS[1]


def build(out, atlas=None, options=QUICK, index=None, media=None):
    return build_site(
        atlas or catalogue(), media or FakeMedia(), out, index or FakeIndex(), options
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    build(out)
    return out


def small(**changes):
    return catalogue(channels=[channel(MIXED, i, **changes) for i in range(3)])


def test_manifest_has_every_key_of_format_1(site):
    manifest = json.loads((site / "manifest.json").read_bytes())
    assert manifest["format"] == 1
    assert manifest["generator"] == "channel-atlas 0.0"
    assert manifest["model"]["classes"] == 10
    assert [layer["name"] for layer in manifest["layers"]] == [la.name for la in TOY_LAYERS]
    assert manifest["layers"][1]["branches"][1] == {"name": "3x3", "start": 4, "stop": 10}
    entry = next(c for c in manifest["channels"] if (c["layer"], c["index"]) == ("mixed3a", 5))
    assert (entry["branch"], entry["page"]) == ("3x3", "mixed3a/5.html")
    assert set(entry["renders"][0]) >= {
        "kind", "number", "sheet", "tile", "activation", "steps", "size", "seed", "recipe_sha256",
    }  # fmt: skip
    assert set(entry["examples"][0]) >= {
        "side", "rank", "source", "label", "activation", "position", "crop", "sheet", "tile",
    }  # fmt: skip
    assert entry["renders"][2]["tile"] == [96, 0, 48, 48]
    assert entry["stats"]["fires"] == 0.24


def test_manifest_has_spectrum_histogram_and_classes(site):
    manifest = json.loads((site / "manifest.json").read_bytes())
    entry = next(c for c in manifest["channels"] if (c["layer"], c["index"]) == ("mixed3a", 5))
    bands = entry["spectrum"]
    assert [len(band["examples"]) for band in bands] == [3, 3, 3, 3, 3, 3, 3, 0, 3, 3]
    assert bands[0]["range"] == pytest.approx([-45.0, 21.2])
    assert [band["range"][1] for band in bands[:-1]] == [band["range"][0] for band in bands[1:]]
    assert bands[0]["examples"][0] == {
        "source": "mixed3a:5/band/0-0.jpg", "label": "redbone",
        "activation": pytest.approx(-45 + 66.2 / 3), "position": [1, 2], "crop": [5, 5, 95, 95],
        "sheet": "media/examples/mixed3a/5.jpg", "tile": [18 * 112, 0, 112, 112],
    }  # fmt: skip
    assert bands[9]["examples"][2]["tile"] == entry["examples"][0]["tile"]
    assert (entry["histogram"]["start"], entry["histogram"]["width"]) == (-48.0, 16.0)
    assert sum(entry["histogram"]["counts"]) == 1000
    assert entry["classes"][0] == {"label": "redbone", "mean": 300.0, "count": 50}


def test_manifest_has_the_whole_photograph_and_its_map(site):
    manifest = json.loads((site / "manifest.json").read_bytes())
    entry = next(c for c in manifest["channels"] if (c["layer"], c["index"]) == ("mixed3a", 5))
    assert entry["whole"] == {
        "source": "mixed3a:5/positive/0.jpg",
        "sheet": "media/examples/mixed3a/whole-001.jpg",
        "tile": [2 * 224, 0, 224, 224],
        "activation_tile": [3 * 224, 0, 224, 224],
    }


def test_manifest_lists_the_channels_of_every_class(site):
    manifest = json.loads((site / "manifest.json").read_bytes())
    assert [one["label"] for one in manifest["classes"]] == sorted(LABELS)
    one = next(one for one in manifest["classes"] if one["label"] == "papillon")
    assert one["count"] == 50
    assert len(one["channels"]) == len(manifest["channels"])
    assert one["channels"][0] == {
        "layer": "conv2d0", "index": 0, "mean": 180.0, "selectivity": 1.5,
    }  # fmt: skip


def test_everything_the_manifest_names_exists(site):
    manifest = json.loads((site / "manifest.json").read_bytes())
    for entry in manifest["channels"]:
        assert (site / entry["page"]).is_file()
        crops = [crop for band in entry["spectrum"] for crop in band["examples"]]
        for tile in [*entry["renders"], *entry["examples"], *crops, entry["whole"]]:
            assert (site / tile["sheet"]).is_file()


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
        build(tmp_path / name, small(), replace(QUICK, format="avif"))
    one, two = ({p: d for p, (_, d) in snapshot(tmp_path / n).items()} for n in "ab")
    assert one == two


def test_what_left_the_catalogue_goes_and_nothing_else(tmp_path):
    build(tmp_path)
    mine = [tmp_path / "mixed4c/notes.txt", tmp_path / "media/own.jpg", tmp_path / "index2.html"]
    for path in mine:
        path.write_text("mine")
    report = build(tmp_path, small())
    left = {p for p in snapshot(tmp_path) if p.startswith(("mixed", "conv", "media"))}
    assert report.removed > 100
    assert left == {
        "mixed3a/index.html", "media/layers/mixed3a-00.jpg", "mixed4c/notes.txt", "media/own.jpg",
        *(f"mixed3a/{i}.html" for i in range(3)),
        *(f"media/{what}/mixed3a/{i}.jpg" for what in ("renders", "examples") for i in range(3)),
        "media/examples/mixed3a/whole-000.jpg",
    }  # fmt: skip
    assert all(path.read_text() == "mine" for path in mine)


@pytest.mark.parametrize(
    "name",
    ["../o.html", "o.html", "media/own.jpg", "static/1.html", "a/../../1.html", "a/b/1.html"],
)
def test_pruning_never_leaves_our_folders(tmp_path, name):
    out = tmp_path / "site"
    (out / "a" / "b").mkdir(parents=True)
    path = out / name
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
    "text", ["", "[]", "{", '{"generator": 1}', '{"generator":"channel-atlas","layers":3}']
)
def test_a_broken_old_manifest_is_no_obstacle(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    assert build(tmp_path, small()).removed == 0


def test_unpublished_photographs_leave_no_trace(tmp_path):
    index = FakeIndex()
    build(tmp_path, small(), index=index)
    build(tmp_path, small(), replace(QUICK, publish_examples=False), index)
    assert not (tmp_path / "media" / "examples").exists() or not any(
        (tmp_path / "media" / "examples").rglob("*.jpg")
    )
    for name, (_, data) in snapshot(tmp_path).items():
        assert b"redbone" not in data, name
        assert b"media/examples" not in data, name
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    assert manifest["classes"] == []
    assert manifest["channels"][0]["histogram"]["width"] == 16.0  # numbers may stay


def test_hostile_labels_are_only_text(tmp_path):
    bad = '"><script>alert(1)</script><img src=x onerror=alert(1)>' + "A" * 5000
    bad += "\x00\u202e\udcff"
    atlas = small(
        examples=examples("x", labels=(bad,)),
        spectrum=spectrum("x", labels=(bad,)),
        classes=classes((bad,)),
    )
    build(tmp_path, replace(atlas, title=bad, model=replace(atlas.model, title=bad)))
    for page in tmp_path.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "<script" not in text
        assert "onerror=alert(1)>" not in text.replace("&gt;", "")
        assert "A" * 200 not in text
        assert "\x00" not in text
    data = (tmp_path / "manifest.json").read_bytes()
    assert not any(mark in data for mark in (b"<", b">", b"&"))  # safe inside of a script
    manifest = json.loads(data)
    entry = manifest["channels"][0]
    assert entry["examples"][0]["label"] == bad
    assert entry["spectrum"][0]["examples"][0]["label"] == bad
    assert entry["classes"][0]["label"] == manifest["classes"][0]["label"] == bad


@pytest.mark.parametrize(
    "kinds", [(), ("positive",), ("diverse",), ("neuron",), ("negative",), ("neuron", "negative")]
)
@pytest.mark.parametrize("with_examples", [True, False])
def test_any_subset_of_kinds_makes_a_page(tmp_path, kinds, with_examples):
    changes = {"renders": renders("mixed3a:0", kinds), "stats": {}}
    if not with_examples:
        changes |= {"examples": (), "spectrum": (), "classes": ()}
    build(tmp_path, replace(small(**changes), dataset=None))
    page = (tmp_path / "mixed3a" / "0.html").read_text("utf-8")
    for kind in ("positive", "diverse", "neuron", "negative"):
        assert (f"{kind.capitalize()}.</b>" in page) == (kind in kinds)
    assert ("Photographs that agree" in page) == with_examples


def test_the_page_says_what_the_data_says(site):
    page = (site / "mixed4c" / "7.html").read_text("utf-8")
    lede = page.split('<p class="lede">')[1].split("</p>")[0]
    assert "<b><bdi>redbone</bdi></b>, <b><bdi>Norfolk terrier</bdi></b> and" in lede
    assert "fires somewhere in 24 % of 1,000 photographs" in lede
    first = renders("mixed4c:7")[1]
    command = "atlas show mixed4c:7 --model toy --kinds positive --size 48 --steps 512 --seed "
    assert f"{command}{first.seed}<" in page
    assert f"{number(first.activation / 50)} ×" in page
    assert '<a rel="prev" href="6.html">' in page
    assert '<a rel="next" href="8.html">' in page


def test_the_best_are_shown_and_the_rest_are_a_click_away(tmp_path):
    build(tmp_path, small(examples=examples("mixed3a:0", 30)))
    page = (tmp_path / "mixed3a" / "0.html").read_text("utf-8")
    agree, other = page.split('<h2 id="other">')
    other = other.split('<h2 id="spectrum">')[0]
    for part, amount, more in ((agree, 25, 5), (other, 10, 20)):
        shown, behind = part.split(f"<summary>{more} more</summary>")
        assert shown.split('<ul class="photos')[1].count("<img") == amount
        assert behind.split("</details>")[0].count("<img") == more


def test_the_spectrum_and_the_classes_are_on_the_page(site):
    page = (site / "mixed4c" / "7.html").read_text("utf-8")
    drawn = page.split('<svg class="drawn"')[1].split("<ol")[0]
    assert 'role="img" aria-labelledby="drawn-t drawn-d"' in drawn
    assert '<title id="drawn-t">Histogram of the maxima of 1,000 photographs' in drawn
    assert '<path class="neg" d="M0 200V' in drawn
    bands = page.split('<ol class="bands">')[1].split("</ol>")[0].split("<li>")[1:]
    assert [band.count("<img") for band in bands] == [3, 3, 3, 3, 3, 3, 3, 0, 3, 3]
    assert "<b>−45.0 to 21.2</b>" in bands[0]
    assert '<span class="none">none</span>' in bands[7]
    table = page.split('aria-labelledby="classes"')[1].split("</table>")[0]
    assert table.count("<tr>") == 1 + len(LABELS) + 1
    assert "<bdi>papillon</bdi>" in table
    assert '<rect width="60%"' in table


def test_the_strongest_photograph_is_shown_whole(tmp_path):
    channels = [
        channel(MIXED, 0),
        channel(MIXED, 1, whole=whole("mixed3a:1", fires=False)),
        channel(MIXED, 2, whole=None),
        channel(MIXED, 3, classes=()),
        channel(MIXED, 4, classes=(), whole=None),
    ]
    build(tmp_path, catalogue(channels=channels))
    pages = [(tmp_path / "mixed3a" / f"{i}.html").read_text("utf-8") for i in range(5)]
    figure = pages[0].split("<b>Where it fires.</b>")
    assert figure[0].split("<figure>")[-1].count('src="../media/examples/mixed3a/whole-000') == 2
    assert "then lit where the channel fires, and ringed above half" in figure[1]
    assert "unlit, as the channel is nowhere in it above zero" in pages[1]
    assert ["Where it fires" in page for page in pages] == [True, True, False, True, False]
    assert ['class="agree alone"' in page for page in pages] == [False] * 4 + [True]


def test_what_changes_a_whole_photograph_makes_its_strip_again(tmp_path):
    index = FakeIndex()
    build(tmp_path, small(), index=index)
    other = replace(whole("mixed3a:1"), map_sha256="0" * 64)
    channels = [channel(MIXED, i, **({"whole": other} if i == 1 else {})) for i in range(3)]
    report = build(tmp_path, catalogue(channels=channels), index=index)
    assert (report.sheets_encoded, report.pages_written) == (1, 0)
    without = small(whole=None)
    assert build(tmp_path, without, index=index).removed == 1
    assert not (tmp_path / "media/examples/mixed3a/whole-000.jpg").exists()


@pytest.mark.parametrize("lacking", ["spectrum", "histogram", "classes"])
def test_a_page_does_without_what_the_dataset_lacks(tmp_path, lacking):
    build(tmp_path, small(**{lacking: None if lacking == "histogram" else ()}))
    page = (tmp_path / "mixed3a" / "0.html").read_text("utf-8")
    assert ('id="spectrum"' in page) == (lacking != "spectrum")
    assert ('class="drawn"' in page) == (lacking == "classes")
    assert ("Strongest classes" in page) == (lacking != "classes")


def test_a_channel_page_keeps_within_its_budget(tmp_path):
    layers = googlenet_layers()
    labels = ("German short-haired pointer", "black and gold garden spider", "analog clock")
    full = channel(
        layers[10], 832 - 1,
        renders=renders("mixed5a:831", size=224),
        examples=tuple(
            replace(one, source=f"n02100236/n02100236_{one.rank:05}.JPEG")
            for one in examples("mixed5a:831", 25, labels)
        ),
        spectrum=spectrum("mixed5a:831", labels=labels, empty=()),
        classes=classes(labels * 3 + labels[:1], 1300),
        whole=whole("mixed5a:831", labels),
    )  # fmt: skip
    # One channel of every layer, for a header as long as it gets, and a recipe of usual length.
    atlas = catalogue(layers, [channel(la, 0) for la in layers] + [full])
    recipe = {f"transforms.key_{i}": "-5.0, -4.0, -3.0, -2.0" for i in range(25)}
    build(tmp_path, replace(atlas, recipe=recipe))
    page = (tmp_path / "mixed5a" / "831.html").read_bytes()
    assert page.count(b"<img") == 7 + 2 + 2 * 25 + 30
    assert len(page) <= 30_000


def test_scores_are_not_compared_without_a_best_score(tmp_path):
    build(tmp_path, small(stats={"max": 617.0}))
    assert "best photograph" not in (tmp_path / "mixed3a" / "0.html").read_text("utf-8")


def test_a_render_that_never_started_is_marked(tmp_path):
    build(tmp_path, small(renders=renders("mixed3a:0", ("positive",), started=False)))
    assert "Never found a gradient" in (tmp_path / "mixed3a" / "0.html").read_text("utf-8")
    assert "never started" in (tmp_path / "mixed3a" / "index.html").read_text("utf-8")


def test_no_scripts_no_inline_styles_no_folder_links(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "<script" not in text
        assert " style=" not in text
        for link in text.split('href="')[1:]:
            target = link.split('"')[0]
            assert not target.endswith("/") or target.startswith("https://distill.pub"), target
            assert not target.startswith("/"), target


def test_numbers_that_are_none_become_null(tmp_path):
    stats = {"max": float("nan"), "mean": float("inf"), "fires": float("nan"), "images": 3.0}
    build(tmp_path, small(stats=stats))
    entry = json.loads((tmp_path / "manifest.json").read_bytes())["channels"][0]
    assert entry["stats"] == {"fires": None, "images": 3.0, "max": None, "mean": None}


def test_user_templates_and_notes_come_first(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "404.html.jinja").write_text("gone from {{ atlas.title }}")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "colophon.md").write_text("---\ntitle: Colophon\n---\nHello.")
    options = replace(QUICK, templates=tmp_path / "t", content=tmp_path / "c")
    build(tmp_path / "out", small(), options)
    assert (tmp_path / "out" / "404.html").read_text() == "gone from A toy atlas"
    assert "<p>Hello.</p>" in (tmp_path / "out" / "colophon.html").read_text()
    assert 'href="../colophon.html"' in (tmp_path / "out" / "mixed3a" / "0.html").read_text()


@pytest.mark.parametrize("text", ["{% if %}", "{{ nothing_like_it }}", "{% extends 'no' %}"])
def test_a_broken_template_is_one_sentence(tmp_path, text):
    (tmp_path / "channel.html.jinja").write_text(text)
    with pytest.raises(ConfigError, match="channel"):
        build(tmp_path / "out", small(), replace(QUICK, templates=tmp_path))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        build(tmp_path, small(), replace(QUICK, content=tmp_path / "nowhere"))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        build(tmp_path / "out", small())
    assert os.listdir(tmp_path) == ["out"]


def test_url_gives_canonical_links(tmp_path):
    build(tmp_path, small(), replace(QUICK, url="https://example.org/atlas"))
    page = (tmp_path / "mixed3a" / "0.html").read_text()
    assert '<link rel="canonical" href="https://example.org/atlas/mixed3a/0.html">' in page
    assert '<base href="https://example.org/atlas/">' in (tmp_path / "404.html").read_text()


def test_layers_without_channels_are_quiet_and_have_no_links(site):
    index = (site / "index.html").read_text("utf-8")
    assert "None of its 16 channels in this atlas." in index
    assert "mixed5b/index.html" not in index
    assert not (site / "mixed5b").exists()


def test_heights_and_widths_of_the_drawing_are_to_scale():
    from atlas.site.network import draw

    blocks = {b.layer.name: b for b in draw(googlenet_layers(), {"mixed4c": 3})}
    assert blocks["conv2d0"].height / blocks["mixed5b"].height == 16
    widths = {name: sum(p.width for p in b.parts) for name, b in blocks.items()}
    assert widths["mixed5b"] / widths["conv2d0"] == pytest.approx(1024 / 64)
    assert [b for b in blocks.values() if b.page] == [blocks["mixed4c"]]
