"""What the shortcodes of a note become: pictures, captions and links, by ``_shortcodes`` template.

A unit or class that the atlas at hand does not have becomes words that say so, and a link to a
note or layer without a page its bare text: the same notes go with atlases of all sizes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from markupsafe import Markup

from atlas.site.catalogue import Catalogue, ChannelRecord, Kind
from atlas.site.content import Note
from atlas.site.links import Links
from atlas.site.prose import MARK
from atlas.site.sheets import Picture, SheetPlan, ordered_examples
from atlas.site.shortcodes import Shortcode
from atlas.site.templates import Templates
from atlas.site.text import clean, number, slug
from atlas.site.views import Photograph, about, render_alt, strongest_labels

MEMBERS = 6
"""Channels shown of a class: a row."""

_LINK = re.compile(r'<a href="(?P<path>[^"#?:]+)[^"]*"')


@dataclass(frozen=True)
class EmbeddedRender:
    """An optimized image; `score` is empty if the render failed."""

    kind: Kind
    number: int
    picture: Picture
    score: str


@dataclass(frozen=True)
class EmbeddedUnit:
    """A unit: its name, page, renders in display order and strongest photographs, best first."""

    name: str
    page: str
    renders: tuple[EmbeddedRender, ...]
    photographs: tuple[Photograph, ...]

    def of_kind(self, kind: Kind) -> list[EmbeddedRender]:
        """Its renders of one kind."""
        return [render for render in self.renders if render.kind == kind]


@dataclass(frozen=True)
class EmbeddedMember:
    """A channel that a class fires: its name, page and picture (None without a render)."""

    name: str
    page: str
    picture: Picture | None


@dataclass(frozen=True)
class EmbeddedClass:
    """A class: its name, page, and the channels most selective for it, the most so first."""

    name: str
    page: str
    members: tuple[EmbeddedMember, ...]


class Pictures(Protocol):
    """What notes may show of an atlas. Paths are as seen from a page from which the site is at
    `root`: empty, or ``../``."""

    def unit(self, name: str, root: str) -> EmbeddedUnit | None:
        """The unit called `name`, None if it is not in the atlas."""

    def of_class(self, label: str, root: str) -> EmbeddedClass | None:
        """The class called `label`, None if it has no page."""

    def has_page(self, path: str) -> bool:
        """Whether there is a page at `path`, relative to the site."""


def expand(note: Note, pictures: Pictures, templates: Templates) -> Note:
    """The note with everything in it that the atlas has to show.

    Raises:
        ConfigError: the template of shortcodes is broken.
    """
    root = "../" * note.page.count("/")
    return replace(
        note,
        html=_expand(note.html, note, pictures, templates, note.page, root),
        summary=_expand(note.summary, note, pictures, templates, "index.html", ""),
    )


def _expand(
    html: Markup, note: Note, pictures: Pictures, templates: Templates, page: str, root: str
) -> Markup:
    def shown(match: re.Match[str]) -> str:
        code = note.shortcodes.get(match[0])
        return match[0] if code is None else _fill(code, note, pictures, templates, root)

    def linked(match: re.Match[str]) -> str:
        to = posixpath.normpath(posixpath.join(posixpath.dirname(page), match["path"]))
        return "<a" if to in note.links and not pictures.has_page(to) else match[0]

    return Markup(MARK.sub(shown, _LINK.sub(linked, html)))


def _fill(code: Shortcode, note: Note, pictures: Pictures, templates: Templates, root: str) -> str:
    units = [pictures.unit(name, root) for name in code.units]
    text = templates.fill(
        "_shortcodes",
        page=note.page,
        code=code,
        units=[unit for unit in units if unit is not None],
        absent=[clean(n) for n, unit in zip(code.units, units, strict=True) if unit is None],
        group=pictures.of_class(code.label, root) if code.name == "class" else None,
        root=root,
    )
    return text.strip()


class AtlasPictures:
    """`Pictures` of a catalogue; `pages` are the paths of notes and layers that have a page."""

    def __init__(
        self, catalogue: Catalogue, plan: SheetPlan, links: Links, pages: Collection[str]
    ) -> None:
        self._plan, self._links, self._pages = plan, links, pages
        self._channels = {channel.name: channel for channel in catalogue.channels}
        self._layers = {
            name.lower(): layer.name
            for layer in reversed(catalogue.layers)
            for name in (*layer.aliases, layer.name)
        }
        self._labels = {record.label: record for record in catalogue.labels}
        self._spelled = {label.casefold(): label for label in reversed(list(links.classes))}

    def unit(self, name: str, root: str) -> EmbeddedUnit | None:
        """See `Pictures`."""
        record = self._record(name)
        if record is None:
            return None
        words = about(strongest_labels(record))
        renders = tuple(
            EmbeddedRender(
                render.kind,
                render.number,
                self._links.picture(tile, render_alt(clean(record.name), render, words), root),
                "" if render.reason else number(render.activation),
            )
            for render, tile in zip(record.renders, self._plan.renders[record.name], strict=True)
        )
        page = f"{root}{slug(record.layer)}/{record.index}.html"
        return EmbeddedUnit(clean(record.name), page, renders, tuple(self._photos(record, root)))

    def of_class(self, label: str, root: str) -> EmbeddedClass | None:
        """See `Pictures`; case does not matter where no label is spelled the same."""
        label = label if label in self._links.classes else self._spelled.get(label.casefold(), "")
        if label not in self._links.classes or label not in self._labels:
            return None
        members = tuple(
            EmbeddedMember(
                clean(one.name),
                f"{root}{slug(one.layer)}/{one.index}.html",
                self._thumb(one.name, root),
            )
            for one in self._labels[label].members[:MEMBERS]
        )
        return EmbeddedClass(clean(label), f"{root}{self._links.classes[label]}", members)

    def has_page(self, path: str) -> bool:
        """See `Pictures`."""
        return path in self._pages

    def _record(self, name: str) -> ChannelRecord | None:
        layer, _, index = name.rpartition(":")
        return self._channels.get(f"{self._layers.get(layer.lower())}:{int(index)}")

    def _photos(self, record: ChannelRecord, root: str) -> Sequence[Photograph]:
        pairs = zip(ordered_examples(record), self._plan.examples[record.name], strict=True)
        return [
            Photograph(
                self._links.picture(
                    tile, f"{clean(record.name)} high: {clean(crop.title, 60)}", root
                ),
                clean(crop.label),
                number(crop.activation),
                clean(crop.source, 120),
            )
            for crop, tile in pairs
            if crop.side == "positive"
        ]

    def _thumb(self, unit: str, root: str) -> Picture | None:
        if unit not in self._plan.thumbs:
            return None
        render, tile = self._plan.thumbs[unit]
        words = about(strongest_labels(self._channels[unit]))
        return self._links.picture(tile, render_alt(clean(unit), render, words), root)
