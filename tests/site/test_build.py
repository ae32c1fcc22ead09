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
    googlenet_layers,
    snapshot,
    whole,
)

import atlas.site.manifest
from atlas.errors import ConfigError, OutputError
from atlas.site import build_site
from atlas.site.files import prune
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
        ((catalogue(), QUICK), (small(), QUICK)),
        ((small(), QUICK), (catalogue(dataset=False), QUICK)),
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
