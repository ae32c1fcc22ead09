"""Store → catalogue: what a table of photographs says of a channel, and a site without any."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from atlas.config import Config
from atlas.examples.crop import crop_box
from atlas.examples.receptive import ReceptiveField
from atlas.examples.sources import Item
from atlas.examples.table import ExampleTable
from atlas.examples.view import Viewing
from atlas.gather import gather
from atlas.models.zoo import load_model
from atlas.photographs import PER_BAND, Crops, photographs_of
from atlas.plan import make_plan
from atlas.recipes import recipe_of
from atlas.site.catalogue import ChannelRecord
from atlas.store import Store

IMAGES, CHANNELS = 40, 3
FIELD, VIEWING = ReceptiveField(9, 4, -2), Viewing(40, 32)


class Source:
    """Forty images of several sizes in three classes; remembers whose size was asked for."""

    items = tuple(Item(f"{i % 3}/{i}.jpg", f"class {i % 3}") for i in range(IMAGES))

    def __init__(self):
        self.asked = []

    def size(self, index):
        self.asked.append(index)
        return 50 + index, 70


def lists(rng, *shape, low, high):
    image = rng.permuted(np.tile(np.arange(IMAGES), (*shape[:-1], 1)), axis=-1)[..., : shape[-1]]
    value = rng.uniform(low, high, shape).astype(np.float32)
    return image, value, rng.integers(0, 8, (*shape, 2))


@pytest.fixture
def table():
    """Maxima from 1 to 11 in buckets of 1/4, the band of [4, 5) empty, one place of a side too."""
    rng = np.random.default_rng(5)
    top, bottom = (lists(rng, CHANNELS, 4, low=lo, high=hi) for lo, hi in ((10, 11), (-9, -8)))
    top[0][:, 3] = -1
    band = lists(rng, CHANNELS, 10, 5, low=0, high=1)
    band[1][:] = np.sort(band[1])[..., ::-1] + 1 + np.arange(10)[:, None]
    band[0][:, 3] = -1
    histogram = np.zeros((CHANNELS, 128), dtype=np.int64)
    histogram[:, 3], histogram[:, 5], histogram[:, 42] = 10, 20, 10
    return ExampleTable(
        *top, *bottom, *band, *lists(rng, CHANNELS, 25, low=0, high=1),
        histogram=histogram,
        histogram_first=np.ones(CHANNELS, dtype=np.int64),
        histogram_exponent=np.full(CHANNELS, -2),
        class_index=np.array([[2, 0, -1]] * CHANNELS),
        class_mean=np.array([[8.0, 2.5, math.nan]] * CHANNELS),
        class_means=np.array([[2.5, 1.0, 8.0]] * CHANNELS, dtype=np.float32),
        class_count=np.array([14, 13, 13]),
        labels=("class 0", "class 1", "class 2"),
        images=IMAGES,
        stats={"max": np.full(CHANNELS, 11.0), "lowest_maximum": np.full(CHANNELS, 1.0)},
    )  # fmt: skip


def of(table, channel=1, maps=None):
    crops = Crops(Source(), VIEWING)
    return photographs_of(table, [channel], FIELD, crops, maps or {})[channel]


def test_examples_are_the_lists_of_both_sides(table):
    found = of(table)
    assert [(e.side, e.rank) for e in found.examples] == [
        *(("positive", rank) for rank in range(3)),
        *(("negative", rank) for rank in range(4)),
    ]
    one, number = found.examples[1], int(table.top_image[1, 1])
    assert (one.source, one.label) == (f"{number % 3}/{number}.jpg", f"class {number % 3}")
    assert np.float32(one.activation) == table.top_value[1, 1]
    assert one.position == tuple(table.top_position[1, 1])
    assert one.crop == crop_box(FIELD, one.position, (50 + number, 70), VIEWING)


def test_many_channels_at_once_are_each_alone(table):
    source = Source()
    crops = Crops(source, VIEWING)
    together = photographs_of(table, [2, 0, 1], FIELD, crops, {})
    assert together == {channel: of(table, channel) for channel in range(CHANNELS)}
    assert len(source.asked) == len(set(source.asked)) <= IMAGES


def test_the_best_photograph_is_shown_whole_where_there_is_a_map(table):
    map_ = np.full((8, 8), -1, np.float32)
    silent = of(table, 1, {1: map_}).whole
    first = of(table).examples[0]
    assert (silent.example.source, silent.example.crop) == (first.source, first.crop)
    assert not silent.fires
    fires = of(table, 1, {1: map_ + np.eye(8, dtype=np.float32) * 2}).whole
    assert fires.fires
    assert fires.map_sha256 != silent.map_sha256
    assert of(table, 1, {2: map_}).whole is None
    nothing = replace(table, top_image=np.full_like(table.top_image, -1))
    assert of(nothing, 1, {1: map_}).whole is None


def test_bands_are_tenths_of_the_range_each_from_low_to_high(table):
    found = of(table).spectrum
    assert [band.low for band in found] == pytest.approx(range(1, 11))
    assert [band.high for band in found] == pytest.approx(range(2, 12))
    assert [len(band.examples) for band in found] == [3, 3, 3, 0, 3, 3, 3, 3, 3, 3]
    for number, band in enumerate(found):
        shown = sorted(table.band_value[1, number, :PER_BAND]) if number != 3 else []
        assert [np.float32(crop.activation) for crop in band.examples] == shown


def test_without_the_lowest_maximum_the_histogram_knows_it_to_a_bucket(table):
    found = of(replace(table, stats={"max": table.stats["max"]})).spectrum
    assert found[0].low == 1.0  # the lower edge of bucket 3: (3 + 1) / 4
    assert found[9].high == 11.0


def test_a_channel_that_never_varies_has_no_spectrum(table):
    alike = {"max": np.full(CHANNELS, 11.0), "lowest_maximum": np.full(CHANNELS, 11.0)}
    assert of(replace(table, stats=alike)).spectrum == ()


def test_the_histogram_is_cut_to_what_is_filled(table):
    found = of(table).histogram
    assert (found.start, found.width, len(found.counts)) == (1.0, 0.25, 40)
    assert (found.counts[0], found.counts[2], found.counts[-1]) == (10, 20, 10)
    empty = replace(table, histogram=np.zeros_like(table.histogram))
    assert of(empty).histogram is None


def test_classes_come_with_count_and_selectivity(table):
    strongest, second = of(table).classes
    values = np.repeat([1.125, 1.625, 10.875], (10, 20, 10))  # the middles of three buckets
    assert (strongest.label, strongest.mean, strongest.count) == ("class 2", 8.0, 13)
    assert strongest.selectivity == pytest.approx((8 - values.mean()) / values.std())
    assert (second.label, second.count) == ("class 0", 14)
    assert second.selectivity < 0


def test_without_labels_there_are_no_classes(table):
    none = replace(
        table,
        labels=(),
        class_index=np.full_like(table.class_index, -1),
        class_count=np.zeros(0, dtype=np.int64),
    )
    assert of(none).classes == ()


def test_an_atlas_without_a_dataset_has_channels_without_photographs(tmp_path):
    config = Config.model_validate({"units": "mixed4c:7", "model": {"name": "googlenet-mini"}})
    network = load_model("googlenet-mini")
    plan = make_plan(config, recipe_of(config.render), network, None, "cpu")
    store = Store(tmp_path)
    catalogue, missing = gather(config, plan, store, network, None)
    store.close()
    assert missing == 7
    assert catalogue.dataset is None
    (channel,) = catalogue.channels
    assert channel == ChannelRecord("mixed4c", 7, channel.branch, renders=())
