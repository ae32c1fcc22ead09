import io

import numpy as np
import pytest
from fake import FakeIndex, FakeMedia, catalogue, channel, examples, googlenet_layers, renders
from PIL import Image

from atlas.errors import WorkError
from atlas.site.encode import compose, encode, make_sheets, strip_key
from atlas.site.sheets import LONGEST, Strip, plan_sheets, stylesheet
from atlas.units import Branch, Layer

WIDE = Layer("wide", (Branch("all", 0, 70),))


def test_paths_and_places_follow_the_contract():
    plan = plan_sheets(catalogue(), "avif")
    tiles = plan.renders["mixed4c:7"]
    assert {t.sheet for t in tiles} == {"media/renders/mixed4c/7.avif"}
    assert [t.box for t in tiles] == [(i * 48, 0, 48, 48) for i in range(7)]
    tiles = plan.examples["mixed4c:7"]
    assert {t.sheet for t in tiles} == {"media/examples/mixed4c/7.avif"}
    assert tiles[17].box == (17 * 112, 0, 112, 112)
    assert plan.thumbs["mixed4c:40"][1].sheet == "media/layers/mixed4c-01.avif"
    assert plan.thumbs["mixed4c:40"][1].box == (8 * 128, 0, 128, 128)


def test_thumbnail_is_the_positive_render_or_the_first_there_is():
    only = channel(WIDE, 1, renders=renders("wide:1", ("neuron", "negative")))
    plan = plan_sheets(catalogue((WIDE,), [channel(WIDE, 0), only]), "webp")
    assert plan.thumbs["wide:0"][0].kind == "positive"
    assert plan.thumbs["wide:1"][0].kind == "neuron"


def test_a_layer_of_several_strips_gets_one_of_samples():
    plan = plan_sheets(catalogue((WIDE,), [channel(WIDE, i) for i in range(70)]), "avif")
    assert [c.index for c, _ in plan.samples["wide"]] == [0, 8, 17, 26, 35, 43, 52, 61]
    assert {t.sheet for _, t in plan.samples["wide"]} == {"media/layers/wide-samples.avif"}


def test_long_strips_are_cut():
    many = channel(WIDE, 0, examples=examples("wide:0", 60))
    plan = plan_sheets(catalogue((WIDE,), [many]), "jpeg")
    tiles = plan.examples["wide:0"]
    rest = 120 + 26 - LONGEST  # 27 photographs in the spectrum, one of them the first of all
    assert [t.count for t in tiles] == [LONGEST] * LONGEST + [rest] * (120 - LONGEST)
    assert tiles[LONGEST].sheet == "media/examples/wide/0-1.jpg"
    assert tiles[LONGEST].index == 0
    assert plan.spectrum["wide:0"][0][0].sheet == "media/examples/wide/0-1.jpg"


def test_no_strip_is_wider_than_a_format_can_say():
    kinds = ("neuron",) * 80
    wide = [channel(WIDE, 0, renders=renders("wide:0", kinds, 256))]
    for strip in plan_sheets(catalogue((WIDE,), wide), "webp").strips:
        assert len(strip.sources) * strip.size <= 16_383


def test_a_crop_that_is_shown_twice_is_laid_once():
    plan = plan_sheets(catalogue(), "avif")
    tiles, bands = plan.examples["mixed4c:7"], plan.spectrum["mixed4c:7"]
    assert [len(band) for band in bands] == [3, 3, 3, 3, 3, 3, 3, 0, 3, 3]
    assert bands[9][2] == tiles[0]
    assert bands[0][0].index == 18
    assert {t.count for t in tiles} == {18 + 26}
    strip = next(s for s in plan.strips if s.path == "media/examples/mixed4c/7.avif")
    assert len(strip.sources) == 18 + 26


def test_four_neighbours_share_a_strip_of_whole_photographs():
    channels = [channel(WIDE, i) for i in (0, 1, 2, 3, 5)]
    channels += [channel(WIDE, 7, whole=None), channel(WIDE, 60), channel(WIDE, 61)]
    plan = plan_sheets(catalogue((WIDE,), channels), "avif")
    first, second = "media/examples/wide/whole-000.avif", "media/examples/wide/whole-001.avif"
    strips = {s.path: s.sources for s in plan.strips if "whole" in s.path}
    assert {path: len(sources) for path, sources in strips.items()} == {first: 8, second: 6}
    assert [(s.index, s.lit) for s in strips[second]] == [
        (5, False), (5, True), (60, False), (60, True), (61, False), (61, True),
    ]  # fmt: skip
    assert [tile.box for tile in plan.wholes["wide:60"]] == [
        (448, 0, 224, 224),
        (672, 0, 224, 224),
    ]
    assert "wide:7" not in plan.wholes


