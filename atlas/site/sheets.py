"""Which picture lies where: every image file of the site is a *strip*, tiles side by side in a row.

Tile `i` of a strip of T-pixel tiles is the square from (i·T, 0) to ((i+1)·T, T). A page shows it
by a plain `<img>` whose box is square, with ``object-fit: cover`` and an ``object-position`` that
follows from i and the number of tiles; two classes say both (`stylesheet`). One file a channel
and side instead of ten keeps 5,808 channels below the file limits of static hosts (DESIGN §6).

This module only plans; `atlas.site.encode` makes the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from atlas.site.catalogue import (
    Catalogue,
    ChannelRecord,
    CropRecord,
    ExampleRecord,
    RenderRecord,
    WholeTile,
)
from atlas.site.text import slug

Format = Literal["avif", "webp", "jpeg"]
SUFFIX: dict[Format, str] = {"avif": "avif", "webp": "webp", "jpeg": "jpg"}

RENDER_LIMIT = 256
"""Largest tile of a render in pixels: what a page shows at its widest, on an ordinary screen."""
EXAMPLE_SIZE = 112
WHOLE_SIZE = 224
WHOLE_CHANNELS = 8
"""Neighbouring channels whose whole photographs share a strip: a file each would be too many."""
LAYER_SIZE = 128
LAYER_TILES = 32
"""Tiles a layer strip: a screenful, so that lazy loading has something to leave out."""
PAGE_TILES = 6 * LAYER_TILES
"""Channels on a page of a layer: three elements each keep it below 800 in all."""
LONGEST = 100
"""Most tiles in any strip: two sides of 25 and the spectrum, with room to spare."""
WIDEST = 16_383
"""Most pixels in any strip: what WebP can say."""
CARDS = ((18, 6), (8, 4), (2, 2), (1, 1))
"""Pictures and columns of the card that stands for a layer where it is linked to: the first of
these that it has pictures for. All but the last are twice as wide as they are high."""
CARD_HEIGHT = 630
SAMPLES = 8
"""Pictures in a layer's row on the index page."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of one picture: tile `index` of the `count` in `sheet`, `size` pixels square."""

    sheet: str
    index: int
    count: int
    size: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) in the sheet's pixels."""
        return (self.index * self.size, 0, self.size, self.size)

    @property
    def classes(self) -> str:
        """The CSS classes that show this tile and no other."""
        return f"s n{self.count} i{self.index}" if self.count > 1 else "s"


@dataclass(frozen=True)
class Picture:
    """An `<img>`: the tile, where its sheet is seen from this page, and the alternative text."""

    tile: Tile
    src: str
    alt: str


Shown = RenderRecord | CropRecord | WholeTile


@dataclass(frozen=True, slots=True)
class Strip:
    """One image file to make: its path relative to the site, its tile size, its pictures.

    They stand in one row, or in rows of `columns` where that is given, as on a card.
    """

    path: str
    size: int
    sources: tuple[Shown, ...]
    columns: int = 0

    @property
    def of_photographs(self) -> bool:
        """Whether it shows photographs, be it with a few renders at its end."""
        return not isinstance(self.sources[0], RenderRecord)


@dataclass(frozen=True)
class Card:
    """The picture that stands for a layer where it is linked to; `width`, `height` in pixels."""

    path: str
    width: int
    height: int


@dataclass
class SheetPlan:
    """All strips of a site, and where each picture is found.

    `renders`, `examples` and `spectrum` run parallel to the channel's records; `thumbs` is the
    tile that stands for a channel on its layer's page, with the render it shows; `samples` are the
    indices and tiles of a layer's row on the index page; `wholes` are the two tiles, outlined and
    lit, of the channels whose strongest photograph is shown whole; `similar` the thumbnails of a
    channel's similar channels, None for one that has no render; `cards` are of layers.
    """

    strips: list[Strip] = field(default_factory=list)
    renders: dict[str, list[Tile]] = field(default_factory=dict)
    examples: dict[str, list[Tile]] = field(default_factory=dict)
    spectrum: dict[str, list[list[Tile]]] = field(default_factory=dict)
    thumbs: dict[str, tuple[RenderRecord, Tile]] = field(default_factory=dict)
    samples: dict[str, list[tuple[ChannelRecord, Tile]]] = field(default_factory=dict)
    wholes: dict[str, tuple[Tile, Tile]] = field(default_factory=dict)
    similar: dict[str, list[Tile | None]] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=dict)


