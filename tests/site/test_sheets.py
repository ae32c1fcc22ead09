import io

import numpy as np
import pytest
from fake import FakeIndex, FakeMedia, catalogue, channel, examples, googlenet_layers, renders
from PIL import Image

from atlas.errors import WorkError
from atlas.site.encode import Encoder, compose, encode, make_sheets, strip_key
from atlas.site.ledger import Ledger
from atlas.site.sheets import LONGEST, Card, Strip, plan_sheets, stylesheet
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
    assert plan.similar["wide:0"] == []
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
    crops = 18 + 26
    assert {t.count for t in tiles} == {crops + len(plan.similar["mixed4c:7"])}
    assert len(strip(plan, "media/examples/mixed4c/7.avif").sources) == crops + 3


def strip(plan, path):
    """The strip with this path."""
    (found,) = [one for one in plan.strips if one.path == path]
    return found


def test_similar_channels_are_last_in_the_strip_of_crops():
    atlas = catalogue()
    plan = plan_sheets(atlas, "avif")
    record = next(one for one in atlas.channels if one.name == "mixed4c:7")
    assert [tile.index for tile in plan.similar["mixed4c:7"]] == [44, 45, 46]
    assert {tile.sheet for tile in plan.similar["mixed4c:7"]} == {"media/examples/mixed4c/7.avif"}
    shown = strip(plan, "media/examples/mixed4c/7.avif").sources[44:]
    assert shown == tuple(plan.thumbs[one.name][0] for one in record.similar)


def test_similar_channels_without_photographs_have_a_strip_among_the_renders():
    atlas = catalogue().without_photographs()
    plan = plan_sheets(atlas, "avif")
    path = "media/renders/mixed4c/7-similar.avif"
    assert [(t.sheet, t.index, t.size) for t in plan.similar["mixed4c:7"]] == [
        (path, 0, 112), (path, 1, 112), (path, 2, 112),
    ]  # fmt: skip
    assert not strip(plan, path).of_photographs
    assert not [one.path for one in plan.strips if "examples" in one.path]


def test_a_similar_channel_without_renders_has_no_picture():
    one, two, three = (
        channel(WIDE, i, **({"renders": ()} if i == 2 else {})) for i in (1, 2, 3)
    )  # fmt: skip
    plan = plan_sheets(catalogue((WIDE,), [one, two, three]), "avif")
    assert [tile and tile.index for tile in plan.similar["wide:1"]] == [None, 44]
    assert [tile.index for tile in plan.similar["wide:2"]] == [44, 45]


def test_eight_neighbours_share_a_strip_of_whole_photographs():
    channels = [channel(WIDE, i) for i in (0, 1, 2, 3, 5)]
    channels += [channel(WIDE, 7, whole=None), *(channel(WIDE, i) for i in (60, 61, 62, 63))]
    plan = plan_sheets(catalogue((WIDE,), channels), "avif")
    first, second = "media/examples/wide/whole-000.avif", "media/examples/wide/whole-001.avif"
    strips = {s.path: s.sources for s in plan.strips if "whole" in s.path}
    assert {path: len(sources) for path, sources in strips.items()} == {first: 14, second: 4}
    assert [(s.index, s.lit) for s in strips[second]] == [
        (62, False), (62, True), (63, False), (63, True),
    ]  # fmt: skip
    assert [tile.box for tile in plan.wholes["wide:60"]] == [
        (10 * 224, 0, 224, 224),
        (11 * 224, 0, 224, 224),
    ]
    assert "wide:7" not in plan.wholes


def test_a_group_stays_where_it_is_without_the_photographs_of_another():
    channels = [channel(WIDE, i, **({"whole": None} if i < 8 else {})) for i in range(10)]
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


def test_compose_stands_pictures_in_rows_of_columns():
    pictures = [np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)]
    card = np.asarray(compose(pictures, 4, 2))
    assert card.shape == (12, 8, 3)
    assert card[::4, ::4, 0].tolist() == [[10, 20], [30, 40], [50, 0]]


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


def test_a_layer_has_a_card_if_there_are_to_be_any():
    channels = [channel(WIDE, i) for i in range(70)]
    assert plan_sheets(catalogue((WIDE,), channels), "avif").cards == {}
    plan = plan_sheets(catalogue((WIDE,), channels), "avif", cards=True)
    assert plan.cards == {"wide": Card("media/cards/wide.jpg", 1260, 630)}
    assert (strip(plan, "media/cards/wide.jpg").columns, plan.strips[-1].size) == (6, 210)


