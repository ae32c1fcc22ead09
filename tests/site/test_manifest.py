"""`manifest.json`, whole and split: every key, every number, and files that are there."""

import gzip
import json
from dataclasses import replace

import pytest
from building import QUICK, build, manifest_of, small
from fake import (
    LABELS,
    TOY_LAYERS,
    FakeIndex,
    catalogue,
    channel,
    classes,
    examples,
    snapshot,
    spectrum,
)

from atlas.site.manifest import manifest_files
from atlas.site.sheets import plan_sheets


@pytest.fixture(scope="module")
def manifest(toy_site):
    return manifest_of(toy_site)


@pytest.fixture(scope="module")
def entry(manifest):
    return next(c for c in manifest["channels"] if (c["layer"], c["index"]) == ("mixed3a", 5))


def test_the_head_has_every_key_of_format_1(manifest):
    assert manifest["format"] == 1
    assert manifest["generator"] == "channel-atlas 0.0"
    assert manifest["model"] == {
        "name": "toy", "title": "Toy network", "weights_sha256": "7d1e08" + "0" * 58,
        "classes": 10,
    }  # fmt: skip
    assert manifest["dataset"] == {"source": "folder:photos", "images": 1000, "skipped": 0}
    assert manifest["recipe"] == catalogue().recipe
    assert [layer["name"] for layer in manifest["layers"]] == [la.name for la in TOY_LAYERS]
    assert manifest["layers"][1]["branches"][1] == {"name": "3x3", "start": 4, "stop": 10}


def test_a_channel_has_its_renders_and_statistics(entry):
    assert (entry["branch"], entry["page"]) == ("3x3", "mixed3a/5.html")
    assert entry["thumbnail"] == {
        "sheet": "media/layers/mixed3a-00.jpg", "tile": [5 * 128, 0, 128, 128],
    }  # fmt: skip
    record = next(one for one in catalogue().channels if one.name == "mixed3a:5").renders[2]
    assert entry["renders"][2] == {
        "kind": "diverse", "number": 0, "sheet": "media/renders/mixed3a/5.jpg",
        "tile": [96, 0, 48, 48], "activation": record.activation, "steps": 512, "size": 48,
        "seed": record.seed, "recipe_sha256": record.recipe_sha256, "started": True,
        "reason": "",
        "finite": True, "robust_activation": None, "share_of_dataset_maximum": None,
        "saturation": None, "high_frequency": None, "diversity": None,
    }  # fmt: skip
    assert entry["stats"]["fires"] == 0.24
    assert list(entry["stats"]) == sorted(entry["stats"])


def test_a_channel_has_its_examples(entry):
    assert entry["examples"][1] == {
        "side": "positive", "rank": 1, "source": "mixed3a:5/positive/1.jpg",
        "label": "Norfolk terrier", "activation": 586.0, "position": [3, 5],
        "crop": [10, 20, 79, 89], "sheet": "media/examples/mixed3a/5.jpg",
        "tile": [112, 0, 112, 112],
    }  # fmt: skip
    assert [e["side"] for e in entry["examples"]] == ["positive"] * 9 + ["negative"] * 9


def test_a_channel_has_its_spectrum_histogram_and_classes(entry):
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


def test_a_channel_has_its_whole_photograph_and_its_map(entry):
    assert entry["whole"] == {
        "source": "mixed3a:5/positive/0.jpg",
        "sheet": "media/examples/mixed3a/whole-000.jpg",
        "tile": [10 * 224, 0, 224, 224],
        "activation_tile": [11 * 224, 0, 224, 224],
    }


def test_a_channel_has_those_like_it(entry):
    assert entry["similar"] == [
        {"layer": "mixed3a", "index": 6, "cosine": 0.75},
        {"layer": "mixed4c", "index": 27, "cosine": 0.625},  # half of the 68 channels further on
        {"layer": "mixed3a", "index": 4, "cosine": 0.5},
    ]


def test_every_class_has_its_channels_most_selective_first(manifest):
    assert [one["label"] for one in manifest["classes"]] == sorted(LABELS)
    one = next(one for one in manifest["classes"] if one["label"] == "papillon")
    assert (one["count"], one["page"]) == (50, "classes/papillon.html")
    assert len(one["channels"]) == 24
    assert one["channels"][8] == {
        "layer": "mixed3a", "index": 0, "mean": 180.0, "selectivity": 1.5,
    }  # fmt: skip


def test_a_class_without_channels_has_no_page(tmp_path):
    build(tmp_path, small(classes=classes(["a", "b", "c", "d", "e", "f", "zero"])))
    last = manifest_of(tmp_path)["classes"][-1]
    assert last == {"label": "zero", "count": 50, "page": None, "channels": []}


def named(manifest):
    """The files that a manifest names."""
    found = set(manifest["files"])
    for one in manifest["channels"]:
        crops = [crop for band in one["spectrum"] for crop in band["examples"]]
        tiles = [*one["renders"], *one["examples"], *crops, one["thumbnail"]]
        tiles += [one["whole"]] if one["whole"] else []
        found |= {one["page"], *(tile["sheet"] for tile in tiles)}
    return found


def test_it_names_every_other_file_and_nothing_else(manifest, toy_site):
    assert named(manifest) == set(snapshot(toy_site)) - {"manifest.json"}


