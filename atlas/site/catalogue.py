"""What the site is made of: plain records that sheets, pages and the manifest are drawn from.

The build fills a `Catalogue` from the plan and the store; nothing here touches the disk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from atlas.units import Layer

Kind = Literal["neuron", "positive", "diverse", "negative"]
Side = Literal["positive", "negative"]


@dataclass(frozen=True, slots=True)
class RenderRecord:
    """One optimized image.

    `activation` is its score on the finished 8-bit image (DESIGN §2; negative for `negative`),
    `robust` the mean score under fresh random transforms, `share` the score by the highest one of
    any photograph. `saturation` is the share of values near black or white, `high_frequency` the
    share of power above 1/4 cycle per pixel, `diversity` how little a diverse image has in common
    with the others of its set (0 to 1).
    `started` is False when the optimization never found a gradient, `finite` when it overflowed;
    `reason` says in words why a render failed and is empty for one that did not.
    """

    kind: Kind
    number: int
    activation: float
    steps: int
    size: int
    seed: int
    recipe_sha256: str
    started: bool = True
    finite: bool = True
    reason: str = ""
    robust: float | None = None
    share: float | None = None
    saturation: float | None = None
    high_frequency: float | None = None
    diversity: float | None = None


@dataclass(frozen=True, slots=True)
class CropRecord:
    """One dataset crop: pre-ReLU `activation` at map `position` (y, x); `crop` in source pixels.

    `crop` is (x0, y0, x1, y1). `source` names the image inside the dataset; `label` is readable.
    """

    source: str
    label: str
    activation: float
    position: tuple[int, int]
    crop: tuple[int, int, int, int]

    @property
    def title(self) -> str:
        """What to call it: its label, or the name of its file where there is none."""
        return self.label.strip() or self.source.rpartition("/")[2] or "photograph"


@dataclass(frozen=True, slots=True)
class ExampleRecord(CropRecord):
    """One of a channel's strongest crops, or of those at its other end; `rank` counts from 0."""

    side: Side
    rank: int


@dataclass(frozen=True, slots=True)
class BandRecord:
    """One band of a channel's spectrum: a few of the images whose maximum is in [low, high)."""

    low: float
    high: float
    examples: tuple[CropRecord, ...]


@dataclass(frozen=True)
class HistogramRecord:
    """How many images have their maximum in [start + i·width, start + (i + 1)·width).

    The first and the last of `counts` are not zero.
    """

    start: float
    width: float
    counts: tuple[int, ...]

    @property
    def images(self) -> int:
        """How many images it counts."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Their mean, each taken to be at the middle of its bucket: right to half a bucket."""
        return math.fsum(n * x for n, x in self._buckets()) / self.images

    @property
    def std(self) -> float:
        """Their standard deviation, by the same measure; zero if one bucket has them all."""
        mean = self.mean
        return math.sqrt(math.fsum(n * (x - mean) ** 2 for n, x in self._buckets()) / self.images)

    def _buckets(self) -> Iterator[tuple[int, float]]:
        """Count and middle of every bucket."""
        for i, count in enumerate(self.counts):
            yield count, self.start + (i + 0.5) * self.width


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """A class that fires a channel: the mean of the maxima of its `count` images.

    `selectivity` is how many standard deviations of all images' maxima that mean is above theirs;
    not a number where nothing varies.
    """

    label: str
    mean: float
    count: int
    selectivity: float = math.nan


@dataclass(frozen=True, slots=True)
class SimilarRecord:
    """A channel that answers to the same classes as another: the `cosine` of their profiles."""

    layer: str
    index: int
    cosine: float

    @property
    def name(self) -> str:
        """The unit as it is written: ``mixed4c:447``."""
        return f"{self.layer}:{self.index}"


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """A channel that a class fires: the mean of the maxima of the class's images, and how many
    standard deviations of all images' maxima that is above theirs."""

    layer: str
    index: int
    mean: float
    selectivity: float

    @property
    def name(self) -> str:
        """The unit as it is written: ``mixed4c:447``."""
        return f"{self.layer}:{self.index}"


@dataclass(frozen=True)
class LabelRecord:
    """A class of the dataset: how many images it has, and the channels most selective for it,
    most selective first."""

    label: str
    count: int
    members: tuple[MemberRecord, ...]


@dataclass(frozen=True)
class WholeRecord:
    """A channel's strongest photograph, to be shown whole: its crop, and the digest of the
    channel's map over it; `fires` says whether the map is anywhere above zero."""

    example: CropRecord
    map_sha256: str
    fires: bool = True


@dataclass(frozen=True)
class WholeTile:
    """One of the two pictures of a channel's `WholeRecord`: with its crop outlined, or `lit` where
    the channel fires."""

    layer: str
    index: int
    record: WholeRecord
    lit: bool


@dataclass(frozen=True)
class ChannelRecord:
    """A channel, its renders in display order, its examples by side and rank, its statistics.

    `spectrum` are its ten bands, lowest first, `classes` those that fire it most, strongest first,
    `whole` is its strongest photograph, `similar` are the channels most like it, most like first.
    """

    layer: str
    index: int
    branch: str
    renders: tuple[RenderRecord, ...]
    examples: tuple[ExampleRecord, ...] = ()
    stats: Mapping[str, float] = field(default_factory=dict)
    spectrum: tuple[BandRecord, ...] = ()
    histogram: HistogramRecord | None = None
    classes: tuple[ClassRecord, ...] = ()
    whole: WholeRecord | None = None
    similar: tuple[SimilarRecord, ...] = ()

    @property
    def name(self) -> str:
        """The unit as it is written: ``mixed4c:447``."""
        return f"{self.layer}:{self.index}"

    def without_photographs(self) -> ChannelRecord:
        """The same without any crop, label or source."""
        return replace(self, examples=(), spectrum=(), classes=(), whole=None)


@dataclass(frozen=True)
class ModelRecord:
    """The network: zoo name, one-line title, digest of its weights file, number of classes.

    `view` is the side in pixels of what it sees of a photograph.
    """

    name: str
    title: str
    weights_sha256: str
    classes: int
    view: int = 224


@dataclass(frozen=True)
class DatasetRecord:
    """The dataset the examples come from: its spec, number of readable images, skipped ones."""

    source: str
    images: int
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """Everything a site shows. `recipe` is the part all renders share; `layers` are all of the
    model's layers, in network order, also those without channels in this atlas; `labels` are the
    classes of the dataset, by label."""

    title: str
    generator: str
    model: ModelRecord
    dataset: DatasetRecord | None
    recipe: Mapping[str, object]
    layers: Sequence[Layer]
    channels: Sequence[ChannelRecord]
    labels: Sequence[LabelRecord] = ()

    def of_layer(self, name: str) -> list[ChannelRecord]:
        """The channels of one layer that this atlas shows, by number."""
        return [channel for channel in self.channels if channel.layer == name]

    def without_photographs(self) -> Catalogue:
        """The same without any crop, label or source."""
        channels = [channel.without_photographs() for channel in self.channels]
        return replace(self, channels=channels, labels=())
