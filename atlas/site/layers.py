"""Layers as pages know them: their folder and name, and their channels cut into pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atlas.site.catalogue import Catalogue, ChannelRecord
from atlas.site.content import Note
from atlas.site.sheets import PAGE_TILES, Picture
from atlas.site.text import short, slug
from atlas.units import Layer


@dataclass(frozen=True)
class LayerPage:
    """What pages know of a layer: its record, folder, short name, note, and the channels shown."""

    layer: Layer
    folder: str
    short: str
    note: Note | None
    channels: tuple[ChannelRecord, ...]

    def parts(self) -> list[tuple[str, tuple[ChannelRecord, ...]]]:
        """The channels cut into pages, as (path, channels); the first is the layer's own."""
        starts = range(0, len(self.channels), PAGE_TILES)
        return [
            (
                f"{self.folder}/page-{number}.html" if number > 1 else f"{self.folder}/index.html",
                self.channels[start : start + PAGE_TILES],
            )
            for number, start in enumerate(starts, start=1)
        ]


@dataclass(frozen=True)
class LayerTile:
    """A channel on its layer's page; `picture` is None without a render, `failed` tells whether
    the one shown did."""

    index: int
    picture: Picture | None
    failed: bool


@dataclass(frozen=True)
class BranchGroup:
    """The part of a branch that is on one page: its name, range of channels, and tiles.

    `shown` counts the branch's channels in the atlas, on all pages; `continued` says that some are
    on an earlier page.
    """

    name: str
    start: int
    stop: int
    shown: int
    continued: bool
    tiles: tuple[LayerTile, ...]


def layer_pages(catalogue: Catalogue, notes: Mapping[str, Note]) -> list[LayerPage]:
    """All layers of a catalogue, also those without channels in it."""
    grouped: dict[str, list[ChannelRecord]] = {layer.name: [] for layer in catalogue.layers}
    for channel in catalogue.channels:
        grouped[channel.layer].append(channel)
    return [
        LayerPage(
            layer,
            slug(layer.name),
            short(layer.name),
            notes.get(slug(layer.name)),
            tuple(sorted(grouped[layer.name], key=lambda channel: channel.index)),
        )
        for layer in catalogue.layers
    ]


def branch_groups(page: LayerPage, tiles: Sequence[LayerTile]) -> list[BranchGroup]:
    """The tiles of one page of a layer under the names of their branches."""
    groups = []
    for branch in page.layer.branches:
        here = tuple(tile for tile in tiles if branch.start <= tile.index < branch.stop)
        if not here:
            continue
        every = [c.index for c in page.channels if branch.start <= c.index < branch.stop]
        groups.append(
            BranchGroup(
                branch.name,
                branch.start,
                branch.stop,
                len(every),
                every[0] < here[0].index,
                here,
            )
        )
    return groups