@pytest.mark.parametrize(
    ("channels", "pictures", "size"),
    [(70, 18, (1260, 630)), (17, 8, (1260, 630)), (7, 2, (1260, 630)), (1, 1, (630, 630))],
)
def test_a_card_is_a_jpeg_of_as_many_pictures_as_fill_it(tmp_path, channels, pictures, size):
    atlas = catalogue((WIDE,), [channel(WIDE, i) for i in range(channels)])
    card = strip(plan_sheets(atlas, "avif", cards=True), "media/cards/wide.jpg")
    assert len({source.recipe_sha256 for source in card.sources}) == pictures
    make([card], tmp_path)
    with Image.open(tmp_path / card.path) as image:
        assert (image.format, image.size) == ("JPEG", size)


def make(strips, out, index=None, media=None, quality=50):
    """Make strips; returns how many were encoded and how many reused."""
    index = index or FakeIndex()
    ledger = Ledger(out, index)
    encoder = Encoder("webp", quality, quality)
    counts = make_sheets(strips, media or FakeMedia(), out, index, ledger, encoder)
    ledger.save("all")
    return counts.encoded, counts.reused


@pytest.fixture
def strips():
    channels = [channel(WIDE, 0), channel(WIDE, 1)]
    return plan_sheets(catalogue((WIDE,), channels), "webp").strips


def test_made_sheets_are_not_made_again(tmp_path, strips):
    index, media = FakeIndex(), FakeMedia()
    assert make(strips, tmp_path, index) == (len(strips), 0)
    assert make(strips, tmp_path, index, media) == (0, len(strips))
    assert not media.asked


def test_without_the_ledger_digests_tell_what_is_made(tmp_path, strips):
    index, media = FakeIndex(), FakeMedia()
    make(strips, tmp_path, index)
    known = {key: value for key, value in index.known.items() if not key.startswith("ledger")}
    assert make(strips, tmp_path, FakeIndex(known), media) == (0, len(strips))
    assert not media.asked


def test_a_spoilt_sheet_alone_is_made_again(tmp_path, strips):
    index = FakeIndex()
    make(strips, tmp_path, index)
    path = tmp_path / strips[0].path
    data = path.read_bytes()
    path.write_bytes(b"damaged")
    assert make(strips, tmp_path, index) == (1, len(strips) - 1)
    assert path.read_bytes() == data


def test_other_pixels_or_another_quality_make_sheets_again(tmp_path, strips):
    index = FakeIndex()
    make(strips, tmp_path, index)
    assert make(strips, tmp_path, index, quality=60) == (len(strips), 0)
    assert make(strips, tmp_path, index, FakeMedia(salt="x"), 60) == (len(strips), 0)


def test_quality_is_of_renders_or_of_photographs():
    encoder = Encoder("avif", 45, 40)
    both = (*examples("a:0", 1), *renders("a:0"))
    found = [encoder.of(Strip("x", 48, sources)) for sources in (renders("a:0"), both)]
    assert found == [("avif", 45), ("avif", 40)]
    assert encoder.of(Strip("x", 48, renders("a:0"), 2)) == ("jpeg", 80)


def test_key_depends_on_everything_that_decides_the_bytes():
    sources = renders("a:0")
    encoder = Encoder("avif", 50, 40)
    base = (Strip("x", 48, sources), FakeMedia(), encoder)
    variants = [
        (Strip("x", 64, sources), FakeMedia(), encoder),
        (Strip("x", 48, sources[::-1]), FakeMedia(), encoder),
        (Strip("x", 48, sources, 7), FakeMedia(), encoder),
        (Strip("x", 48, sources), FakeMedia(salt="other"), encoder),
        (Strip("x", 48, sources), FakeMedia(), Encoder("webp", 50, 40)),
        (Strip("x", 48, sources), FakeMedia(), Encoder("avif", 51, 40)),
    ]
    keys = {strip_key(*base)} | {strip_key(*variant) for variant in variants}
    assert len(keys) == 1 + len(variants)
    assert strip_key(Strip("elsewhere", 48, sources), FakeMedia(), encoder) in keys
    assert strip_key(base[0], FakeMedia(), Encoder("avif", 50, 41)) in keys  # of photographs only


def test_stylesheet_can_show_every_tile_and_is_small():
    css = stylesheet()
    assert f".n{LONGEST}{{--n:{LONGEST - 1}}}" in css
    assert f".i{LONGEST - 1}{{--i:{LONGEST - 1}}}" in css
    assert len(css) < 3000