def test_a_group_stays_where_it_is_without_the_photographs_of_another():
    channels = [channel(WIDE, i, **({"whole": None} if i < 4 else {})) for i in range(6)]
    plan = plan_sheets(catalogue((WIDE,), channels), "webp")
    strips = [s.path for s in plan.strips if "whole" in s.path]
    assert strips == ["media/examples/wide/whole-001.webp"]


def test_tiles_are_capped_and_as_large_as_the_largest_render():
    mixed = renders("wide:0", ("neuron",), 64) + renders("wide:0", ("positive",), 96)
    large = renders("wide:1", size=512)
    both = [channel(WIDE, 0, renders=mixed), channel(WIDE, 1, renders=large)]
    plan = plan_sheets(catalogue((WIDE,), both), "avif")
    assert plan.renders["wide:0"][0].size == 96
    assert plan.renders["wide:1"][0].size == 256


def test_no_two_strips_share_a_file_in_the_whole_of_googlenet():
    layers = googlenet_layers()
    channels = [channel(la, i) for la in layers for i in range(la.channels)]
    paths = [strip.path for strip in plan_sheets(catalogue(layers, channels), "avif").strips]
    assert len(paths) == len(set(paths))
    assert len(paths) + len(channels) < 20_000


def test_compose_resizes_without_stretching():
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[:, None], (1, 64))
    ramp = np.stack([ramp] * 3, axis=-1)
    strip = np.asarray(compose([ramp, ramp[::2, ::2]], 32))
    assert strip.shape == (32, 64, 3)
    expected = np.asarray(Image.fromarray(ramp).resize((32, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(strip[:, :32], expected)
    np.testing.assert_array_equal(strip[:, 32:], ramp[::2, ::2])


def test_compose_refuses_what_it_would_have_to_stretch():
    with pytest.raises(WorkError, match="not a square"):
        compose([np.zeros((10, 12, 3), np.uint8)], 8)


@pytest.mark.parametrize("format", ["avif", "webp", "jpeg"])
def test_encoding_is_deterministic_and_close(format):
    media = FakeMedia()
    image = compose([media.render(r) for r in renders("a:0")], 48)
    data = encode(image, format, 90)
    assert data == encode(image, format, 90)
    with Image.open(io.BytesIO(data)) as read:
        assert read.size == (336, 48)
        error = np.asarray(read.convert("RGB"), float) - np.asarray(image, float)
    assert np.abs(error).mean() < 4


def test_made_sheets_are_not_made_again(tmp_path):
    plan, index, media = plan_sheets(catalogue(), "webp"), FakeIndex(), FakeMedia()
    first = make_sheets(plan.strips, media, tmp_path, index, "webp", 50)
    assert (first.encoded, first.reused) == (len(plan.strips), 0)
    media = FakeMedia()
    second = make_sheets(plan.strips, media, tmp_path, index, "webp", 50)
    assert (second.encoded, second.reused) == (0, len(plan.strips))
    assert not media.asked
    (tmp_path / plan.strips[0].path).write_bytes(b"damaged")
    assert make_sheets(plan.strips, media, tmp_path, index, "webp", 50).encoded == 1


def test_key_depends_on_everything_that_decides_the_bytes():
    sources = renders("a:0")
    base = (Strip("x", 48, sources), FakeMedia(), "avif", 50)
    variants = [
        (Strip("x", 64, sources), FakeMedia(), "avif", 50),
        (Strip("x", 48, sources[::-1]), FakeMedia(), "avif", 50),
        (Strip("x", 48, sources), FakeMedia(salt="other"), "avif", 50),
        (Strip("x", 48, sources), FakeMedia(), "webp", 50),
        (Strip("x", 48, sources), FakeMedia(), "avif", 51),
    ]
    keys = {strip_key(*base)} | {strip_key(*variant) for variant in variants}
    assert len(keys) == 1 + len(variants)
    assert strip_key(Strip("elsewhere", 48, sources), FakeMedia(), "avif", 50) in keys


def test_stylesheet_can_show_every_tile_and_is_small():
    css = stylesheet()
    assert f".n{LONGEST}{{--n:{LONGEST - 1}}}" in css
    assert f".i{LONGEST - 1}{{--i:{LONGEST - 1}}}" in css
    assert len(css) < 3000
