"""An example table → the records of its channels: crops, spectrum, histogram, classes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from atlas.examples.crop import crop_boxes
from atlas.examples.receptive import ReceptiveField
from atlas.examples.sources import Source
from atlas.examples.table import BANDS, ExampleTable
from atlas.examples.view import Viewing
from atlas.site.catalogue import (
    BandRecord,
    ClassRecord,
    CropRecord,
    ExampleRecord,
    HistogramRecord,
    Side,
    WholeRecord,
)

PER_BAND = 3
"""Images of a band that are shown: with the two sides they fit into one strip and one page."""

_Place = TypeVar("_Place", tuple[int, int], tuple[int, int, int, int])


@dataclass(frozen=True)
class Photographs:
    """What photographs tell of one channel; see `ChannelRecord`."""

    examples: tuple[ExampleRecord, ...]
    spectrum: tuple[BandRecord, ...]
    histogram: HistogramRecord | None
    classes: tuple[ClassRecord, ...]
    whole: WholeRecord | None


class Crops:
    """Which part of its source image a map position sees; sizes of images are read once each."""

    def __init__(self, source: Source, viewing: Viewing) -> None:
        self.source, self._viewing = source, viewing
        self._sizes: dict[int, tuple[int, int]] = {}
        self._places: dict[tuple[int, ...], tuple[int, ...]] = {}

    def measure(self, images: Iterable[int]) -> None:
        """Read the sizes of images that will be asked for, in the order of the dataset: sources
        that read many rows at a time read them once."""
        for image in sorted(set(images)):
            self._size(image)

    def boxes(
        self, images: NDArray[np.int64], field: ReceptiveField, positions: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """(…, 4) crops of images (…) at positions (…, 2); where an image is −1, of no meaning."""
        distinct, places = np.unique(images, return_inverse=True)
        sizes = np.array([self._size(image) for image in distinct.tolist()], dtype=np.int64)
        return crop_boxes(field, positions, sizes[places.reshape(images.shape)], self._viewing)

    def one(self, place: _Place) -> _Place:
        """The first place that was equal to this one: records share it, being a million."""
        return cast(_Place, self._places.setdefault(place, place))

    def _size(self, image: int) -> tuple[int, int]:
        if image < 0:
            return 1, 1
        if image not in self._sizes:
            self._sizes[image] = self.source.size(image)
        return self._sizes[image]


def shown(table: ExampleTable, channels: Sequence[int]) -> set[int]:
    """The images of which some channels' pages show a crop."""
    rows = np.array(channels, dtype=np.int64)
    lists = (table.top_image, table.bottom_image, table.band_image[:, :, :PER_BAND])
    return {int(i) for images in lists for i in np.unique(images[rows]) if i >= 0}


def photographs_of(
    table: ExampleTable,
    channels: Sequence[int],
    field: ReceptiveField,
    crops: Crops,
    maps: Mapping[int, NDArray[np.float32]],
) -> dict[int, Photographs]:
    """The records of some channels of a layer, by number; `maps` are of their best photographs."""
    rows = np.array(channels, dtype=np.int64)

    def cut(
        image: NDArray[np.int64], value: NDArray[np.float32], position: NDArray[np.int64]
    ) -> list[list[CropRecord]]:
        return _cut(image[rows], value[rows], position[rows], field, crops)

    top = cut(table.top_image, table.top_value, table.top_position)
    bottom = cut(table.bottom_image, table.bottom_value, table.bottom_position)
    bands = [
        cut(
            table.band_image[:, band, :PER_BAND],
            table.band_value[:, band, :PER_BAND],
            table.band_position[:, band, :PER_BAND],
        )
        for band in range(BANDS)
    ]
    found = {}
    for row, channel in enumerate(channels):
        histogram = histogram_of(table, channel)
        found[channel] = Photographs(
            (*_side("positive", top[row]), *_side("negative", bottom[row])),
            _spectrum(table, channel, histogram, [band[row] for band in bands]),
            histogram,
            _classes(table, channel, histogram),
            _whole(channel, top[row], maps),
        )
    return found


