"""Maps of a build: made once, the same however often interrupted, and shown on the site."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from atlas.build import Project
from atlas.config import Config
from atlas.gather import StoreMedia
from atlas.site.catalogue import CropRecord, WholeRecord, WholeTile
from atlas.spotlight import SIDE
from atlas.store import key_of
from tests.conftest import make_photo

UNITS = "conv2d0:0-4,mixed5a:3,mixed5a:7"


@pytest.fixture
def folder(tmp_path):
    """Ten pictures of several shapes in two classes."""
    rng = np.random.default_rng(4)
    for i in range(10):
        of_class = tmp_path / "photos" / "ab"[i % 2]
        of_class.mkdir(parents=True, exist_ok=True)
        make_photo(rng, (90, 64, 120)[i % 3], (64, 100, 80)[i % 3]).save(of_class / f"{i}.png")
    return tmp_path


@pytest.fixture
def project(folder):
    """Opens the atlas of `folder` anew; its parts may be changed."""

    def opened(units=UNITS, **site):
        return Project(
            Config.model_validate(
                {
                    "units": units,
                    "store": folder / "store",
                    "model": {"name": "googlenet-mini"},
                    "dataset": {"source": f"folder:{folder / 'photos'}", "examples": 3},
                    "site": {"out": folder / "site", "format": "webp"} | site,
                }
            ),
            quiet=True,
        )

    return opened


def maps_in(one):
    """The bytes of a project's maps, by layer."""
    return {la: one.store.read(key_of(one.dataset.heat._recipe(la))) for la in one.plan.examples}


def test_maps_peak_where_the_table_says(project):
    one = project()
    one.examples()
    one.dataset.illustrate()
    assert one.dataset.heat.missing() == []
    assert sorted(one.dataset.heat.of("mixed5a")) == [3, 7]
    for layer in one.plan.examples:
        table = one.dataset.table(layer)
        for channel, map_ in one.dataset.heat.of(layer).items():
            assert map_.max() == pytest.approx(table.top_value[channel, 0], rel=1e-4, abs=1e-4)
            at = np.unravel_index(map_.argmax(), map_.shape)
            assert at == tuple(table.top_position[channel, 0])
    one.finish()


def test_nothing_is_made_on_a_dry_run_or_while_another_shard_is_out(project):
    one = project()
    one.examples(dry_run=True)
    assert one.dataset.heat.missing() == ["conv2d0", "mixed5a"]
    one.examples((2, 2))
    one.dataset.illustrate()
    assert one.dataset.heat.missing() == ["conv2d0", "mixed5a"]
    one.examples((1, 2))
    one.dataset.illustrate()
    assert one.dataset.heat.missing() == []
    one.finish()


def test_an_interrupted_run_ends_with_the_same_maps(project, folder):
    one = project()
    one.examples()
    one.dataset.illustrate()
    before = maps_in(one)
    key = key_of(one.dataset.heat._recipe("mixed5a"))
    (folder / "store" / "objects" / key[:2] / f"{key}.safetensors").write_bytes(b"damaged")
    assert one.dataset.heat.missing() == ["mixed5a"]
    one.examples()
    one.dataset.illustrate()
    assert maps_in(one) == before
    one.finish()


def test_the_second_build_looks_at_no_photograph(project, monkeypatch):
    first = project()
    first.examples()
    first.pages()
    assert first.finish().site.sheets_encoded > 0
    second = project()
    monkeypatch.setattr(second.dataset.source, "load", pytest.fail)
    second.examples()
    second.pages()
    site = second.finish().site
    assert (site.pages_written, site.sheets_encoded, site.removed) == (0, 0, 0)


def test_the_site_shows_them_unless_photographs_stay_home(project, folder):
    one = project()
    one.examples()
    one.pages()
    one.finish()
    strips = folder / "site" / "media" / "examples"
    manifest = json.loads((folder / "site" / "manifest.json").read_bytes())
    wholes = [channel["whole"] for channel in manifest["channels"]]
    assert [one["sheet"].rpartition("/")[2] for one in wholes] == ["whole-000.webp"] * 7
    assert [one["tile"][0] // SIDE for one in wholes] == [0, 2, 4, 6, 8, 0, 2]
    assert wholes[0]["source"] == manifest["channels"][0]["examples"][0]["source"]
    assert len(list(strips.rglob("whole-*.webp"))) == 2
    bare = project(publish_examples=False)
    bare.pages()
    bare.finish()
    assert not list(folder.joinpath("site").rglob("whole-*"))
    manifest = json.loads((folder / "site" / "manifest.json").read_bytes())
    assert {channel["whole"] for channel in manifest["channels"]} == {None}


def test_a_site_without_maps_does_without_the_figure(project, folder, monkeypatch):
    one = project()
    one.examples()
    monkeypatch.setattr(one.dataset, "illustrate", lambda: None)
    one.pages()
    one.finish()
    page = (folder / "site" / "mixed5a" / "7.html").read_text("utf-8")
    assert "Photographs that agree" in page
    assert "Where it fires" not in page


def test_digests_change_with_photograph_crop_and_map(project, folder):
    one = project()
    one.examples()
    one.dataset.illustrate()
    media = StoreMedia(one.store, one.dataset)
    crop = CropRecord("a/0.png", "a", 1.0, (0, 0), (4, 4, 30, 30))
    record = WholeRecord(crop, "0" * 64)
    tiles = [WholeTile("mixed5a", 3, record, lit) for lit in (False, True)]
    before = [media.whole_digest(tile) for tile in tiles]
    assert len(set(before)) == 2
    assert [media.whole(tile).shape for tile in tiles] == [(SIDE, SIDE, 3)] * 2
    elsewhere = replace(record, example=replace(crop, crop=(5, 4, 31, 30)))
    assert media.whole_digest(replace(tiles[0], record=elsewhere)) != before[0]
    other = replace(record, map_sha256="1" * 64)
    assert media.whole_digest(replace(tiles[1], record=other)) != before[1]
    shutil.copy(folder / "photos" / "b" / "1.png", folder / "photos" / "a" / "0.png")
    after = [media.whole_digest(tile) for tile in tiles]
    assert not set(after) & set(before)
    one.finish()
