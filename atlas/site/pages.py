"""Pages: the catalogue, the plan of the sheets and the notes, put into the templates.

Templates are looked for in the user's folder first. Whatever all pages share is worked out once;
a page is then one call of a compiled template. Pages that are many say what they are made of, so
that one that has been made of the same before need not be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from atlas.site.catalogue import Catalogue, ChannelRecord
from atlas.site.content import Note
from atlas.site.embeds import AtlasPictures, expand
from atlas.site.labels import LabelPage, by_initial, label_pages, members_of
from atlas.site.layers import LayerPage, LayerTile, branch_groups, layer_pages
from atlas.site.ledger import fingerprint
from atlas.site.links import Links
from atlas.site.network import draw
from atlas.site.sheets import Picture, SheetPlan, Tile
from atlas.site.tables import table_paths
from atlas.site.templates import Templates
from atlas.site.views import about, channel_view, flatten, render_alt, strongest_labels

NAV_LIMIT = 16
"""More layers than this do not fit into the header; the index page lists them instead."""

INDEX = "index"
"""The note that is part of the first page."""
SAMPLE_NOTE = "photographs"
"""The note about the photographs of the dataset `sample`; other atlases do not show it."""


@dataclass(frozen=True)
class Page:
    """A page to write: its path relative to the site, what it is made of, and how its text is had.

    Where `key` is None that is not worked out, and the page is always made.
    """

    path: str
    key: str | None
    text: Callable[[], str]


class Pages:
    """Every page of a site, in a fixed order.

    Args:
        contents: a digest of the record of each channel, by unit.
        code: a digest of `templates` and all else that is not a value.
        url: where the site will be, None if that is not known.
        media: where the media folder will be, None if inside the site.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        plan: SheetPlan,
        contents: Mapping[str, str],
        templates: tuple[Path, ...],
        code: str,
        notes: Mapping[str, Note],
        layer_notes: Mapping[str, Note],
        url: str | None = None,
        media: str | None = None,
    ) -> None:
        self._catalogue, self._plan, self._contents = catalogue, plan, contents
        sample = catalogue.dataset is not None and catalogue.dataset.source == "sample"
        self.notes = {name: note for name, note in notes.items() if sample or name != SAMPLE_NOTE}
        self.texts = self.notes
        self.articles = {name: note for name, note in self.notes.items() if name != INDEX}
        self._layers = layer_pages(catalogue, layer_notes)
        self._shown = [page for page in self._layers if page.channels]
        self.labels = label_pages(catalogue)
        self.links = Links(
            media.rstrip("/") + "/" if media else None,
            {page.record.label: page.path for page in self.labels},
        )
        cards = [card.path for card in plan.cards.values()]
        shared = {
            "url": url.rstrip("/") + "/" if url else None,
            "media": self.links.media or "",
            "csp_images": self.links.origin,
            "card": cards[len(cards) // 2] if cards else None,
            "has_classes": bool(self.labels),
            "has_method": "method" in notes,
            "photographs": catalogue.dataset is not None
            and any(channel.examples for channel in catalogue.channels),
        }
        nav = self._shown if len(self._layers) <= NAV_LIMIT else []
        articles = list(self.articles.values())
        self.layer_notes = layer_notes
        self._labels = {c.name: strongest_labels(c) for c in catalogue.channels}
        self._templates = Templates(
            templates, {"atlas": catalogue, "nav": nav, "articles": articles, **shared}
        )
        self._expand(catalogue, plan)
        self._common = fingerprint(
            code,
            replace(catalogue, channels=(), labels=()),
            [(page.layer.name, page.folder) for page in nav],
            [(note.name, note.title) for note in articles],
            shared,
            self.links,
        )

    def _expand(self, catalogue: Catalogue, plan: SheetPlan) -> None:
        """Fill in what notes show of this atlas."""
        notes = [f"{name}.html" for name in self.articles]
        layers = [path for page in self._shown for path, _ in page.parts()[:1]]
        pictures = AtlasPictures(catalogue, plan, self.links, {"index.html", *notes, *layers})
        expanded = partial(expand, pictures=pictures, templates=self._templates)
        self.notes = {name: expanded(note) for name, note in self.notes.items()}
        self._layers = [
            replace(page, note=page.note and expanded(page.note)) for page in self._layers
        ]
        self._shown = [page for page in self._layers if page.channels]

    def all(self) -> Iterator[Page]:
        """Every page."""
        yield Page("index.html", None, self._index)
        yield Page("404.html", None, partial(self._fill, "404", "404.html"))
        compare = partial(self._fill, "compare", "compare.html", pair=self._pair())
        yield Page("compare.html", None, compare)
        recipe = partial(
            self._fill, "recipe", "recipe.html", rows=list(flatten(self._catalogue.recipe)),
            tables=table_paths(self._catalogue),
        )  # fmt: skip
        yield Page("recipe.html", None, recipe)
        for name in self.articles:
            path = f"{name}.html"
            yield Page(path, None, partial(self._fill, "article", path, note=self.notes[name]))
        for position, page in enumerate(self._shown):
            for number in range(len(page.parts())):
                path = page.parts()[number][0]
                yield Page(path, None, partial(self._layer, position, number))
            yield from self._channels(page)
        if self.labels:
            yield Page(
                "classes/index.html",
                None,
                partial(
                    self._fill, "classes", "classes/index.html", initials=by_initial(self.labels)
                ),
            )
        for position, one in enumerate(self.labels):
            yield Page(one.path, None, partial(self._class, position))

    def _index(self) -> str:
        samples = {
            layer: [(channel, self._picture(channel.name, tile, "")) for channel, tile in tiles]
            for layer, tiles in self._plan.samples.items()
        }
        blocks = draw(
            self._catalogue.layers,
            {page.layer.name: len(page.channels) for page in self._shown},
            self._catalogue.model.view,
        )
        return self._fill(
            "index", "index.html", samples=samples, blocks=blocks, layers=self._layers,
            guide=self.notes.get("index"),
        )  # fmt: skip

    def _pair(self) -> list[tuple[str, str]]:
        """Two channels worth comparing, as (address, name): the most similar, or the last two."""
        folders = {page.layer.name: page.folder for page in self._shown}
        every = [channel for page in self._shown for channel in page.channels]
        alike = [
            (one.similar[0].cosine, (one.layer, one.index), (near.layer, near.index))
            for one in every
            for near in one.similar[:1]
        ]
        most = max(alike, key=lambda pair: pair[0], default=None)
        chosen = [(one.layer, one.index) for one in every[-2:]] if most is None else most[1:]
        return [(f"{folders[layer]}:{index}", f"{layer}:{index}") for layer, index in chosen]

    def _layer(self, position: int, number: int) -> str:
        page = self._shown[position]
        parts = page.parts()
        path, channels = parts[number]
        tiles = [self._tile(channel) for channel in channels]
        return self._fill(
            "layer", path, page.layer.name, here=page, parts=parts,
            groups=branch_groups(page, tiles), number=number,
            place=self._layers.index(page) + 1, of=len(self._layers),
            before=self._shown[position - 1] if position else None,
            after=self._shown[position + 1] if position + 1 < len(self._shown) else None,
        )  # fmt: skip

    def _channels(self, page: LayerPage) -> Iterator[Page]:
        plan, card = self._plan, self._plan.cards.get(page.layer.name)
        for i, channel in enumerate(page.channels):
            neighbours = [
                page.channels[j].index if 0 <= j < len(page.channels) else None
                for j in (i - 1, i + 1)
            ]
            name = channel.name
            similar = [
                None if tile is None else plan.thumbs[one.name][0].kind
                for one, tile in zip(channel.similar, plan.similar[name], strict=True)
            ]
            path = f"{page.folder}/{channel.index}.html"
            key = fingerprint(
                self._common, page.layer, self._contents[name], neighbours, similar,
                plan.wholes.get(name), card,
            )  # fmt: skip
            yield Page(path, key, partial(self._channel, page, channel, path, neighbours))

    def _channel(
        self, page: LayerPage, channel: ChannelRecord, path: str, neighbours: list[int | None]
    ) -> str:
        view = channel_view(channel, self._plan, self._catalogue, self.links)
        before, after = neighbours
        return self._fill(
            "channel", path, page.layer.name, here=page, view=view, channel=channel,
            before=before, after=after,
        )  # fmt: skip

    def _class(self, position: int) -> str:
        one = self.labels[position]
        pictures = {
            member.name: self._thumb(member.name)
            for member in one.record.members
            if member.name in self._plan.thumbs
        }
        near: list[LabelPage | None] = [None, *self.labels, None]
        return self._fill(
            "class", one.path, label=one, members=members_of(one.record, pictures),
            before=near[position], after=near[position + 2],
        )  # fmt: skip

    def _tile(self, channel: ChannelRecord) -> LayerTile:
        found = self._plan.thumbs.get(channel.name)
        if found is None:
            return LayerTile(channel.index, None, False)
        return LayerTile(channel.index, self._thumb(channel.name), bool(found[0].reason))

    def _thumb(self, unit: str) -> Picture:
        return self._picture(unit, self._plan.thumbs[unit][1], "../")

    def _picture(self, unit: str, tile: Tile, root: str) -> Picture:
        """The thumbnail of a channel, at `tile`."""
        alt = render_alt(unit, self._plan.thumbs[unit][0], about(self._labels[unit]))
        return self.links.picture(tile, alt, root)

    def _fill(self, template: str, path: str, layer: str = "", **values: Any) -> str:
        root = "../" * path.count("/")
        if layer in self._plan.cards:
            values["card"] = self._plan.cards[layer].path
        return self._templates.fill(template, page=path, root=root, **values)
