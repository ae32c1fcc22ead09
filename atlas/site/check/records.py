"""The manifest's shape (format 1), as far as a check relies on it; what else is there is ignored.

A manifest comes from outside: nothing of it is used before it has this shape.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Box = tuple[Count, Count, Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Place(_Record):
    """Where a picture lies: its image file and the box (x, y, width, height) in pixels."""

    sheet: str
    tile: Box


class RenderEntry(Place):
    """One optimized image."""

    kind: Literal["neuron", "positive", "diverse", "negative"]
    number: Count
    activation: float | None
    steps: Count
    size: Count
    seed: Count
    recipe_sha256: Digest


class CropEntry(Place):
    """One crop of a photograph."""

    source: str
    label: str
    activation: float | None
    crop: tuple[int, int, int, int]


class ExampleEntry(CropEntry):
    """One of the crops at either end."""

    side: Literal["positive", "negative"]
    rank: Count


class BandEntry(_Record):
    """One band of the spectrum."""

    range: tuple[float, float]
    examples: tuple[CropEntry, ...]


class WholeEntry(Place):
    """The strongest photograph, in two tiles of one sheet."""

    activation_tile: Box


class Details(_Record):
    """What of a channel may be in a part of a split manifest."""

    index: Count
    examples: tuple[ExampleEntry, ...] = ()
    spectrum: tuple[BandEntry, ...] = ()
    whole: WholeEntry | None = None


class ChannelEntry(Details):
    """A channel."""

    layer: str
    branch: str
    page: str
    renders: tuple[RenderEntry, ...]
    thumbnail: Place | None = None
    examples_in: str | None = None


class BranchEntry(_Record):
    """A branch: the channels from `start` up to `stop`."""

    name: str
    start: Count
    stop: Count


class LayerEntry(_Record):
    """A layer and all of its branches."""

    name: str
    channels: Count
    branches: tuple[BranchEntry, ...]


class MemberEntry(_Record):
    """A channel that a class is listed with."""

    layer: str
    index: Count


class ClassEntry(_Record):
    """A class and its channels."""

    label: str
    page: str | None = None
    channels: tuple[MemberEntry, ...]


class ModelEntry(_Record):
    """The network."""

    name: str
    weights_sha256: Digest
    classes: Count


class Manifest(_Record):
    """``manifest.json``."""

    format: Literal[1]
    generator: Annotated[str, Field(pattern=r"^channel-atlas ")]
    model: ModelEntry
    layers: tuple[LayerEntry, ...]
    channels: tuple[ChannelEntry, ...]
    classes: tuple[ClassEntry, ...] = ()
    files: tuple[str, ...] = ()


class Part(_Record):
    """A part of a split manifest."""

    format: Literal[1]
    channels: tuple[Details, ...]