def plan_sheets(catalogue: Catalogue, format: Format, cards: bool = False) -> SheetPlan:
    """Lay out every picture of the catalogue, and a card for every layer if there are to be any."""
    plan = SheetPlan()
    suffix = SUFFIX[format]
    stands_for = {c.name: thumbnail(c) for c in catalogue.channels if c.renders}
    for layer in catalogue.layers:
        folder = slug(layer.name)
        channels = catalogue.of_layer(layer.name)
        for channel in channels:
            size = min(RENDER_LIMIT, max((r.size for r in channel.renders), default=0))
            stem = f"{folder}/{channel.index}"
            plan.renders[channel.name] = _lay(
                plan, f"media/renders/{stem}", suffix, size, channel.renders
            )
            similar = [stands_for.get(one.name) for one in channel.similar]
            _lay_crops(plan, channel, similar, stem, suffix)
        _lay_wholes(plan, channels, f"media/examples/{folder}/whole", suffix)
        rendered = [c for c in channels if c.renders]
        _lay_layer(plan, layer.name, rendered, suffix)
        if cards and rendered:
            _lay_card(plan, layer.name, rendered)
    return plan


def ordered_examples(channel: ChannelRecord) -> list[ExampleRecord]:
    """The examples as strips and pages show them: positive then negative, each by rank."""
    return sorted(channel.examples, key=lambda e: (e.side != "positive", e.rank))


def thumbnail(channel: ChannelRecord) -> RenderRecord:
    """The render that stands for a channel: its positive one, else the first there is."""
    return next((r for r in channel.renders if r.kind == "positive"), channel.renders[0])


def stylesheet() -> str:
    """The rules that pick a tile out of a strip, for every strip `plan_sheets` can lay out.

    A tile's share of the way is i/(n−1). The clip hides the outermost pixel, where scaling mixes
    neighbours into each other when a tile's edge falls between two device pixels.
    """
    rules = [
        ".s{object-fit:cover;object-position:0 0;aspect-ratio:1;clip-path:inset(1px round 3px)}",
        "[class*=' n']{object-position:calc(100%*var(--i)/var(--n)) 0}",
    ]
    rules += [f".n{n}{{--n:{n - 1}}}" for n in range(2, LONGEST + 1)]
    rules += [f".i{i}{{--i:{i}}}" for i in range(LONGEST)]
    return "\n".join(rules) + "\n"


