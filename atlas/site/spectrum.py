"""The spectrum of a channel: a histogram of the photographs' maxima over crops of its ten bands.

The histogram is drawn over the range of the bands, so that on a wide page each band's crops hang
under their part of it. Its path is in units of buckets and 1/`HEIGHT` of the tallest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from atlas.site.catalogue import BandRecord, ChannelRecord, HistogramRecord
from atlas.site.links import Links
from atlas.site.sheets import Picture, Tile
from atlas.site.text import clean, count, number

HEIGHT = 200
LEAST = 2
"""Least height of a bucket that is not empty, so that one image among thousands is seen."""


@dataclass(frozen=True)
class Band:
    """One of the ten bands: the words of its range, and a few crops, weakest first."""

    span: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Histogram:
    """The drawing: its view box, the outlines below and above zero, and what it says in words.

    `zero` is where zero lies, in per cent of the width, None if outside; half of the images are
    below `median`.
    """

    box: str
    below: str
    above: str
    zero: str | None
    median: str
    title: str
    description: str


@dataclass(frozen=True)
class Spectrum:
    """The histogram, None if there is none, its two ends, and the bands, lowest first."""

    histogram: Histogram | None
    low: str
    high: str
    bands: tuple[Band, ...]


def spectrum_of(
    record: ChannelRecord, tiles: Sequence[Sequence[Tile]], links: Links
) -> Spectrum | None:
    """The spectrum of a channel, if its photographs differ at all."""
    if not record.spectrum:
        return None
    low, high = record.spectrum[0].low, record.spectrum[-1].high
    histogram = draw(record.histogram, low, high) if record.histogram is not None else None
    pairs = zip(record.spectrum, tiles, strict=True)
    bands = tuple(_band(band, row, links) for band, row in pairs)
    return Spectrum(histogram, number(low), number(high), bands)


def draw(histogram: HistogramRecord, low: float, high: float) -> Histogram:
    """Draw a histogram from `low` to `high`, which must differ."""
    width = histogram.width
    first = math.floor(histogram.start / width + 0.5)  # zero is the edge of bucket 0
    split = min(max(-first, 0), len(histogram.counts))
    box = f"{low / width - first:.4g} 0 {(high - low) / width:.4g} {HEIGHT}"
    tallest = max(histogram.counts)
    place = histogram.start + histogram.counts.index(tallest) * width
    images = count(histogram.images, "photograph")
    return Histogram(
        box=box,
        below=_outline(histogram.counts[:split], 0, tallest),
        above=_outline(histogram.counts[split:], split, tallest),
        zero=f"{-100 * low / (high - low):.2f}%" if low < 0 < high else None,
        median=number(_median(histogram)),
        title=f"Histogram of the maxima of {images}, from {number(low)} to {number(high)}",
        description=(
            f"The tallest column stands for {count(tallest, 'photograph')} with a maximum between "
            f"{number(place)} and {number(place + width)}."
        ),
    )


def _band(band: BandRecord, tiles: Sequence[Tile], links: Links) -> Band:
    pictures = []
    for crop, tile in zip(band.examples, tiles, strict=True):
        alt = f"{clean(crop.title, 60)}, {number(crop.activation)}"
        pictures.append(links.picture(tile, alt, "../"))
    return Band(f"{number(band.low)} to {number(band.high)}", tuple(pictures))


def _outline(counts: Sequence[int], start: int, tallest: int) -> str:
    """The silhouette of some buckets as the path of an SVG; empty if all are."""
    if not any(counts):
        return ""
    return f"M{start} {HEIGHT}{''.join(_steps(counts, tallest))}V{HEIGHT}z"


def _steps(counts: Sequence[int], tallest: int) -> Iterator[str]:
    heights = (max(round(HEIGHT * n / tallest), LEAST) if n else 0 for n in counts)
    for height, group in groupby(heights):
        yield f"V{HEIGHT - height}h{len(list(group))}"


def _median(histogram: HistogramRecord) -> float:
    """The value half of the images are below, taking those of a bucket to be spread evenly."""
    half, before = histogram.images / 2, 0
    for i, n in enumerate(histogram.counts):
        if before + n >= half:
            return histogram.start + (i + (half - before) / n) * histogram.width
        before += n
    raise AssertionError("half of the images are in no bucket")
