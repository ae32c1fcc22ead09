"""What the site is made of: plain records that sheets, pages and the manifest are drawn from.

The build fills a `Catalogue` from the plan and the store; nothing here touches the disk. Pictures
are asked for through `Media`, so that a test can hand in made-up ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from atlas.units import Layer

Kind = Literal["neuron", "positive", "diverse", "negative"]
Side = Literal["positive", "negative"]


@dataclass(frozen=True)
class RenderRecord:
    """One optimized image.

    `activation` is its score on the finished 8-bit image (DESIGN §2; negative for `negative`),
    `robust` the mean score under fresh random transforms, `share` the score by the highest one of
    any photograph. `saturation` is the share of values near black or white, `high_frequency` the
    share of power above 1/4 cycle per pixel, `diversity` how little a diverse image has in common
    with the others of its set (0 to 1).
    `started` is False when the optimization never found a gradient, `finite` when it overflowed.
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
    robust: float | None = None
    share: float | None = None
    saturation: float | None = None
    high_frequency: float | None = None
    diversity: float | None = None


@dataclass(frozen=True)
class ExampleRecord:
    """One dataset crop: pre-ReLU `activation` at map `position` (y, x); `crop` in source pixels.

    `crop` is (x0, y0, x1, y1). `source` names the image inside the dataset; `label` is readable.
    """

    side: Side
    rank: int
    source: str
    label: str
    activation: float
    position: tuple[int, int]
    crop: tuple[int, int, int, int]


@dataclass(frozen=True)
class ChannelRecord:
    """A channel, its renders in display order, its examples by side and rank, its statistics."""

    layer: str
    index: int
    branch: str
    renders: tuple[RenderRecord, ...]
    examples: tuple[ExampleRecord, ...]
    stats: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The unit as it is written: ``mixed4c:447``."""
        return f"{self.layer}:{self.index}"


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
    model's layers, in network order, also those without channels in this atlas."""

    title: str
    generator: str
    model: ModelRecord
    dataset: DatasetRecord | None
    recipe: Mapping[str, object]
    layers: Sequence[Layer]
    channels: Sequence[ChannelRecord]

    def of_layer(self, name: str) -> list[ChannelRecord]:
        """The channels of one layer that this atlas shows, by number."""
        return [channel for channel in self.channels if channel.layer == name]


class Media(Protocol):
    """Where pictures come from. Digests change exactly when the pixels do."""

    def render(self, record: RenderRecord) -> NDArray[np.uint8]:
        """The master of a render, (size, size, 3) RGB."""

    def render_digest(self, record: RenderRecord) -> str:
        """A digest of what `render` would return, cheap to get."""

    def crop(self, record: ExampleRecord) -> NDArray[np.uint8]:
        """The crop of an example in source pixels, (h, w, 3) RGB, square."""

    def crop_digest(self, record: ExampleRecord) -> str:
        """A digest of what `crop` would return, cheap to get."""


class SheetIndex(Protocol):
    """Remembers which sheet bytes came of which inputs, so that none is encoded twice."""

    def get(self, key: str) -> str | None:
        """The sha256 of the sheet file made from inputs `key`, if one was made before."""

    def put(self, key: str, sha256: str) -> None:
        """Record that inputs `key` gave a file with this digest."""