def _lay(
    plan: SheetPlan,
    stem: str,
    suffix: str,
    size: int,
    sources: Sequence[Shown],
) -> list[Tile]:
    """Cut one channel's pictures into strips: ``447.avif``, and ``447-1.avif`` … if too long."""
    tiles: list[Tile] = []
    most = min(LONGEST, WIDEST // max(size, 1))
    for start in range(0, len(sources), most):
        part = tuple(sources[start : start + most])
        path = f"{stem}-{start // most}.{suffix}" if start else f"{stem}.{suffix}"
        plan.strips.append(Strip(path, size, part))
        tiles += [Tile(path, i, len(part), size) for i in range(len(part))]
    return tiles


def _lay_crops(
    plan: SheetPlan,
    channel: ChannelRecord,
    similar: Sequence[RenderRecord | None],
    stem: str,
    suffix: str,
) -> None:
    """The crops of both sides and of the spectrum, each once, and thumbnails of similar channels.

    Those come last into the crops' strip, as a page is too small a thing for a third file; where
    there are no crops they have one of their own among the renders.
    """
    examples = ordered_examples(channel)
    every = [*examples, *(crop for band in channel.spectrum for crop in band.examples)]
    distinct: dict[object, Shown] = {}
    for crop in every:
        distinct.setdefault((crop.source, crop.crop), crop)
    path = f"media/examples/{stem}" if distinct else f"media/renders/{stem}-similar"
    for render in similar:
        if render is not None:
            distinct[render.recipe_sha256] = render
    tiles = _lay(plan, path, suffix, EXAMPLE_SIZE, list(distinct.values()))
    found = dict(zip(distinct, tiles, strict=True))
    plan.examples[channel.name] = [found[crop.source, crop.crop] for crop in examples]
    plan.spectrum[channel.name] = [
        [found[crop.source, crop.crop] for crop in band.examples] for band in channel.spectrum
    ]
    plan.similar[channel.name] = [
        None if render is None else found[render.recipe_sha256] for render in similar
    ]


def _lay_wholes(plan: SheetPlan, channels: Sequence[ChannelRecord], stem: str, suffix: str) -> None:
    """The strips of photographs shown whole, each of a fixed group of a layer's channels."""
    for start in range(0, len(channels), WHOLE_CHANNELS):
        group = [c for c in channels[start : start + WHOLE_CHANNELS] if c.whole is not None]
        pictures = [
            WholeTile(channel.layer, channel.index, channel.whole, lit)
            for channel in group
            if channel.whole is not None
            for lit in (False, True)
        ]
        path = f"{stem}-{start // WHOLE_CHANNELS:03d}"
        tiles = _lay(plan, path, suffix, WHOLE_SIZE, pictures)
        for channel, pair in zip(group, zip(tiles[::2], tiles[1::2], strict=True), strict=True):
            plan.wholes[channel.name] = pair


def _lay_layer(plan: SheetPlan, layer: str, channels: Sequence[ChannelRecord], suffix: str) -> None:
    """The strips of a layer's page and, if there are several, one more for the index page."""
    thumbs = [thumbnail(channel) for channel in channels]
    stem = f"media/layers/{slug(layer)}"
    for start in range(0, len(channels), LAYER_TILES):
        part = tuple(thumbs[start : start + LAYER_TILES])
        path = f"{stem}-{start // LAYER_TILES:02d}.{suffix}"
        plan.strips.append(Strip(path, LAYER_SIZE, part))
        for i, render in enumerate(part):
            tile = Tile(path, i, len(part), LAYER_SIZE)
            plan.thumbs[channels[start + i].name] = (render, tile)
    chosen = _spread(channels, SAMPLES)
    amount = len(chosen)
    if len(channels) > LAYER_TILES:
        path = f"{stem}-samples.{suffix}"
        plan.strips.append(Strip(path, LAYER_SIZE, tuple(thumbnail(c) for c in chosen)))
        tiles = [Tile(path, i, amount, LAYER_SIZE) for i in range(amount)]
        plan.samples[layer] = list(zip(chosen, tiles, strict=True))
    else:
        plan.samples[layer] = [(c, plan.thumbs[c.name][1]) for c in chosen]


def _lay_card(plan: SheetPlan, layer: str, channels: Sequence[ChannelRecord]) -> None:
    chosen = _spread(channels, CARDS[0][0])
    amount, columns = next(card for card in CARDS if card[0] <= len(chosen))
    size = CARD_HEIGHT * columns // amount
    path = f"media/cards/{slug(layer)}.jpg"
    sources = tuple(thumbnail(channel) for channel in _spread(chosen, amount))
    plan.strips.append(Strip(path, size, sources, columns))
    plan.cards[layer] = Card(path, size * columns, size * (len(sources) // columns))


def _spread(channels: Sequence[ChannelRecord], amount: int) -> list[ChannelRecord]:
    """`amount` of the channels, or all, evenly spaced; of those whose render did not fail, if there
    are any."""
    good = [channel for channel in channels if not thumbnail(channel).reason] or list(channels)
    amount = min(amount, len(good))
    return [good[i * len(good) // amount] for i in range(amount)]