def test_files_are_those_that_are_named_nowhere_else(manifest):
    files = manifest["files"]
    assert files == sorted(files)
    assert {"index.html", "classes/redbone.html", "data/search.js", "tables/renders.csv"} <= {
        *files
    }
    assert not {"mixed3a/5.html", "media/renders/mixed3a/5.jpg"} & {*files}


def test_a_strip_of_similar_channels_alone_is_among_the_files(tmp_path):
    build(tmp_path, small(), replace(QUICK, publish_examples=False))
    assert "media/renders/mixed3a/1-similar.jpg" in manifest_of(tmp_path)["files"]


def test_numbers_that_are_none_become_null(tmp_path):
    stats = {"max": float("nan"), "mean": float("inf"), "fires": float("nan"), "images": 3.0}
    build(tmp_path, small(stats=stats))
    assert manifest_of(tmp_path)["channels"][0]["stats"] == {
        "fires": None, "images": 3.0, "max": None, "mean": None,
    }  # fmt: skip


def test_hostile_text_is_kept_and_safe_inside_of_a_script(tmp_path):
    bad = '"><script>alert(1)</script>&' + "A" * 5000 + "\x00\u202e\u2028\udcff"
    atlas = small(
        examples=examples("x", labels=(bad,)),
        spectrum=spectrum("x", labels=(bad,)),
        classes=classes((bad,)),
    )
    build(tmp_path, replace(atlas, title=bad))
    data = (tmp_path / "manifest.json").read_bytes()
    assert data.isascii()
    assert not any(mark in data for mark in (b"<", b">", b"&"))
    manifest = json.loads(data)
    first = manifest["channels"][0]
    labels = {
        manifest["title"], first["examples"][0]["label"], first["classes"][0]["label"],
        first["spectrum"][0]["examples"][0]["label"], manifest["classes"][0]["label"],
    }  # fmt: skip
    assert labels == {bad}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folders of one atlas with the manifest in one piece and split."""
    conv, mixed3a, *_ = TOY_LAYERS
    atlas = catalogue(channels=[channel(conv, 2), channel(mixed3a, 0), channel(mixed3a, 7)])
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "split")]
    build(folders[0], atlas)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("atlas.site.manifest.LIMIT", 10_000)
        build(folders[1], atlas)
    return folders


def parts_of(out):
    return {
        path.name: json.loads(gzip.decompress(path.read_bytes()))
        for path in sorted((out / "manifest").iterdir())
    }


def test_one_that_would_be_too_large_has_no_details(both):
    entire, split = map(manifest_of, both)
    short = {"layer", "index", "branch", "page", "thumbnail", "renders", "stats"}
    for one, other in zip(entire["channels"], split["channels"], strict=True):
        assert {key: one[key] for key in short} == {key: other[key] for key in short}
        assert other.keys() - short == {"examples", "examples_in"}
        assert other["examples"] == []
        assert other["examples_in"] == f"manifest/{one['layer']}.json.gz"
    same = split.keys() - {"channels", "files"}
    assert {key: entire[key] for key in same} == {key: split[key] for key in same}


def test_the_parts_have_all_that_the_whole_has(both):
    parts = parts_of(both[1])
    assert list(parts) == ["conv2d0.json.gz", "mixed3a.json.gz"]
    assert [part["layer"] for part in parts.values()] == ["conv2d0", "mixed3a"]
    assert {part["format"] for part in parts.values()} == {1}
    entries = [entry for part in parts.values() for entry in part["channels"]]
    assert entries == manifest_of(both[0])["channels"]


def test_a_split_one_names_every_other_file(both):
    split = manifest_of(both[1])
    pages = {entry["page"] for entry in split["channels"]}
    sheets = {tile["sheet"] for entry in split["channels"] for tile in entry["renders"]}
    assert {*split["files"], *pages, *sheets} == set(snapshot(both[1])) - {"manifest.json"}
    assert "manifest/conv2d0.json.gz" in split["files"]


def test_parts_have_the_same_bytes_every_time(both):
    """gzip would put the time of day into its head."""
    parts = list((both[1] / "manifest").iterdir())
    assert {path.read_bytes()[4:8] for path in parts} == {b"\0\0\0\0"}


def test_it_splits_above_its_limit_only(monkeypatch):
    atlas = small()
    plan = plan_sheets(atlas, "avif")
    (_, data), = manifest_files(atlas, plan, {}, [])  # fmt: skip
    details = sum(
        len(json.dumps({k: v for k, v in one.items() if k in DETAILS}, separators=(",", ":")))
        for one in json.loads(data)["channels"]
    )
    for limit, amount in ((details, 1), (details - 1, 2)):
        monkeypatch.setattr("atlas.site.manifest.LIMIT", limit)
        assert len(list(manifest_files(atlas, plan, {}, []))) == amount


DETAILS = {"examples", "whole", "spectrum", "histogram", "classes", "similar"}


def test_the_manifest_comes_last(monkeypatch):
    monkeypatch.setattr("atlas.site.manifest.LIMIT", 1)
    atlas = small()
    paths = [path for path, _ in manifest_files(atlas, plan_sheets(atlas, "avif"), {}, [])]
    assert paths == ["manifest/mixed3a.json.gz", "manifest.json"]


def test_a_lost_part_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr("atlas.site.manifest.LIMIT", 1)
    index = FakeIndex()
    build(tmp_path, small(), index=index)
    part = tmp_path / "manifest" / "mixed3a.json.gz"
    data = part.read_bytes()
    part.unlink()
    build(tmp_path, small(), index=index)
    assert part.read_bytes() == data