def _cut(
    image: NDArray[np.int64],
    value: NDArray[np.float32],
    position: NDArray[np.int64],
    field: ReceptiveField,
    crops: Crops,
) -> list[list[CropRecord]]:
    """The crops of N channels' lists (N, k), without the empty places."""
    boxes = crops.boxes(image, field, position)
    items = crops.source.items
    return [
        [
            CropRecord(
                items[number].id,
                items[number].label,
                float(f"{activation:.9g}"),  # all of a float32 and no digit more
                crops.one((y, x)),
                crops.one((x0, y0, x1, y1)),
            )
            for number, activation, (y, x), (x0, y0, x1, y1) in zip(*lists, strict=True)
            if number >= 0
        ]
        for lists in zip(
            image.tolist(), value.tolist(), position.tolist(), boxes.tolist(), strict=True
        )
    ]


def _side(side: Side, crops: Sequence[CropRecord]) -> tuple[ExampleRecord, ...]:
    return tuple(
        ExampleRecord(
            crop.source, crop.label, crop.activation, crop.position, crop.crop, side, rank
        )
        for rank, crop in enumerate(crops)
    )


def _whole(
    channel: int, top: Sequence[CropRecord], maps: Mapping[int, NDArray[np.float32]]
) -> WholeRecord | None:
    if not top or channel not in maps:
        return None
    map_ = maps[channel]
    digest = hashlib.sha256(f"{map_.shape}".encode() + map_.tobytes()).hexdigest()
    return WholeRecord(top[0], digest, bool((map_ > 0).any()))


def _spectrum(
    table: ExampleTable,
    channel: int,
    histogram: HistogramRecord | None,
    bands: Sequence[Sequence[CropRecord]],
) -> tuple[BandRecord, ...]:
    """Ten equal parts of the range of the images' maxima, none if they are all alike."""
    if histogram is None:
        return ()
    values = [crop.activation for band in bands for crop in band]
    low, high = _range(table, channel, histogram, values)
    if not low < high:
        return ()
    edges = [low + (high - low) * band / BANDS for band in range(BANDS)] + [high]
    return tuple(
        BandRecord(edges[i], edges[i + 1], tuple(sorted(band, key=lambda crop: crop.activation)))
        for i, band in enumerate(bands)
    )


def _range(
    table: ExampleTable, channel: int, histogram: HistogramRecord, values: Sequence[float]
) -> tuple[float, float]:
    """The smallest and the largest maximum of an image.

    A table that does not say the smallest leaves the histogram, which knows it to a bucket.
    """
    stats = table.stats
    high = float(stats["max"][channel])
    if "lowest_maximum" in stats:
        return float(stats["lowest_maximum"][channel]), high
    return min([histogram.start, *values]), high


def histogram_of(table: ExampleTable, channel: int) -> HistogramRecord | None:
    """The buckets from the first to the last that is not empty."""
    counts = table.histogram[channel]
    filled = np.flatnonzero(counts)
    if not len(filled):
        return None
    first, last = int(filled[0]), int(filled[-1])
    width = 2.0 ** int(table.histogram_exponent[channel])
    start = (int(table.histogram_first[channel]) + first) * width
    return HistogramRecord(start, width, tuple(counts[first : last + 1].tolist()))


def _classes(
    table: ExampleTable, channel: int, histogram: HistogramRecord | None
) -> tuple[ClassRecord, ...]:
    """The classes with the highest mean of maxima; selectivity as the histogram knows it."""
    mean, std = (histogram.mean, histogram.std) if histogram is not None else (0.0, 0.0)
    return tuple(
        ClassRecord(
            table.labels[index],
            value,
            int(table.class_count[index]),
            (value - mean) / std if std > 0 else math.nan,
        )
        for index, value in zip(
            table.class_index[channel].tolist(), table.class_mean[channel].tolist(), strict=True
        )
        if index >= 0
    )
